"""The part of Go's text/template that rules files use, between `<<` and `>>`: read once, rendered often.

Read are fields, variables, literals, pipelines, calls, `if`, `range`, `with`, `else`, `break`, `continue`, comments and
trim markers, with the meaning of https://pkg.go.dev/text/template. Not read are `define`, `template` and `block`: a
query has no use for them. What a template does when it runs is in `gorender`.
"""

from collections.abc import Iterator, Mapping, Sequence

from adapter.rules.go import render
from adapter.rules.go.functions import Value
from adapter.rules.go.parse import MAX_TEMPLATE, Parser
from adapter.rules.go.render import Branch, Command, Field, Node, Operand, Output, Pipe, TemplateError, Variable
from adapter.rules.go.writer import AS_IT_IS, Writer

__all__ = ["MAX_TEMPLATE", "Template", "TemplateError"]


class Template:
    """A parsed template. Immutable."""

    def __init__(self, text: str, nodes: tuple[Node, ...]) -> None:
        self.text = text
        self._nodes = nodes

    @classmethod
    def parse(cls, text: str) -> "Template":
        """Read `text`. Raises TemplateError with the place within the template."""
        if len(text) > MAX_TEMPLATE:
            raise TemplateError(f"the template has {len(text)} characters; at most {MAX_TEMPLATE} are read")
        return cls(text, Parser(text).parse())

    def render(self, fields: Mapping[str, Value], writer: Writer = AS_IT_IS) -> str:
        """The text for these fields ('Series' for `.Series`). Raises TemplateError where Go's Execute fails."""
        return render.render(self.text, self._nodes, fields, writer)

    def uses(self, field: str) -> bool:
        """Whether the field is mentioned, or all of them at once by a bare dot."""
        return any(_mentions(pipe, field) for pipe, _ in _pipes(self._nodes))

    def alters(self, field: str) -> bool:
        """Whether the field is used otherwise than written out as it is or asked by `if` whether it is empty."""
        return any(_mentions(pipe, field) and not (plain and _is(pipe, field)) for pipe, plain in _pipes(self._nodes))


def _pipes(nodes: Sequence[Node]) -> Iterator[tuple[Pipe, bool]]:
    """Every pipeline, and whether its value is only written out or tested where it stands."""
    for node in nodes:
        if isinstance(node, Output):
            yield node.pipe, True
        elif isinstance(node, Branch):
            yield node.pipe, node.kind == "if"
            yield from _pipes(node.body)
            yield from _pipes(node.otherwise)


def _is(pipe: Pipe, field: str) -> bool:
    match pipe:
        case Pipe((), _, (Command((Field(None, (name,), _),), _),), _):
            return name == field
    return False


def _mentions(operand: Operand, field: str) -> bool:
    match operand:
        case Pipe(_, _, commands, _):
            return any(_mentions(part, field) for command in commands for part in command.operands)
        case Field(None, names, _):
            return not names or names[0] == field
        case Field(Variable("$"), names, _):
            return not names or names[0] == field
        case Field(base, _, _) if base is not None:
            return _mentions(base, field)
        case Variable(name, _):
            return name == "$"
    return False
