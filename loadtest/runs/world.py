"""Where a load run takes place: something with pods behind one address, an HPA over them, and a metrics API."""

import time
from contextlib import AbstractAsyncContextManager
from typing import Any, NamedTuple, Protocol

from loadtest.runs.record import Kind


class WorldError(Exception):
    """No run can take place there; one sentence with the object, what is wrong and what would be right."""


class Told(NamedTuple):
    """What the metrics API says: the sum over all pods, of how many, and the newest sample's Unix time."""

    total: float
    pods: int
    sampled: float


class Heard:
    """The counts of a fleet as they change, each with its Unix time."""

    def __init__(self) -> None:
        self.changes: list[tuple[float, Kind, int]] = []
        self.now: dict[Kind, int] = {}
        self.names: set[str] = set()
        """Of all pods that there were."""
        self.remarks: list[tuple[float, str]] = []
        """What somebody did meanwhile, with its Unix time."""
        self.troubles: list[str] = []
        """What a report will lack and why, a sentence each."""

    def note(self, kind: Kind, count: int) -> None:
        """From now on it is `count`; what repeats the last one is none."""
        if self.now.get(kind) != count:
            self.now[kind] = count
            self.changes.append((time.time(), kind, count))

    def trouble(self, text: str) -> None:
        """Something is not as a report needs it; a second one of the same text is none."""
        if text not in self.troubles:
            self.troubles.append(text)

    def remark(self, text: str) -> None:
        """Something was done, in a word or two."""
        self.remarks.append((time.time(), text))


class World(Protocol):
    """One fleet and its HPA. `description` goes into the report."""

    description: str
    host: str
    """What Locust sends to, such as http://10.96.0.7."""
    per_pod: float
    """requests/s that a pod bears."""
    headroom: float
    """The HPA's target is that share below it."""
    low: int
    high: int
    behavior: dict[str, Any]
    """`spec.behavior` of the HPA as JSON; {} where it has none."""
    work_ms: float
    """The usual work of a request, where the sample service is behind it; 0 elsewhere."""
    heard: Heard

    def running(self, *, fixed: int | None) -> AbstractAsyncContextManager[None]:
        """It is there, at its lower bound or with `fixed` pods and no HPA that acts, and is watched."""
        ...

    async def ask_metrics_api(self) -> Told | None:
        """What the metrics API serves now; None where it serves nothing."""
        ...
