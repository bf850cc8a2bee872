"""What a parsed Go template does when it runs: nodes, their evaluation, truth and scope.

Values are strings, integers, floats, truth values, nil, lists and maps of strings: all that a rule's template can meet.
Meaning and failures are those of Go's text/template; where Go would print a mark of confusion into the query
(`%!d(string=a)`), this fails instead.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

from adapter.rules.go import functions
from adapter.rules.go.functions import NIL, NO_VALUE, FunctionError, Value, show, truth
from adapter.rules.go.writer import Writer

MAX_OUTPUT = 1 << 20
"""Characters that one rendering may give."""

MAX_STEPS = 20_000
"""Pieces that one rendering may go through, loops counted by their turns."""


class TemplateError(ValueError):
    """A template that cannot be read or run; the text names the place within it."""


class Literal(NamedTuple):
    value: Value
    at: int


class Variable(NamedTuple):
    """`$x`; `$` is the data that the template started with."""

    name: str
    at: int


class Word(NamedTuple):
    """A function's name."""

    name: str
    at: int


class Field(NamedTuple):
    """`.A.B`, `$x.A` or `(…).A`; without names the dot itself."""

    base: "Operand | None"
    names: tuple[str, ...]
    at: int


class Command(NamedTuple):
    operands: tuple["Operand", ...]
    at: int


class Pipe(NamedTuple):
    """`$a, $b := command | command`."""

    variables: tuple[str, ...]
    declares: bool
    commands: tuple[Command, ...]
    at: int


class Text(NamedTuple):
    text: str


class Output(NamedTuple):
    pipe: Pipe


class Branch(NamedTuple):
    """`if`, `range` or `with`; `else if` is a Branch inside `otherwise`."""

    kind: str
    pipe: Pipe
    body: tuple["Node", ...]
    otherwise: tuple["Node", ...]


class Jump(NamedTuple):
    """`break` or `continue`."""

    kind: str


Operand: TypeAlias = Literal | Variable | Word | Field | Pipe
Node: TypeAlias = Text | Output | Branch | Jump


class _Jumped(Exception):  # noqa: N818 - control flow of range
    def __init__(self, kind: str) -> None:
        self.kind = kind


