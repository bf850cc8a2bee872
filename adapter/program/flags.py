"""A frozen dataclass of settings <-> Go's flags: every spelling that Go's flag package and pflag take.

`--a=b`, `--a b`, `-a=b`, `-a b`, bare booleans (`--flag`, never `--flag false`), flags of one letter with their value
beside them (`-v4`), underscores for hyphens (as Kubernetes' components normalise names), `--` before what is no flag.
Abbreviations are not understood, as in Go. The last of several values counts; lists add up. A verb's operands (files,
names) stand anywhere among its flags, as with kubectl.
"""

import dataclasses
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, NamedTuple, NoReturn, TypeVar

from adapter.program.ignored import NOTHING, Ignored
from adapter.program.kinds import KINDS, Seconds, is_bare

S = TypeVar("S")
LONGEST_NAMED: Final = 200
"""Characters of somebody's text that a sentence repeats."""


class SettingsError(ValueError):
    """A flag is unknown or its value is no good; the text names the flag, the value and what is wanted."""


class HelpWanted(Exception):  # noqa: N818 - it is a request
    """`--help` or `--version` was given; the text is what to print."""


class Bounds(NamedTuple):
    """What a value may be, both ends included but for `above`."""

    least: float | None = None
    above: float | None = None
    most: float | None = None
    choices: tuple[str, ...] = ()


def setting(
    flag: str,
    default: Any,
    text: str,
    *,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    choices: Sequence[str] = (),
    each: bool = False,
    short: str = "",
) -> Any:
    """A field of settings that `--flag` sets; `text` says meaning, unit and reason.

    `each`: a list of which every `--flag` gives one member, commas and all (pflag's StringArray).
    `short`: the letter that stands for it behind one hyphen, as kubectl's `-n`.
    """
    bounds = Bounds(least=least, above=above, most=most, choices=tuple(choices))
    return field(default=default, metadata={"flag": flag, "help": text, "bounds": bounds, "each": each, "short": short})


def operand(name: str, text: str) -> Any:
    """A field of settings that an argument gives which is no flag; several are given in the order of their fields."""
    return field(default="", metadata={"operand": name, "help": text})


@dataclass(frozen=True)
class Common:
    """The settings that every program has."""

    verbosity: int = setting("v", 0, "log level as klog's: from 5 on also what helps to find a fault", least=0)


class Parsed(NamedTuple, Generic[S]):
    """What a command line says."""

    settings: S
    ignored: tuple[str, ...]
    """Flags among it that have no effect, each once, sorted."""


def no_objection(_: Any) -> Iterator[str]:
    """A check that finds nothing wrong."""
    return iter(())


class _Flag(NamedTuple):
    """A flag with what is known of it; `entry` is None for one without effect."""

    name: str
    bare: bool
    entry: "dataclasses.Field[Any] | None"


