"""HTML that is escaped by construction: text becomes markup by no other way than through here. Pure.

A child or an attribute that is a `str` is text, from wherever it comes, and is written so that a browser shows it as
such: `<`, `>`, `&` and quotes escaped; what cannot be printed (controls, what turns the direction of writing, lone
surrogates) is shown as U+FFFD, line breaks as blanks. Names of elements and attributes are ours, never from outside.
"""

from collections.abc import Iterable
from html import escape
from typing import Final, TypeAlias

LONGEST: Final = 600
"""Characters of one text; a condition's message may be 32 KiB."""
VOID: Final = frozenset({"br", "input", "link", "meta"})


class Html:
    """Markup. Only this module makes it of text."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text


Child: TypeAlias = "Html | str | int | None"
NOTHING: Final = Html("")


def plain(text: str) -> str:
    """Text, one line of signs that can be printed, not longer than LONGEST."""
    cut = text if len(text) <= LONGEST else text[:LONGEST] + "…"
    if cut.isprintable():
        return cut
    return "".join(sign if sign.isprintable() else " " if sign in "\n\r\t" else "\ufffd" for sign in cut)


def element(name: str, /, *children: Child, **attributes: Html | str | int | bool | None) -> Html:
    """`<name attributes>children</name>`.

    `class_` is the attribute class, `data_label` data-label, `viewBox` stays; one that is None or False is left out.
    """
    given = ((key, value) for key, value in attributes.items() if value is not None and value is not False)
    made = "".join(_attribute(key, value) for key, value in given)
    if name in VOID:
        return Html(f"<{name}{made}>")
    return Html(f"<{name}{made}>{group(*children).text}</{name}>")


def group(*children: Child) -> Html:
    """Several, one after the other."""
    return Html("".join(_child(one) for one in children))


def points(pairs: Iterable[tuple[float, float]]) -> Html:
    """Pairs of numbers, as SVG's attribute `points` wants them."""
    return Html(" ".join(f"{x:.1f},{y:.1f}" for x, y in pairs))


def document(head: Html, body: Html) -> str:
    """A whole page."""
    return f'<!doctype html>\n<html lang="en">{head}{body}</html>\n'


def _child(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Html):
        return child.text
    return escape(plain(str(child)))


def _attribute(key: str, value: Html | str | int | bool) -> str:
    name = key.rstrip("_").replace("_", "-")
    if isinstance(value, Html):
        return f' {name}="{value.text}"'
    return f" {name}" if value is True else f' {name}="{escape(plain(str(value)))}"'
