"""Requests beside an HPA on utilisation: so that the recommendation never sets off the HPA.

Such an HPA compares usage / request with a percentage. Whoever lowers the request raises the utilisation, gets more
replicas, sees less usage in each, lowers the request again, and so on to the HPA's maximum. What the HPA really holds
is a threshold of usage per pod: request × percentage. Keeping that product keeps every decision of the HPA.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

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
