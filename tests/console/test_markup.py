"""Text becomes markup by escaping alone."""

import ast
from html.parser import HTMLParser
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from adapter.console.pages import markup
from adapter.console.pages.markup import LONGEST, element, group, plain
from tests.console.conftest import NASTY


class Read(HTMLParser):
    """What a browser would make of a page: elements with attributes, and text."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")

    def unknown_decl(self, data: str) -> None:
        raise AssertionError(f"a declaration: {data}")


texts = st.text(st.characters(), max_size=80) | st.sampled_from(NASTY)


@given(texts, texts)
def test_whatever_the_text_the_page_has_the_elements_that_were_meant_and_no_other(child: str, value: str) -> None:
    made = element("p", child, element("b", value), title=value, data_label=child)
    read = Read(str(made))
    assert read.elements == [("p", {"title": plain(value), "data-label": plain(child)}), ("b", {})]
    assert "".join(read.words) == plain(child) + plain(value)
    str(made).encode()


@given(texts)
def test_what_cannot_be_printed_is_seen_to_be_there(text: str) -> None:
    shown = plain(text)
    assert shown.isprintable()
    assert len(shown) == min(len(text), LONGEST + 1)


def test_blanks_for_line_breaks_and_a_sign_for_what_turns_the_writing() -> None:
    assert plain("a\nb\u202ec\x00") == "a b\ufffdc\ufffd"


def test_attributes_that_are_none_or_false_are_not_written() -> None:
    assert str(element("a", "x", href=None, hidden=False, selected=True, class_="b")) == '<a selected class="b">x</a>'


def test_no_other_module_makes_markup_of_text() -> None:
    """Whoever calls Html() vouches for its text; `element` escapes."""
    room = Path(markup.__file__).parents[1]
    for path in room.rglob("*.py"):
        calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        names = {node.func.id for node in calls if isinstance(node.func, ast.Name)}
        assert path.name == "markup.py" or "Html" not in names, path


def test_void_elements_have_no_end() -> None:
    assert str(group(element("br"), element("meta", charset="utf-8"), None, 3)) == '<br><meta charset="utf-8">3'
