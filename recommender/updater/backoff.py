"""What was tried in vain, and for how long it is not tried again. Pure: time is an argument."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from adapter.units.quantity import Quantity
from recommender.updater.decide import Cause
from recommender.updater.facts import Quantities
from recommender.updater.resize import RESOURCES, Body

REFUSED: Final = 3600.0
"""s after which what the server refused is tried again as it was; twice as long each further time, …"""
RETURNED: Final = 600.0
"""s after which a pod that an eviction gave back as it was may be evicted again; twice as long each further time, …"""
LONGEST: Final = 86400.0
"""… up to this."""
THRESHOLD: Final = 0.1
"""A resize with an amount that differs by so much, relatively, is another one."""
Amounts = Mapping[tuple[str, str, str], Quantity]
"""(container, requests or limits, resource) -> amount"""
Requests = Mapping[str, Quantities]
"""container -> what it requests"""


@dataclass(frozen=True)
class _Try:
    at: float
    times: int
    what: Amounts


class Backoff:
    """Per pod, what was refused and since when it fails; per workload and cause, evictions that changed nothing."""

    def __init__(self) -> None:
        self._refused: dict[str, _Try] = {}
        self._evicted: dict[tuple[tuple[str, str], Cause], _Try] = {}
        self._failing: dict[str, float] = {}

    def refuse(self, uid: str, body: Body, now: float) -> None:
        """The server has refused this resize of the pod, for a reason that will not pass by itself."""
        before = self._refused.get(uid)
        what = _amounts(body)
        times = before.times + 1 if before and not _is_another(before.what, what) else 1
        self._refused[uid] = _Try(now, times, what)

    def is_refused(self, uid: str, body: Body, now: float) -> bool:
        """Whether it is too early for this resize of the pod."""
        tried = self._refused.get(uid)
        return (
            tried is not None
            and now < tried.at + _pause(REFUSED, tried)
            and not _is_another(tried.what, _amounts(body))
        )

    def evict(self, vpa: tuple[str, str], cause: Cause, requests: Requests, now: float) -> None:
        """A pod of the VPA (by key) with these requests is evicted for `cause`."""
        before = self._evicted.get((vpa, cause))
        what = _flat(requests)
        self._evicted[vpa, cause] = _Try(now, before.times + 1 if before and before.what == what else 1, what)

    def has_returned(
        self, vpa: tuple[str, str], cause: Cause, requests: Requests, *, started: float | None, now: float
    ) -> bool:
        """Whether the pod replaced, as it was, one evicted for the same cause, and it is too early for another.

        Who gives pods their requests (VPA's admission controller) did not do so; it would not the next time either.
        """
        tried = self._evicted.get((vpa, cause))
        if tried is None or started is None or started < tried.at or tried.what != _flat(requests):
            return False
        return now < tried.at + _pause(RETURNED, tried)

    def failing_since(self, uid: str, is_failing: bool, now: float) -> float | None:
        """Since when the pod's resize has been failing: the condition tells only since when it has been under way."""
        if not is_failing:
            self._failing.pop(uid, None)
            return None
        return self._failing.setdefault(uid, now)

    def keep(self, uids: set[str], now: float) -> None:
        """Forgets pods that are gone, and evictions of two days ago."""
        self._refused = {uid: tried for uid, tried in self._refused.items() if uid in uids}
        self._failing = {uid: at for uid, at in self._failing.items() if uid in uids}
        self._evicted = {key: tried for key, tried in self._evicted.items() if now - tried.at < 2 * LONGEST}


def _pause(first: float, tried: _Try) -> float:
    return min(first * 2.0 ** min(tried.times - 1, 16), LONGEST)


def _is_another(before: Amounts, now: Amounts) -> bool:
    if before.keys() != now.keys():
        return True
    return any(abs(now[key].nano - amount.nano) >= THRESHOLD * amount.nano for key, amount in before.items())


def _amounts(body: Body) -> Amounts:
    return {
        (entry["name"], part, resource): Quantity.parse(text)
        for containers in body["spec"].values()
        for entry in containers
        for part, amounts in entry["resources"].items()
        for resource, text in amounts.items()
    }


def _flat(requests: Requests) -> Amounts:
    return {
        (name, "requests", resource): amount
        for name, own in requests.items()
        for resource, amount in own.items()
        if resource in RESOURCES
    }
