"""Releases of one Deployment under load, each judged by the adapter's own counters, and what they cost its clients."""

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, NamedTuple

from tests.cluster.rollout import BACK, Clients, Revision, Shop

GOOD_RATE, BAD_RATE = 0.001, 0.05
"""Shares of requests that a release answers with 500."""
EVENTS: Final = {"name": "errors", "metric": "http_errors_total", "total": "http_requests_total", "kind": "events"}
LOOK_S: Final = 2.0
"""Between two looks at what became of a release: each is a kubectl of its own, and eight lanes look at once."""
UNDECIDED: Final = {"afterSeconds": 150, "then": "hold"}
STRATEGIES: Final[dict[str, dict[str, Any]]] = {
    "blue-green": {
        "blueGreen": {"previewSeconds": 2, "verifySeconds": 5},
        "gates": [{**EVENTS, "limit": 0.01, "onUndecided": UNDECIDED}],
    },
    "canary": {
        "canary": {"steps": [{"weight": 25, "pauseSeconds": 5}, {"weight": 50, "pauseSeconds": 5}]},
        "gates": [{**EVENTS, "limit": 0.01, "margin": 0.5, "onUndecided": UNDECIDED}],
    },
}
LONGEST = 300.0
"""s that a release may take; then it is reported as it stands."""
LOOK = 0.3
"""s between two looks at the status."""
LATE, LATE_PAUSE = 20, 0.4
"""Clients that keep a connection which they open once the new revision has traffic, and s between two requests of one:
who had one before stays on the stable pods."""


class Release(NamedTuple):
    """One release; seconds are None where there is nothing to measure."""

    strategy: str
    good: bool
    outcome: str
    seconds: float
    """From the edit to the end, as the policy's history has it."""
    new_s: float | None
    """From the verdict to the last request on a new connection that the losing revision answered."""
    kept_s: float | None
    """The same on kept connections; None: none was on it."""
    requests: int
    failures: tuple[str, ...]
    """Requests without an answer, by cause; a 500 of the service is an answer."""
    restarted: int
    """Judged pods that are gone, or whose container restarted, after the promotion."""

    @property
    def right(self) -> bool:
        """Whether it ended as it should: a good one promoted, a bad one rolled back."""
        return self.outcome == ("Promoted" if self.good else "RolledBack")


class Late(Clients):
    """Clients that keep their connections, from `begin` on."""

    def __init__(self, address: str) -> None:
        super().__init__(address, LATE, LATE_PAUSE, all_keep=True)
        self._begun = False

    def __enter__(self) -> "Late":
        return self

    def begin(self) -> None:
        """Once."""
        if not self._begun:
            super().__enter__()
        self._begun = True

    def __exit__(self, *error: object) -> None:
        if self._begun:
            super().__exit__(*error)


class Lane:
    """Releases of one Deployment, one after the other."""

    def __init__(self, shop: Shop, clients: Clients, strategy: str) -> None:
        self._shop, self._clients, self._strategy = shop, clients, strategy
        self._version, self._stable = 1, "1"

    def release(self, *, good: bool) -> Release:
        """Makes the next release and follows it to its end."""
        self._version += 1
        version = str(self._version)
        before = last_number(self._shop.status())
        asked, failed = self._clients.answers.total(), len(self._clients.failures)
        self._shop.release(version, ERROR_RATE=GOOD_RATE if good else BAD_RATE)
        with Late(self._shop.address) as late:
            verdict, judged, status = self._follow(version, before, late)
        past = status["history"][0] if last_number(status) > before else {}
        promoted = past.get("outcome") == "Promoted"
        after = self._shop.pods()
        loser = self._stable if promoted else version
        if promoted:
            self._stable = version
        return Release(
            strategy=self._strategy,
            good=good,
            outcome=past.get("outcome", "unfinished"),
            seconds=_seconds(past.get("startedAt"), past.get("endedAt")),
            new_s=_seconds_to_last_answer(Revision(loser, True), verdict, self._clients),
            kept_s=_seconds_to_last_answer(Revision(loser, False), verdict, self._clients, late),
            requests=self._clients.answers.total() - asked + late.answers.total(),
            failures=(*self._clients.failures[failed:], *late.failures),
            restarted=sum(after.get(name) != restarts for name, restarts in judged.items()) if promoted else 0,
        )

    def _follow(self, version: str, before: int, late: Late) -> tuple[float | None, dict[str, int], dict[str, Any]]:
        """When the verdict took effect (Unix seconds), the judged pods, and the last status."""
        verdict: float | None = None
        judged: dict[str, int] = {}
        deadline = time.monotonic() + LONGEST
        while True:
            status = self._shop.status()
            phase, release = status.get("phase", ""), status.get("release") or {}
            if Revision(version, True) in self._clients.spans:
                late.begin()
            if phase in (*BACK, "Switching") and verdict is None and release.get("since"):
                verdict = _unix(release["since"])
            if phase == "Returning":
                verdict = _unix(release["since"])  # a rollback after the switch: the second verdict counts
            if phase in ("Verifying", "Adopting") and not judged:
                judged = self._shop.pods(version)
            if (last_number(status) > before and phase == "Idle") or time.monotonic() > deadline:
                return verdict, judged, status
            time.sleep(LOOK)


def _seconds_to_last_answer(revision: Revision, verdict: float | None, *seen: Clients) -> float | None:
    """s from the verdict to the last request that the revision answered; None where none of `seen` came to it."""
    last = [clients.spans[revision].last for clients in seen if revision in clients.spans]
    return None if verdict is None or not last else max(0.0, max(last) - verdict)


def run(lane: Lane, number: int, told: Callable[[Release], None]) -> list[Release]:
    """`number` releases, good and bad in turn; `told` hears of each."""
    made = []
    for place in range(number):
        made.append(lane.release(good=place % 2 == 0))
        told(made[-1])
    return made


def last_number(status: dict[str, Any]) -> int:
    """Of the release that ended last; the history holds only the newest ones."""
    history = status.get("history") or [{}]
    return int(history[0].get("number", 0))


def _unix(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _seconds(start: str | None, end: str | None) -> float:
    return _unix(end) - _unix(start) if start and end else float("nan")
