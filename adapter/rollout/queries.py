"""A gate's PromQL: checked, filled in for one arm, and bound to one namespace, so that it reads no other. Pure.

A query is a template over `{{pods}}` (a pattern of the arm's pods), `{{hash}}` (their pod-template-hash), `{{arm}}`
(stable or canary) and `{{window}}` (the interval that is judged, as '30s'). Whatever it says, every selector in it gets
the namespace's matcher beside its own: matchers are all to hold.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Final, NamedTuple

import promql_parser as ast

from adapter.metrics.promql.insert import Inserter, InsertError
from adapter.metrics.promql.read import PromQLError, parse
from adapter.metrics.promql.walk import children, selectors, unwrap
from adapter.metrics.promql.write import Writer, label
from adapter.rollout.model.gates import Gate
from adapter.rollout.model.window import Arm
from adapter.units.text import quote

ARGUMENT: Final = re.compile(r"\{\{([^{}]*+)\}\}")
"""With blanks around its name: an expression that left them out would take the cube of their number."""
OF_ARM: Final = ("pods", "hash", "arm")
ARGUMENTS: Final = (*OF_ARM, "window")
MOST_RANGE: Final = timedelta(hours=1)
LEAST_STEP: Final = timedelta(seconds=1)
"""Of a subquery."""
MOST_INSTANT: Final = 4
"""Selectors without a range in one query: for each the time of its newest sample is asked."""


class Subject(NamedTuple):
    """Whom a query is about."""

    namespace: str
    arm: Arm
    pods: Sequence[str]
    """Names; at least one."""
    hash: str
    window_seconds: int


ANYBODY: Final = (
    Subject("default", Arm.STABLE, ("web-0",), "7c6b5d9f8", 30),
    Subject("default", Arm.CANARY, ("web-1",), "5d4f8c7b9", 30),
)
"""Whom a query is tried on: one of each arm."""
SAME: Final = 'it reads the same for both arms; right would be a matcher such as pod=~"{{pods}}"'


class Bound(NamedTuple):
    """A query to send, and those whose answers say how old the newest sample of each of its instant selectors is."""

    promql: str
    times: tuple[str, ...] = ()


def bind(template: str, subject: Subject, label_name: str) -> Bound:
    """The query about `subject`, every selector of it bound to its namespace. Raises PromQLError."""
    tree = parse(fill_in(template, _values(subject)))
    if problem := _objection(tree):
        raise PromQLError(problem)
    writer = Writer(
        inside=lambda selector: [*_write_matchers(selector), f"{label(label_name)}={quote(subject.namespace)}"]
    )
    times = tuple(f"max(timestamp({writer.write(selector)}))" for selector in _instant(tree))
    return Bound(writer.write(tree), times)


def fill_in(template: str, values: Mapping[str, str]) -> str:
    """Fills in the arguments, each kept within the text or the braces where it stands. Raises PromQLError."""
    inserter, written, at = Inserter(), [], 0
    for match in ARGUMENT.finditer(template):
        name = match[1].strip()
        if name not in values:
            raise PromQLError(f"{{{{{name[:40]}}}}} is no argument; right would be one of {', '.join(ARGUMENTS)}")
        try:
            written += [inserter.literal(template[at : match.start()]), inserter.insert(values[name])]
        except InsertError as error:
            right = 'right would be within quotes, as in pod=~"{{pods}}"'
            raise PromQLError(f"{{{{{name}}}}} cannot stand where it does: {error}; {right}") from None
        at = match.end()
    return "".join([*written, inserter.literal(template[at:])])


def problem_of(template: str) -> str:
    """What is wrong with a gate's query, whomever it will be about; '' where nothing is."""
    if not any(match[1].strip() in OF_ARM for match in ARGUMENT.finditer(template)):
        return SAME
    try:
        stable, canary = (bind(template, subject, "namespace") for subject in ANYBODY)
    except PromQLError as error:
        return str(error)
    return SAME if stable.promql == canary.promql else ""  # what stands in a comment is not asked


def problems(gates: Sequence[Gate]) -> list[str]:
    """A sentence for each query that cannot be asked, with its field."""
    sentences = []
    for index, gate in enumerate(gates):
        for field, template in gate.query.templates.items() if gate.query else ():
            if problem := problem_of(template):
                sentences.append(f"spec.gates[{index}].query.{field}: {problem}")
    return sentences


def _values(subject: Subject) -> Mapping[str, str]:
    pods = "|".join(name.replace(".", "[.]") for name in sorted(subject.pods))
    window = f"{subject.window_seconds}s"
    return {"pods": pods, "hash": subject.hash, "arm": subject.arm.value, "window": window}


def _objection(tree: ast.Expr) -> str:
    """Why the tree is not asked: what could read another namespace, another time, or without bounds."""
    vectors = list(selectors(tree))
    if not vectors:
        return 'it reads no series; right would be a selector such as http_requests_total{pod=~"{{pods}}"}'
    if isinstance(unwrap(tree), ast.MatrixSelector | ast.SubqueryExpr):
        return "it gives a range of values; right would be one value, such as sum(increase(…[{{window}}]))"
    if len(list(_instant(tree))) > MOST_INSTANT:
        return f"it has more than {MOST_INSTANT} selectors without a range; right would be fewer"
    if any(each.matchers.or_matchers for each in vectors):
        return "matchers joined by `or` cannot be bound to a namespace; right would be two selectors joined by `or`"
    for node in _all(tree):
        if isinstance(node, ast.Call) and node.func.name == "info":
            return "info() reads series that no selector names; right would be a selector joined by on (…)"
        if isinstance(node, ast.VectorSelector | ast.SubqueryExpr) and (node.offset is not None or node.at is not None):
            return "offset and @ are not asked, as both arms are judged by the same interval; right would be neither"
        if isinstance(node, ast.MatrixSelector | ast.SubqueryExpr) and (node.range or timedelta()) > MOST_RANGE:
            return "a range is longer than an hour; right would be [{{window}}]"
        if isinstance(node, ast.SubqueryExpr) and node.step is not None and node.step < LEAST_STEP:
            return "a subquery's step is shorter than a second; right would be 1s or more"
    return ""


def _all(node: ast.Expr) -> Iterator[ast.Expr]:
    yield node
    for child in children(node):
        yield from _all(child)


def _instant(node: ast.Expr) -> Iterator[ast.VectorSelector]:
    """Selectors whose newest sample may be minutes old: those without a range."""
    if isinstance(node, ast.VectorSelector):
        yield node
    elif not isinstance(node, ast.MatrixSelector):
        for child in children(node):
            yield from _instant(child)


def _write_matchers(matchers: Sequence[tuple[str, str, str]]) -> list[str]:
    return [f"{label(name)}{operator}{quote(value)}" for name, operator, value in matchers]
