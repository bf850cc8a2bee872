"""A VPA as the console shows it: what is recommended, how sure that is, and what is asked for now. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from adapter.kube.objects import Condition, condition
from adapter.program.tables import cores, size
from adapter.units.quantity import Quantity, QuantityError
from recommender.objects import ContainerRecommendation, Vpa
from recommender.status import FETCHING_HISTORY, LOW_CONFIDENCE, MEMORY_RISK, NO_PODS, PROVIDED, UNSUPPORTED

RESOURCES: Final = ("cpu", "memory")
WARNING: Final = (NO_PODS, UNSUPPORTED, LOW_CONFIDENCE, FETCHING_HISTORY)
"""Conditions that are told where they are True."""
BAD: Final = frozenset({NO_PODS, UNSUPPORTED})

Requests = Mapping[tuple[str, str, str], Mapping[str, Mapping[str, str]]]
"""(namespace, kind, name) of a workload -> container -> resource -> quantity."""


class Amounts(NamedTuple):
    """Of one resource of one container; in thousandths, None where there is none."""

    resource: str
    target: int | None
    lower: int | None
    upper: int | None
    uncapped: int | None

    @property
    def is_capped(self) -> bool:
        """Whether the VPA's own policy, or a limit, moved the target."""
        return self.uncapped is not None and self.target is not None and self.uncapped != self.target


class Advice(NamedTuple):
    """For one container."""

    container: str
    amounts: tuple[Amounts, ...]


@dataclass(frozen=True, slots=True)
class VpaView:
    """One VPA."""

    key: str
    namespace: str
    name: str
    kind: str
    target: str
    mode: str
    advice: tuple[Advice, ...]
    warnings: tuple[Condition, ...]
    note: str
    """What the recommender says of its numbers."""
    risk: Condition | None
    """What the memory targets risk: True where it is above the recommender's ceiling; VPA's own tells none."""

    @property
    def text(self) -> str:
        """What a search looks at."""
        return " ".join((self.namespace, self.name, self.kind, self.target, *(one.container for one in self.advice)))

    def request(self, requests: Requests, container: str, resource: str) -> int | None:
        """What the workload's template asks for, in thousandths."""
        by_resource = requests.get((self.namespace, self.kind, self.target), {}).get(container, {})
        return milli(by_resource.get(resource, ""))


def view(vpa: Vpa) -> VpaView:
    """What is shown of a VPA."""
    meta, ref = vpa.metadata, vpa.spec.target_ref
    held = vpa.status.conditions
    provided = condition(held, PROVIDED)
    made = vpa.status.recommendation
    warnings = [one for kind in WARNING if (one := condition(held, kind)) and one.status == "True"]
    return VpaView(
        key=meta.uid or f"{meta.namespace}/{meta.name}",
        namespace=meta.namespace,
        name=meta.name,
        kind=ref.kind if ref else "",
        target=ref.name if ref else "",
        mode=vpa.spec.update_mode,
        advice=tuple(_advice(one) for one in (made.container_recommendations if made else ())),
        warnings=tuple(warnings),
        note=provided.message if provided else "",
        risk=condition(held, MEMORY_RISK),
    )


def milli(text: str) -> int | None:
    """A quantity in thousandths; None for what is none."""
    try:
        return Quantity.parse(text).milli()
    except QuantityError:
        return None


def format_amount(resource: str, amount: int | None) -> str:
    """An amount in thousandths as text for people: cores or bytes; '–' for None."""
    if amount is None:
        return "–"
    return cores(amount) if resource == "cpu" else size(amount // 1000)


def change(request: int | None, target: int | None) -> int | None:
    """From the request to the target, in percent of the request; None where one is not known, or nothing asked for."""
    if request is None or target is None or request <= 0:
        return None
    return round(100 * (target - request) / request)


def _advice(one: ContainerRecommendation) -> Advice:
    amounts = []
    for resource in RESOURCES:
        texts = (one.target, one.lower_bound, one.upper_bound, one.uncapped_target)
        target, lower, upper, uncapped = (milli(each.get(resource, "")) for each in texts)
        amounts.append(Amounts(resource, target, lower, upper, uncapped))
    return Advice(one.container_name, tuple(amounts))