@dataclass(frozen=True)
class Flags(Generic[S]):
    """The command line of one program."""

    program: str
    about: str
    """What it does, in half a sentence."""
    settings: type[S]
    """A frozen dataclass whose fields are made by `setting`."""
    version: str = ""
    ignored: Ignored = NOTHING
    replaced: Mapping[str, str] = field(default_factory=dict)
    """Flags that are no more, and what took their place."""
    check: Callable[[S], Iterable[str]] = no_objection
    """Says what of the settings does not go together, each in a sentence that holds both values."""
    skips_first: bool = False
    """A first argument that is no flag is passed over, as where a peer's chart gives the program's name."""

    def parse(self, arguments: Sequence[str]) -> Parsed[S]:
        """The settings that `arguments` give. Raises SettingsError, HelpWanted, nothing else."""
        values: dict[str, Any] = {}
        without_effect = set()
        for flag, text in self._scan(arguments):
            if flag.entry is None:
                without_effect.add(flag.name)
            else:
                _put(values, flag.entry, text)
        for entry in self._operands():
            if entry.name not in values:
                raise SettingsError(f"{entry.metadata['operand']} is missing: {entry.metadata['help']}")
        return Parsed(self.validate(self.settings(**values)), tuple(sorted(without_effect)))

    def validate(self, settings: S) -> S:
        """`settings` if they are within bounds and go together. Raises SettingsError."""
        for entry in self._entries().values():
            value = getattr(settings, entry.name)
            if wanted := _outside(entry.metadata["bounds"], value):
                shown = _clip(_show_value(entry, value))
                raise SettingsError(f"--{entry.metadata['flag']}={shown}: {wanted} is wanted")
        for objection in self.check(settings):
            raise SettingsError(objection)
        return settings

    def render(self, settings: S) -> list[str]:
        """Arguments that give `settings`; only what differs from the defaults."""
        made = []
        for flag, entry in self._entries().items():
            value = getattr(settings, entry.name)
            if value == entry.default:
                continue
            shown = value if entry.metadata["each"] and value else [_show_value(entry, value)]
            made += [f"--{flag}={text}" for text in shown]
        return made

    def usage(self) -> str:
        """What `--help` prints: every flag with its default and meaning."""
        operands = [(entry.metadata["operand"], entry.metadata["help"]) for entry in self._operands()]
        lines = [f"{' '.join([self.program, *(name for name, _ in operands)])}: {self.about}", ""]
        lines += [f"  {name}\n        {text}" for name, text in operands]
        for flag, entry in self._entries().items():
            choices = ", ".join(choice or "''" for choice in entry.metadata["bounds"].choices)
            text = entry.metadata["help"] + (f" (one of {choices})" if choices else "")
            short = f"-{entry.metadata['short']}, " if entry.metadata["short"] else ""
            lines.append(f"  {short}--{flag} ({_show_value(entry, entry.default) or 'none'})\n        {text}")
        taken = sorted(self.ignored.bare | self.ignored.valued)
        return "\n".join([*lines, *(["", "Accepted without effect: " + ", ".join(taken)] if taken else [])])

    def split(self, arguments: Sequence[str], *, but: Sequence[str] = ()) -> tuple[list[str], list[str]]:
        """Arguments of a verb that argparse reads: (our flags with their values, all else, flags in `but` as well)."""
        ours: list[str] = []
        others: list[str] = []
        rest = iter(arguments)
        for argument in rest:
            flag_and_text = self._look_up(argument)
            if flag_and_text is None or flag_and_text[0].name in {*but, "help", "h", "version"}:
                others.append(argument)
                continue
            flag, text = flag_and_text
            ours.append(argument)
            if text is None and not flag.bare and (value := next(rest, None)) is not None:
                ours.append(value)
        return ours, others

    def _entries(self) -> Mapping[str, "dataclasses.Field[Any]"]:
        return {entry.metadata["flag"]: entry for entry in self._fields() if "flag" in entry.metadata}

    def _operands(self) -> Sequence["dataclasses.Field[Any]"]:
        return [entry for entry in self._fields() if "operand" in entry.metadata]

    def _fields(self) -> Sequence["dataclasses.Field[Any]"]:
        return dataclasses.fields(self.settings)  # type: ignore[arg-type]

    def _scan(self, arguments: Sequence[str]) -> Iterator[tuple[_Flag, str]]:
        given = list(arguments)
        skipped = self.skips_first and given and not given[0].startswith("-")
        rest, operands = iter(given[1:] if skipped else given), iter(self._operands())
        before: _Flag | None = None
        ended = False
        for argument in rest:
            if argument == "--" and not ended:
                ended = True
                continue
            flag_and_text = None if ended else self._look_up(argument)
            if flag_and_text is None:
                yield self._operand(argument, operands, ended=ended, before=before), argument
                continue
            flag, text = flag_and_text
            if flag.name in ("help", "h"):
                raise HelpWanted(self.usage())
            if flag.name == "version":
                raise HelpWanted(f"{self.program} {self.version}")
            if text is None:
                text = "true" if flag.bare else next(rest, None)
            if text is None:
                raise SettingsError(f"--{flag.name} needs a value")
            before = flag
            yield flag, text

    def _operand(
        self, argument: str, operands: Iterator["dataclasses.Field[Any]"], *, ended: bool, before: _Flag | None
    ) -> _Flag:
        """The operand that `argument` gives. Raises SettingsError where it can be none."""
        if not ended and argument.startswith("-") and argument != "-":
            self._refuse_flag(argument)
        if (entry := next(operands, None)) is not None:
            return _Flag(entry.metadata["operand"], False, entry)
        hint = ""
        if before is not None and before.bare:
            hint = f"; a value of --{before.name} is given as --{before.name}={_clip(argument)}"
        if taken := " ".join(entry.metadata["operand"] for entry in self._operands()):
            raise SettingsError(f"{_clip(argument)!r} is too much: besides flags only {taken} is taken{hint}")
        raise SettingsError(f"{_clip(argument)!r} is no flag; flags look like --name=value{hint}")

    def _refuse_flag(self, argument: str) -> NoReturn:
        name = argument.lstrip("-").partition("=")[0].replace("_", "-")
        if name in self.replaced:
            raise SettingsError(f"--{name} is no more: {self.replaced[name]}")
        if match := _FORM.fullmatch(argument):
            raise SettingsError(f"unknown flag {_clip(match[1] + match[2])}; --help lists the flags")
        raise SettingsError(f"{_clip(argument)!r} is no flag; flags look like --name=value")

    def _look_up(self, argument: str) -> tuple[_Flag, str | None] | None:
        """The flag of an argument and the value written into it, if any; None where it is no flag of ours."""
        match = _FORM.fullmatch(argument)
        if match is None:
            return None
        name, text = match[2].replace("_", "-"), match[3]
        if flag := self._look_up_name(name):
            return flag, text
        if match[1] == "-" and (flag := self._look_up_letter(argument[1])):
            beside = None if flag.bare else (flag, argument[2:])  # pflag's -v4
            return (flag, text) if len(match[2]) == 1 else beside
        return None

    def _look_up_letter(self, letter: str) -> _Flag | None:
        long = (flag for flag, entry in self._entries().items() if entry.metadata["short"] == letter)
        return self._look_up_name(next(long, letter))

    def _look_up_name(self, name: str) -> _Flag | None:
        if entry := self._entries().get(name):
            return _Flag(name, is_bare(entry.type), entry)
        if name in self.ignored.bare or name in ("help", "h") or (name == "version" and self.version):
            return _Flag(name, True, None)
        return _Flag(name, False, None) if name in self.ignored.valued else None


