"""Source -> the same with one small fault in it: what a test has to notice. Pure."""

import ast
from collections.abc import Iterator
from typing import Final, NamedTuple

COMPARED: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
COMPUTED: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.Pow: ast.Mult,
}
TYPES: Final = ("annotation", "returns", "type_params")
"""Fields that say something to the type checker alone."""


class Mutant(NamedTuple):
    """One fault."""

    line: int
    column: int
    was: str
    now: str
    source: str
    """Of the whole file."""


def mutants(source: str) -> Iterator[Mutant]:
    """All of a file, from its top to its end."""
    lines = source.encode().splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    data = source.encode()
    for node, changed in _changes(ast.parse(source)):
        begin = starts[node.lineno - 1] + node.col_offset
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        end = starts[node.end_lineno - 1] + node.end_col_offset
        now = f"({ast.unparse(changed)})"
        made = (data[:begin] + now.encode() + data[end:]).decode()
        yield Mutant(node.lineno, node.col_offset, ast.unparse(node), ast.unparse(changed), made)


def _changes(node: ast.AST) -> Iterator[tuple[ast.expr, ast.expr]]:
    """Expressions, and what may stand in their place. What is for the type checker, and what only asserts, is left."""
    if isinstance(node, ast.Assert | ast.JoinedStr | ast.match_case | ast.Raise):
        inside: list[ast.AST] = [*node.body] if isinstance(node, ast.match_case) else []
    elif isinstance(node, ast.AnnAssign) and "TypeAlias" in ast.unparse(node.annotation):
        inside = []
    else:
        inside = [child for name, value in ast.iter_fields(node) if name not in TYPES for child in _nodes(value)]
    if isinstance(node, ast.expr):
        for changed in _instead(node):
            yield node, ast.fix_missing_locations(ast.copy_location(changed, node))
    for child in inside:
        yield from _changes(child)


def _nodes(value: object) -> list[ast.AST]:
    return (
        [each for each in value if isinstance(each, ast.AST)]
        if isinstance(value, list)
        else ([value] if isinstance(value, ast.AST) else [])
    )


def _instead(node: ast.expr) -> Iterator[ast.expr]:
    match node:
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            for index, sign in enumerate(ops):
                if other := COMPARED.get(type(sign)):
                    yield ast.Compare(left, [*ops[:index], other(), *ops[index + 1 :]], comparators)
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in COMPUTED:
            yield ast.BinOp(left, COMPUTED[type(sign)](), right)
        case ast.BoolOp(op=sign, values=values):
            yield ast.BoolOp(ast.Or() if isinstance(sign, ast.And) else ast.And(), values)
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield operand
        case ast.Constant(value=bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(value=int() | float() as value):
            yield ast.Constant(value + 1)
        case ast.IfExp(test=test, body=body, orelse=otherwise):
            yield ast.IfExp(test, otherwise, body)
