"""A query of another controller -> the templates of a gate, about the pods of one arm. Pure.

The others tell new pods from stable ones by a Service, a workload or a hash of their own, none of which is there any
more; here it is `{{pods}}`, a pattern of the arm's pods. Matchers that told them apart give way to one on `pod`.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Final, NamedTuple

import promql_parser as ast

from adapter.metrics.promql.read import PromQLError, parse
from adapter.metrics.promql.walk import children
from adapter.metrics.promql.write import Writer, label
from adapter.rollout.foreign.condition import Bound
from adapter.rollout.foreign.ratio import Part, Ratio, ratio
from adapter.rollout.model.query import MOST_CHARACTERS, WINDOW, WINDOWS
from adapter.units.text import quote

PODS: Final = ("pod", "pod_name", "kubernetes_pod_name", "exported_pod")
"""Labels that hold a pod's name."""
WORKLOADS: Final = frozenset(("deployment", "workload", "destination_workload", "destination_canonical_service"))
"""Labels that hold a Deployment's name: new pods are those of another Deployment until they are judged."""
HASHES: Final = ("rollouts_pod_template_hash", "label_rollouts_pod_template_hash")
HASH: Final = "{{hash}}"
OF_PODS: Final = "{{pods}}"
LEAST_LIMIT: Final = 0.001
"""A share of bad requests that can be shown to be kept, by 3,000 good ones."""
MOST_LIMIT: Final = 0.999999

_ARGUMENT: Final = re.compile(r"\{\{-?\s*(?:args\.)?([A-Za-z_$][\w.$-]{0,99})\s*-?\}\}")


class Names(NamedTuple):
    """What the other controller called the arms."""

    target: str
    apart: Collection[str]
    """Services and Deployments of one arm alone, which are not there any more."""
    namespace: str
    service: str = ""
    """The Service that clients ask."""


class Gate(NamedTuple):
    """The part of a gate that a query and a bound give."""

    fields: Mapping[str, object]
    told: bool
    """Whether the query itself told the pods of the arms apart; else a matcher on `pod` was added."""
    dropped: Sequence[str]
    """Matchers that gave way."""
    rounded: bool
    """Whether a limit of nothing at all, which cannot be shown, became the smallest that can."""


def filled(template: str, values: Mapping[str, str]) -> str:
    """The query with its arguments. Raises PromQLError for one that has no value, or where it becomes too long."""
    if len(template) > MOST_CHARACTERS:
        raise PromQLError(f"it has more than {MOST_CHARACTERS} characters")
    missing = sorted({found[1] for found in _ARGUMENT.finditer(template)} - values.keys())
    if missing:
        raise PromQLError(f"the argument {missing[0]} has no value that is known here")
    text = _ARGUMENT.sub(lambda found: values[found[1]][: MOST_CHARACTERS + 1], template)
    if len(text) > MOST_CHARACTERS:
        raise PromQLError(f"with its arguments it has more than {MOST_CHARACTERS} characters")
    if "{{" in text.replace(HASH, ""):
        raise PromQLError("it has an argument that cannot be read")
    return text


def gate(query: str, bound: Bound, names: Names, every: float | None = None) -> Gate:
    """What a gate needs to ask `query` for `bound`. `every`: s between two measurements. Raises PromQLError."""
    tree = parse(query)
    writer = _Arms(names)
    window = _window(tree, every)
    found = ratio(tree)
    share = _share(found, bound) if found else None
    if found and share is not None:
        limit = share or LEAST_LIMIT
        fields: dict[str, object] = {"kind": "events", "query": _events(found, bound, writer, window), "limit": limit}
    else:
        asked = {"value": writer.writer.write(tree), "windowSeconds": window}
        fields = {"kind": "gauge", "query": asked, "limit": _whole(bound.limit)} | (
            {"worse": "lower"} if bound.lower else {}
        )
    dropped = tuple(dict.fromkeys(writer.dropped))
    return Gate(fields, writer.told, dropped, rounded=share == 0)


def _whole(number: float) -> float:
    """Without a point where it needs none."""
    return int(number) if number == int(number) and abs(number) < 1e15 else number


def _share(found: Ratio, bound: Bound) -> float | None:
    """The share of bad requests that the bound allows; None where it is no share between 0 and 1."""
    share = bound.limit / found.scale
    bad = 1 - share if bound.lower else share
    if not 0 <= bad < 1:
        return None
    return float(f"{min(bad, MOST_LIMIT):.6g}")


def _events(found: Ratio, bound: Bound, arms: "_Arms", window: int) -> dict[str, object]:
    part, whole = arms.counted(found.part), arms.counted(found.whole)
    good = found.inverse != bound.lower
    # without a single good request the series of good ones may be missing: then all were bad
    bad = f"clamp_min({whole} - ({part} or vector(0)), 0)" if good else part
    return {"bad": bad, "total": whole, "windowSeconds": window}


def _window(tree: ast.Expr, every: float | None) -> int:
    """The longest range of the query, so that no two windows overlap; else the time between measurements."""
    ranges = [each / timedelta(seconds=1) for each in _ranges(tree)]
    wanted = max(ranges, default=every or WINDOW)
    return round(min(max(wanted, WINDOWS[0]), WINDOWS[1]))


def _ranges(node: ast.Expr) -> Iterator[timedelta]:
    if isinstance(node, ast.MatrixSelector | ast.SubqueryExpr) and node.range is not None:
        yield node.range
    for child in children(node):
        yield from _ranges(child)


class _Arms:
    """Writes selectors about one arm, and remembers what gave way."""

    def __init__(self, names: Names) -> None:
        self.told = True
        self.dropped: list[str] = []
        self.writer = Writer(inside=self._inside)
        self._names = names

    def counted(self, part: Part) -> str:
        """How many there were in the window."""
        return f"sum(increase({self.writer.write(part.selector)}[{{{{window}}}}]))"

    def _inside(self, found: Sequence[tuple[str, str, str]]) -> Sequence[str]:
        kept, about = [], ""
        for name, sign, value in found:
            if HASH in value:
                about = f"pod_template_hash={quote(HASH)}" if name in HASHES else f"{label(name)}{sign}{quote(value)}"
            elif name in PODS and self._is_ours(value):
                about = f"{label(name)}=~{quote(OF_PODS)}"
            elif name == "namespace" and value == self._names.namespace:
                continue  # every selector is bound to it anyway
            elif (name in WORKLOADS and self._is_ours(value)) or _bare(value) in self._names.apart:
                self.dropped.append(f"{label(name)}{sign}{quote(value)}")
            else:
                kept.append(f"{label(name)}{sign}{quote(value)}")
        if not about:
            self.told = False
            about = f"pod=~{quote(OF_PODS)}"
        return [*kept, about]

    def _is_ours(self, value: str) -> bool:
        """Whether a matcher's value is about the workload, as a whole or one arm of it."""
        bare, name = _bare(value), self._names.target
        return bool(name) and (bare == name or bare.startswith((f"{name}-[", f"{name}-primary", f"{name}-canary")))


def _bare(value: str) -> str:
    """A pattern without its signs, a host without its domain."""
    return re.sub(r"[\\^$()]|\.\*|\.\+", "", value).partition(".")[0].rstrip("-")