_FORM: Final = re.compile(r"(--?)([A-Za-z][A-Za-z0-9_-]*)(?:=(.*))?", re.DOTALL)


def _put(values: dict[str, Any], entry: "dataclasses.Field[Any]", text: str) -> None:
    flag = entry.metadata.get("flag")
    if flag is None:
        values[entry.name] = text
        return
    if entry.metadata["each"]:
        values[entry.name] = (*values.get(entry.name, ()), *([text] if text else ()))
        return
    try:
        value = KINDS[entry.type].read(text)
    except ValueError as error:
        raise SettingsError(f"--{flag}={_clip(text)}: {error}") from None
    values[entry.name] = (*values.get(entry.name, ()), *value) if isinstance(value, tuple) else value


def _show_value(entry: "dataclasses.Field[Any]", value: Any) -> str:
    return KINDS[entry.type].show(value)


def _outside(bounds: Bounds, value: Any) -> str:
    """What is wanted instead of `value`; empty where it is within bounds."""
    if bounds.choices and value not in bounds.choices:
        return "one of " + ", ".join(choice or "''" for choice in bounds.choices)
    shown = KINDS[Seconds].show if isinstance(value, Seconds) else "{:g}".format
    if bounds.least is not None and bounds.most is not None and not bounds.least <= value <= bounds.most:
        return f"{shown(bounds.least)} to {shown(bounds.most)}"
    if bounds.least is not None and not value >= bounds.least:
        return f"{shown(bounds.least)} or more"
    if bounds.above is not None and not value > bounds.above:
        return f"more than {shown(bounds.above)}"
    if bounds.most is not None and not value <= bounds.most:
        return f"{shown(bounds.most)} or less"
    return ""


def _clip(text: str) -> str:
    return text if len(text) <= LONGEST_NAMED else text[:LONGEST_NAMED] + "…"
