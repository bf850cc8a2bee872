"""What an attack is, and the list of all of them.

To add one, write a function in a module of this folder (`texts`, `doors`, …; a new module is named in `MODULES`) and
put `@attack` before it:

    @attack("1,000 names of metrics in one page", section=3)
    def many_names(field: Field) -> None:
        field.page("web-0", "".join(f"name_{n} 1\\n" for n in range(1000)))
        field.hold(3)

The name is the table's row. The function brings its input in and returns when it has been at work, within a few
seconds: it is run three times against one adapter, for each of its `sources`, while a bystander asks as an HPA and as a
kubelet do. What it may use is `Field`. It asserts that its input got in (an attack that never reached the adapter
proves nothing), never how the adapter bore it: time, memory and restarts are measured by who runs it. (An attack on the
clocks also asserts that no value is lost and none is shown as younger than it is: nobody else can.) What it changes it
leaves: the next attack finds the world as it was, and either a new adapter or, in the short run, the same one with its
memory of what came before. `apart=True` says that this attack needs a new one there too.
"""

from collections.abc import Callable
from importlib import import_module
from typing import NamedTuple

from tests.attack.field import Field, Source

MODULES = ("texts", "doors", "http2", "shares", "clocks")
"""Of this folder, with attacks."""
BOTH = (Source.EMBEDDED, Source.PROMETHEUS)


class Attack(NamedTuple):
    """One input. Higher bounds than the usual ones need a reason, which stands beside them."""

    name: str
    section: int
    """Of the list of inputs that the harness follows: 1 texts, 2 connections and bytes, 3 shares, 4 clocks."""
    run: Callable[[Field], None]
    sources: tuple[Source, ...] = BOTH
    flags: tuple[str, ...] = ()
    """Of the adapter, beside the usual ones."""
    apart: bool = False
    """Whether it would find what it fills filled by others, so that it needs an adapter of its own."""
    stepped: bool = False
    """Whether the adapter's wall clock is to be one that can be set (`Field.set_clock`)."""


_attacks: list[Attack] = []


def attack(
    name: str,
    *,
    section: int,
    sources: tuple[Source, ...] = BOTH,
    flags: tuple[str, ...] = (),
    apart: bool = False,
    stepped: bool = False,
) -> Callable[[Callable[[Field], None]], Callable[[Field], None]]:
    """Puts the function into the list."""

    def register(run: Callable[[Field], None]) -> Callable[[Field], None]:
        _attacks.append(Attack(name, section, run, sources, flags, apart, stepped))
        return run

    return register


def attacks() -> tuple[Attack, ...]:
    """All of them, in the order of sections."""
    for module in MODULES:
        import_module(f"tests.attack.{module}")
    return tuple(sorted(_attacks, key=lambda one: one.section))
