"""What each container could save and what it risks: pure, from a model to records."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np

from recommender.estimate.recommend import Mode, decide
from recommender.model.buckets import Rows
from recommender.model.containers import Model
from recommender.model.peaks import DAYS, Days
from recommender.offline.score import GIB, Prices

HOURS_A_MONTH: Final = 730.0
TOO_MUCH: Final = 1.5
"""A request above so many targets is too much. VPA's upper bound would say so only after a long history."""


class Identity(NamedTuple):
    """Where a container belongs, as far as its name tells: namespace/kind/name/container, or fewer parts."""

    namespace: str
    kind: str
    name: str
    container: str

    @classmethod
    def parse(cls, text: str, kind: str = "") -> "Identity":
        """From four parts, or three (without the kind, for which `kind` stands), or just a container's name."""
        parts = text.split("/")
        if len(parts) == 4:
            return cls(*parts)
        if len(parts) == 3:
            return cls(parts[0], kind, parts[1], parts[2])
        return cls("", "", "", text)

    @property
    def is_workload(self) -> bool:
        """Whether it is enough for a patch."""
        return all(self)


class Request(NamedTuple):
    """What a container asks for now."""

    cpu: int
    """millicores"""
    memory: int
    """bytes"""


class Target(NamedTuple):
    """What a container needs; None where nothing is known of the resource."""

    cpu: int | None
    """millicores"""
    memory: int | None
    """bytes"""


@dataclass(frozen=True)
class Entry:
    """One container of the report; amounts in millicores and bytes, money per month."""

    container: str
    samples: int
    request: Request | None
    target: Target
    peaks: Sequence[int]
    """bytes: daily memory peaks, oldest first; empty where only a histogram is known"""
    risk: float | None
    """chance that tomorrow's memory peak is above the target"""
    risk_now: float | None
    """the same for the request in force"""
    days_over: int | None
    """days of `peaks` on which the request in force was passed"""
    saving: float | None
    """money per month; below 0 where the target is more than the request"""

    @property
    def verdict(self) -> str:
        """In some words: what is wrong with the request; what is too little comes first."""
        if self.request is None:
            return "no request"
        pairs = (("little", self.too_little), ("much", self.too_much))
        said = [f"too {how} {' and '.join(names)}" for how, names in pairs if names]
        if self.unknown:
            said.append(f"no sample of {' and '.join(self.unknown)}")
        return ", ".join(said) or "good"

    @property
    def unknown(self) -> list[str]:
        """Resources of which nothing is known."""
        return [name for name, value in self.target._asdict().items() if value is None]

    @property
    def too_little(self) -> list[str]:
        """Resources of which less is asked for than the target."""
        return self._compared(lambda request, target: request < target)

    @property
    def too_much(self) -> list[str]:
        """Resources of which far more is asked for than the target."""
        return self._compared(lambda request, target: request > TOO_MUCH * target)

    def _compared(self, is_so: Callable[[int, int], bool]) -> list[str]:
        return [name for name, request, target in self.pairs if is_so(request, target)]

    @property
    def pairs(self) -> list[tuple[str, int, int]]:
        """(resource, request, target) where both are known."""
        if self.request is None:
            return []
        asked, wanted = self.request._asdict(), self.target._asdict()
        return [(name, asked[name], wanted[name]) for name in asked if wanted[name] is not None]

    def record(self) -> dict[str, Any]:
        """For tables, JSON and CSV."""
        return {
            "container": self.container,
            "samples": self.samples,
            "request": self.request._asdict() if self.request else {"cpu": "", "memory": ""},
            "target": {name: "" if value is None else value for name, value in self.target._asdict().items()},
            "risk": "" if self.risk is None else round(self.risk, 4),
            "risk_now": "" if self.risk_now is None else round(self.risk_now, 4),
            "days_over": "" if self.days_over is None else self.days_over,
            "saving": "" if self.saving is None else round(self.saving, 2),
            "verdict": self.verdict,
        }


def entries(
    model: Model,
    rows: Rows,
    names: Sequence[str],
    requests: Mapping[str, Request],
    chosen: Mode,
    now: float,
    prices: Prices | None,
) -> list[Entry]:
    """One entry per container: states `rows` are those of `names`."""
    made = decide(model, rows, np.ones(len(rows), dtype=np.int64), now, chosen)
    days, ring = model.states.peaks.days(rows, now), model.states.peaks.recent(rows, DAYS)
    found = []
    for at, name in enumerate(names):
        target = Target(*(int(one.target[at]) if one.known[at] else None for one in (made.cpu, made.memory)))
        peaks = _history(ring[at])
        request = requests.get(name)
        found.append(
            Entry(
                container=name,
                samples=int(model.states.samples[rows[at]]),
                request=request,
                target=target,
                peaks=peaks,
                risk=_risk(chosen, days.part(slice(at, at + 1)), target.memory),
                risk_now=_risk(chosen, days.part(slice(at, at + 1)), request.memory) if request else None,
                days_over=sum(peak > request.memory for peak in peaks) if request and peaks else None,
                saving=_saving(request, target, prices) if request and prices else None,
            )
        )
    return found


def totals(found: Sequence[Entry]) -> dict[str, Any]:
    """Sums over the fleet, of containers whose request is known."""
    known = [entry for entry in found if entry.request]
    pairs = [pair for entry in known for pair in entry.pairs]
    asked = Request(*(sum(request for resource, request, _ in pairs if resource == name) for name in Request._fields))
    wanted = Request(*(sum(target for resource, _, target in pairs if resource == name) for name in Request._fields))
    savings = [entry.saving for entry in known if entry.saving is not None]
    return {
        "containers": len(found),
        "with_request": len(known),
        "request": asked._asdict(),
        "target": wanted._asdict(),
        "saving": round(sum(savings), 2) if savings else "",
        "at_risk": sum(1 for entry in known if entry.days_over),
    }


def failures(found: Sequence[Entry], gates: Mapping[str, float]) -> list[str]:
    """One sentence per container and gate that does not hold: `over` and `under` are multiples of the target."""
    said = []
    for entry in found:
        for name, request, target in entry.pairs:
            unit = "millicores" if name == "cpu" else "bytes"
            share = request / max(target, 1)
            if "over" in gates and share > gates["over"]:
                said.append(f"{entry.container}: {name} request {request} {unit} is {share:.2f} x the target {target}")
            if "under" in gates and share < gates["under"]:
                said.append(f"{entry.container}: {name} request {request} {unit} is {share:.2f} x the target {target}")
    return said


def _history(ring: "np.ndarray[Any, Any]") -> list[int]:
    newest_first = [int(peak) for peak in ring.tolist()]
    while newest_first and not newest_first[-1]:
        newest_first.pop()
    return newest_first[::-1]


def _risk(chosen: Mode, days: Days, amount: int | None) -> float | None:
    """The policy's own chance that the next day's peak is above `amount`; None without daily peaks."""
    if chosen.policy is None or amount is None or not days.highest.any():
        return None
    return float(chosen.policy.risk(days, np.array([amount]))[0])


def _saving(request: Request, target: Target, prices: Prices) -> float | None:
    """Of the resources that have a target; None where none has."""
    known = [
        (asked - wanted) / unit * price
        for asked, wanted, unit, price in zip(request, target, (1000, GIB), prices, strict=True)
        if wanted is not None
    ]
    return sum(known) * HOURS_A_MONTH if known else None
