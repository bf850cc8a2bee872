"""One container of a report: what it asks for, what it needs, what it risks, and the verdict. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from recommender.model.containers import DAY

HOURS_A_MONTH: Final = 730.0
DAYS_A_MONTH: Final = HOURS_A_MONTH / 24
SILENT: Final = 8.0
"""days without a sample after which a container is gone, as in the live loop"""
SHORT: Final = 1.0
"""days of history below which a container is in no sum and gets no patch, as `--apply-min-history`"""
FACTORS: Final = (0.8, 0.9, 1.0, 1.25, 1.5, 2.0)
"""Multiples of the targets for "what if"."""
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
    """What a container asks for now; 0 where it asks for none of it."""

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
    first: float | None = None
    """Unix s of the first sample; None: not known"""
    last: float | None = None
    """Unix s of the last sample, to the day where only memory is known"""
    silent: float = 0.0
    """days without a sample, up to the time of the report"""
    note: str = ""
    """Why the target is not what the usage alone would say; '' where it is"""
    risks: Sequence[float] = ()
    """chance a day of a peak above FACTORS times the target"""

    @property
    def verdict(self) -> str:
        """In some words: what is wrong with the request; what is too little comes first."""
        if self.is_silent:
            return f"silent for {self.silent:.0f} days"
        if self.request is None or not any(self.request):
            return "no request"
        pairs = (("little", self.too_little), ("much", self.too_much))
        said = [f"too {how} {' and '.join(names)}" for how, names in pairs if names]
        if not all(self.request):
            said.append(f"no request of {' and '.join(n for n, asked in self.request._asdict().items() if not asked)}")
        if self.unknown:
            said.append(f"no sample of {' and '.join(self.unknown)}")
        if self.is_short and any(self.target):
            said.append("history not known" if self.first is None else f"{self.history * 24:.1f} h of history")
        return ", ".join(said) or "good"

    @property
    def history(self) -> float:
        """Days from the first sample to the last."""
        return 0.0 if self.first is None or self.last is None else (self.last - self.first) / DAY

    @property
    def is_silent(self) -> bool:
        """Whether it has been gone for as long as the live loop remembers a container."""
        return self.silent >= SILENT

    @property
    def is_short(self) -> bool:
        """Whether its samples are of less than a day, or of no known one, which says nothing of the others."""
        return self.history < SHORT

    @property
    def counts(self) -> bool:
        """Whether it is in the sums and gets a patch: its request is known, it lives, and it has lived for a day."""
        return bool(self.request and any(self.request)) and not self.is_silent and not self.is_short

    @property
    def unknown(self) -> list[str]:
        """Resources of which nothing is known."""
        return [name for name, value in self.target._asdict().items() if value is None]

    @property
    def too_little(self) -> list[str]:
        """Resources of which less is asked for than the target."""
        return self._resources_where(lambda request, target: request < target)

    @property
    def too_much(self) -> list[str]:
        """Resources of which far more is asked for than the target."""
        return self._resources_where(lambda request, target: request > TOO_MUCH * target)

    def _resources_where(self, is_so: Callable[[int, int], bool]) -> list[str]:
        return [name for name, request, target in self.pairs if is_so(request, target)]

    @property
    def pairs(self) -> list[tuple[str, int, int]]:
        """(resource, request, target) where both are there."""
        if self.request is None:
            return []
        asked, wanted = self.request._asdict(), self.target._asdict()
        return [(name, asked[name], wanted[name]) for name in asked if asked[name] and wanted[name] is not None]

    def record(self) -> dict[str, Any]:
        """For tables, JSON and CSV."""
        return {
            "container": self.container,
            "samples": self.samples,
            "history_days": round(self.history, 1),
            "request": self.request._asdict() if self.request else {"cpu": "", "memory": ""},
            "target": {name: "" if value is None else value for name, value in self.target._asdict().items()},
            "risk": "" if self.risk is None else round(self.risk, 4),
            "risk_now": "" if self.risk_now is None else round(self.risk_now, 4),
            "days_over": "" if self.days_over is None else self.days_over,
            "saving": "" if self.saving is None else round(self.saving, 2),
            "verdict": self.verdict,
            "note": self.note,
        }
