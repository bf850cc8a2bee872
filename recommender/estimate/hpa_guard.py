"""Requests beside an HPA on utilisation: so that the recommendation never sets off the HPA.

Such an HPA compares usage / request with a percentage. Whoever lowers the request raises the utilisation, gets more
replicas, sees less usage in each, lowers the request again, and so on to the HPA's maximum. What the HPA really holds
is a threshold of usage per pod: request × percentage. Keeping that product keeps every decision of the HPA.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from adapter.hpa.model import TargetType
from adapter.hpa.read import read_metrics
from adapter.kube.autoscaling import CrossVersionObjectReference, HorizontalPodAutoscaler
from adapter.units.quantity import Format, Quantity
from recommender.estimate.postprocess import RESOURCES, Numbers
from recommender.objects import quantities

MOST_PERCENT: Final = 1000
"""An advised utilisation is never above this."""


@dataclass(frozen=True)
class Advised:
    """Requests of one resource together with the HPA's percentage that keeps its replica count."""

    amounts: Mapping[str, int]
    """container -> millicores or bytes"""
    utilisation: int
    """%"""


def advise(current: Mapping[str, int], wanted: Mapping[str, int], percent: int) -> Advised:
    """The wanted requests, moved by rounding only, and the percentage at which the HPA decides as it does now.

    `current` and `wanted` name all containers that the HPA's metric sums over. The threshold (sum of current requests
    × percentage) is kept to within rounding up to a whole unit per container. With nothing requested or wanted there is
    nothing to keep or to move.
    """
    before = sum(current.values())
    after = sum(wanted.values())
    if not before or not after:
        return Advised(current, percent)
    advised = min(max(round(percent * before / after), 1), MOST_PERCENT)
    total = percent * before / advised
    amounts = {name: max(round(amount * total / after), 1) for name, amount in wanted.items()}
    return Advised(amounts, advised)


def beside(
    numbers: Mapping[str, Numbers], requests: Mapping[str, Mapping[str, str]], by: Mapping[tuple[str, str], int]
) -> dict[str, Numbers]:
    """The numbers of a pod's containers with requests that HPAs count on (`by`) left as they are.

    A container without a request takes what is wanted. The note says so, and what else would keep the replica count.
    """
    made = dict(numbers)
    for (resource, container), percent in by.items():
        if resource not in RESOURCES:
            continue
        current = _request_amounts(requests, resource)
        names = [name for name in current if container in ("", name)]
        wanted = {name: _target_or_request(numbers.get(name), resource, current[name]) for name in names}
        advised = advise({name: current[name] for name in names}, wanted, percent)
        for name in names:
            if name in made and getattr(made[name], resource) is not None:
                made[name] = _keep_request(
                    made[name], resource, name, present=current[name], percent=percent, advised=advised
                )
    return made


def utilisation_targets(
    hpas: Iterable[HorizontalPodAutoscaler], target: CrossVersionObjectReference
) -> dict[tuple[str, str], int]:
    """(resource, container or '' for all) -> percentage, of HPAs that hold `target` by utilisation of a request."""
    percentages = {}
    for hpa in hpas:
        about = hpa.spec.scale_target_ref
        if (about.kind, about.name) != (target.kind, target.name):
            continue
        for metric in read_metrics(msgspec.to_builtins(hpa))[0]:
            if metric.target.type is TargetType.UTILIZATION:
                percentages[metric.name, metric.container] = metric.target.value
    return percentages


def _request_amounts(requests: Mapping[str, Mapping[str, str]], resource: str) -> dict[str, int]:
    """container -> what it requests, millicores or bytes; those that request nothing are left out."""
    parsed = {name: quantities(texts).get(resource) for name, texts in requests.items()}
    amounts = {name: value for name, value in parsed.items() if value is not None and value.nano > 0}
    return {name: value.milli() if resource == "cpu" else value.unit() for name, value in amounts.items()}


def _target_or_request(numbers: Numbers | None, resource: str, present: int) -> int:
    """The target, millicores or bytes; the request now (`present`) where there is no target."""
    bounds = getattr(numbers, resource, None)
    return present if bounds is None else int(bounds[0])


def _keep_request(
    numbers: Numbers, resource: str, name: str, *, present: int, percent: int, advised: Advised
) -> Numbers:
    bounds = _enclosing(getattr(numbers, resource), present)
    note = f"{resource} stays at its request, an HPA holds it at {percent} % of that"
    if advised.utilisation != percent:
        amount = advised.amounts[name]
        text = Quantity.of_milli(amount) if resource == "cpu" else Quantity.of(amount, Format.BINARY_SI)
        note += f" ({text} at {advised.utilisation} % would keep its replicas)"
    noted = replace(numbers, note=", ".join(filter(None, (numbers.note, note))))
    return replace(noted, cpu=bounds) if resource == "cpu" else replace(noted, memory=bounds)


def _enclosing(bounds: tuple[int, int, int], target: int) -> tuple[int, int, int]:
    """The bounds with another target, moved to enclose it."""
    return target, min(bounds[1], target), max(bounds[2], target)
