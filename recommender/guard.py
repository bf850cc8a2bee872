"""Requests beside an HPA on utilisation: so that the recommendation never sets off the HPA.

Such an HPA compares usage / request with a percentage. Whoever lowers the request raises the utilisation, gets more
replicas, sees less usage in each, lowers the request again, and so on to the HPA's maximum. What the HPA really holds
is a threshold of usage per pod: request × percentage. Keeping that product keeps every decision of the HPA.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from adapter.kube.autoscaling import HorizontalPodAutoscaler
from recommender.objects import TargetRef
from recommender.status import Numbers, quantities

MOST_PERCENT: Final = 1000
"""An advised utilisation is never above this."""


@dataclass(frozen=True)
class Guarded:
    """What to recommend for one resource of a pod's containers, and what else to change with it."""

    amounts: Mapping[str, int]
    """container -> millicores or bytes"""
    utilisation: int | None
    """The HPA's new percentage that keeps its replica count at these amounts; None: leave it as it is."""
    reason: str


def hold(current: Mapping[str, int], wanted: Mapping[str, int], percent: int) -> Guarded:
    """Keeps the requests on which an HPA on utilisation counts; containers without a request take what is wanted."""
    kept = {name: current.get(name, amount) for name, amount in wanted.items()}
    reason = f"an HPA holds this resource at {percent} % of the request: the request stays, so that replicas do"
    return Guarded(kept, None, reason)


def advise(current: Mapping[str, int], wanted: Mapping[str, int], percent: int) -> Guarded:
    """The wanted requests, moved by rounding only, and the percentage at which the HPA decides as it does now.

    `current` and `wanted` name all containers that the HPA's metric sums over. The threshold (sum of current requests
    × percentage) is kept to within rounding up to a whole unit per container.
    """
    before = sum(current.values())
    after = sum(wanted.values())
    if not before or not after:
        return hold(current, wanted, percent)
    advised = min(max(round(percent * before / after), 1), MOST_PERCENT)
    total = percent * before / advised
    amounts = {name: max(round(amount * total / after), 1) for name, amount in wanted.items()}
    reason = (
        f"with these requests set the HPA's target to {advised} % (now {percent} %): "
        "the usage per pod at which it scales stays what it is"
    )
    return Guarded(amounts, advised, reason)


def watched(hpas: Iterable[HorizontalPodAutoscaler], target: TargetRef) -> dict[tuple[str, str], int]:
    """(resource, container or '' for all) -> percentage, of HPAs that hold `target` by utilisation of a request."""
    found = {}
    for hpa in hpas:
        about = hpa.spec.scale_target_ref
        if (about.kind, about.name) != (target.kind, target.name):
            continue
        for metric in hpa.spec.metrics:
            own = metric.resource or metric.container_resource
            if own is not None and own.target.average_utilization is not None:
                container = metric.container_resource.container if metric.container_resource else ""
                found[own.name, container] = own.target.average_utilization
    return found


def held(numbers: Numbers, container: str, requests: Mapping[str, str], by: Mapping[tuple[str, str], int]) -> Numbers:
    """The numbers of a container with what HPAs count on kept at its present request; without one, as they are."""
    percents = {name: by.get((name, container), by.get((name, ""))) for name in requests}
    present = quantities({name: text for name, text in requests.items() if percents[name] is not None})
    cpu, memory = present.get("cpu"), present.get("memory")
    kept = (f"{name} stays at its request, an HPA holds it at {percents[name]} % of that" for name in sorted(present))
    return replace(
        numbers,
        cpu=_enclosing(numbers.cpu, cpu.milli()) if cpu is not None else numbers.cpu,
        memory=_enclosing(numbers.memory, memory.unit()) if memory is not None else numbers.memory,
        note=", ".join(kept),
    )


def _enclosing(bounds: tuple[int, int, int], target: int) -> tuple[int, int, int]:
    """The bounds with another target, moved to enclose it; a target of nothing changes nothing."""
    return (target, min(bounds[1], target), max(bounds[2], target)) if target > 0 else bounds