class Run:
    """One rendering: the variables in scope and what has been written."""

    def __init__(self, source: str, fields: Mapping[str, Value], writer: Writer) -> None:
        self.writer = writer
        self.source = source
        self.fields = fields
        self.variables: list[tuple[str, object]] = [("$", fields)]
        self.written: list[str] = []
        self.size = 0
        self.steps = 0

    def text(self) -> str:
        return "".join(self.written)

    def nodes(self, nodes: Sequence[Node], dot: object) -> None:
        self.steps += len(nodes)
        if self.steps > MAX_STEPS:
            raise TemplateError(f"the template takes more than {MAX_STEPS} steps")
        for node in nodes:
            match node:
                case Text(text):
                    self.write(self.writer.literal(text))
                case Output(pipe):
                    value = self.pipe(pipe, dot)
                    if not pipe.variables:
                        self.write(self.writer.insert(show(self.plain(value, pipe.at))))
                case Branch():
                    self.branch(node, dot)
                case Jump(kind):
                    raise _Jumped(kind)

    def write(self, text: str) -> None:
        self.size += len(text)
        if self.size > MAX_OUTPUT:
            raise TemplateError(f"the template gives more than {MAX_OUTPUT} characters")
        self.written.append(text)

    def branch(self, branch: Branch, dot: object) -> None:
        mark = len(self.variables)
        try:
            if branch.kind == "range":
                self.range(branch, dot)
                return
            value = self.pipe(branch.pipe, dot)
            inner = value if branch.kind == "with" else dot
            if _holds(value):
                self.nodes(branch.body, inner)
            else:
                self.nodes(branch.otherwise, dot)
        finally:
            del self.variables[mark:]

    def range(self, branch: Branch, dot: object) -> None:
        value = self.pipe(branch.pipe._replace(variables=()), dot)
        pairs = _pairs(value)
        if pairs is None:
            raise self.error(
                f"range cannot go through {_show_value(value)!r}; it takes a list or a map", branch.pipe.at
            )
        mark = len(self.variables)
        for key, element in pairs:
            self.bind_element(branch.pipe, key, element)
            try:
                self.nodes(branch.body, element)
            except _Jumped as jump:
                if jump.kind == "break":
                    break
            finally:
                del self.variables[mark:]
        if not pairs:
            self.nodes(branch.otherwise, dot)

    def bind_element(self, pipe: Pipe, key: Value, element: Value) -> None:
        values = (key, element) if len(pipe.variables) == 2 else (element,)
        for name, value in zip(pipe.variables, values, strict=False):
            self.bind(name, value, pipe)

    def bind(self, name: str, value: object, pipe: Pipe) -> None:
        if pipe.declares:
            self.variables.append((name, value))
            return
        for index in range(len(self.variables) - 1, -1, -1):
            if self.variables[index][0] == name:
                self.variables[index] = (name, value)
                return
        raise self.error(f"the variable {name} is not declared", pipe.at)

    def pipe(self, pipe: Pipe, dot: object) -> object:
        value: object = None
        for index, command in enumerate(pipe.commands):
            value = self.command(command, dot, (value,) if index else ())
        for name in pipe.variables:
            self.bind(name, value, pipe)
        return value

    def command(self, command: Command, dot: object, last: tuple[object, ...]) -> object:
        first, *rest = command.operands
        if isinstance(first, Word):
            return self.call(first, rest, dot, last)
        if rest or last:
            raise self.error("a value is given arguments, but only functions take any", command.at)
        if isinstance(first, Literal) and first.value is NIL:
            raise self.error("nil is not a command", command.at)
        return self.operand(first, dot)

    def call(self, word: Word, operands: Sequence[Operand], dot: object, last: tuple[object, ...]) -> object:
        if word.name in ("and", "or"):
            return self.shortcut(word, operands, dot, last)
        arguments = [self.operand(operand, dot) for operand in operands] + list(last)
        try:
            return functions.call(word.name, [self.plain(argument, word.at) for argument in arguments])
        except FunctionError as failure:
            raise self.error(f"{word.name}: {failure}", word.at) from None

    def shortcut(self, word: Word, operands: Sequence[Operand], dot: object, last: tuple[object, ...]) -> object:
        """`and` gives its first empty argument, `or` the first that is not; both else the last."""
        if not operands and not last:
            raise self.error(f"{word.name} needs at least one argument", word.at)
        value: object = None
        for operand in operands:
            value = self.operand(operand, dot)
            if _holds(value) == (word.name == "or"):
                return value
        return last[0] if last else value

    def operand(self, operand: Operand, dot: object) -> object:
        match operand:
            case Literal(literal):
                return literal
            case Variable(name):
                return self.variable(name, operand.at)
            case Word():
                return self.call(operand, (), dot, ())
            case Pipe():
                return self.pipe(operand, dot)
            case Field(base, names, at):
                value = dot if base is None else self.operand(base, dot)
                for name in names:
                    value = self.field(value, name, at)
                return value

    def variable(self, name: str, at: int) -> object:
        for known, value in reversed(self.variables):
            if known == name:
                return value
        raise self.error(f"the variable {name} is not declared", at)

    def field(self, value: object, name: str, at: int) -> object:
        if value is self.fields:
            if name not in self.fields:
                raise self.error(f"there is no field .{name}; right would be one of {_list_fields(self.fields)}", at)
            return self.fields[name]
        if isinstance(value, Mapping):
            return value.get(name, NO_VALUE)
        raise self.error(f"{_show_value(value)!r} has no field .{name}", at)

    def plain(self, value: object, at: int) -> Value:
        """A value as functions take it; all the fields at once are none."""
        if value is self.fields:
            raise self.error("the dot stands for all fields here and is no argument; name one of them", at)
        return value  # type: ignore[return-value]  # everything else that evaluates is a Value

    def error(self, problem: str, at: int) -> TemplateError:
        return TemplateError(f"{place(self.source, at)}: {problem}")


def render(source: str, nodes: Sequence[Node], fields: Mapping[str, Value], writer: Writer) -> str:
    """The text that `nodes` (parsed from `source`) give. Raises TemplateError."""
    run = Run(source, fields, writer)
    try:
        run.nodes(nodes, fields)
    except RecursionError:
        raise TemplateError("the template is nested too deeply") from None
    return run.text()


def place(source: str, at: int) -> str:
    """'column 7', or 'line 2, column 7' in a template of several lines."""
    line, column = source.count("\n", 0, at) + 1, at - source.rfind("\n", 0, at)
    return f"line {line} of the template, column {column}" if "\n" in source.strip() else f"column {column}"


def _list_fields(fields: Mapping[str, Value]) -> str:
    return ", ".join(f".{name}" for name in fields)


def _show_value(value: object) -> str:
    return show(value)  # type: ignore[arg-type]  # a map of all fields prints as a map, which no rule wants or checks


def _holds(value: object) -> bool:
    return truth(value)  # type: ignore[arg-type]


def _pairs(value: object) -> list[tuple[Value, Value]] | None:
    if isinstance(value, Mapping):
        return sorted(value.items())
    if isinstance(value, list | tuple):
        return list(enumerate(value))
    return None
