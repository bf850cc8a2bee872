"""What each container could save and what it risks: pure, from a model to records."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from recommender.estimate.estimators import Recommendation
from recommender.estimate.hpa_guard import beside
from recommender.estimate.postprocess import Numbers, PostProcessor
from recommender.estimate.recommend import Mode, decide
from recommender.model.buckets import Rows
from recommender.model.containers import DAY, Model
from recommender.model.histogram import NEVER
from recommender.model.peaks import DAYS
from recommender.offline.entry import DAYS_A_MONTH, FACTORS, HOURS_A_MONTH, Entry, Identity, Request, Target
from recommender.offline.score import GIB, Prices


def entries(
    model: Model,
    rows: Rows,
    names: Sequence[str],
    now: float,
    *,
    chosen: Mode,
    post: PostProcessor,
    requests: Mapping[str, Request],
    hpas: Mapping[tuple[str, str, str], Mapping[tuple[str, str], int]] | None = None,
    kind: str = "Deployment",
    prices: Prices | None = None,
) -> list[Entry]:
    """One entry per container: states `rows` are those of `names`, at Unix time `now`, s.

    Containers of one workload share its pods' minimum, as in the live loop; `kind` is that of those named without one.
    What an HPA of the workload (`hpas`, by namespace, kind and name) counts on stays at its request.
    """
    pods = workloads(names, kind)
    numbers = _numbers_by_name(model, rows, names, now, chosen=chosen, post=post, pods=pods)
    for workload, held in (hpas or {}).items():
        numbers.update(_beside(numbers, pods.get(workload, ()), requests, held))
    targets = [
        Target(*(bounds and bounds[0] for bounds in (numbers[name].cpu, numbers[name].memory))) for name in names
    ]
    risks = _Risks(model, rows, now, chosen)
    at_target = risks.of([target.memory for target in targets])
    measured = [target.memory is not None for target in targets]
    at_request = risks.of(
        [
            (name in requests and requests[name].memory) or None if has else None
            for name, has in zip(names, measured, strict=True)
        ]
    )
    multiples = [
        risks.of([target.memory and round(target.memory * factor) for target in targets]) for factor in FACTORS
    ]
    seen = _sample_times(model, rows)
    ring = model.states.peaks.recent(rows, DAYS)
    return [
        _entry(
            name,
            request=requests.get(name),
            target=targets[at],
            samples=int(model.states.samples[rows[at]]),
            peaks=_history(ring[at]) if measured[at] else [],
            risk=(at_target[at], at_request[at]),
            risks=[risk for one in multiples if (risk := one[at]) is not None],
            seen=seen[at],
            now=now,
            note=numbers[name].note,
            prices=prices,
        )
        for at, name in enumerate(names)
    ]


def _numbers_by_name(
    model: Model,
    rows: Rows,
    names: Sequence[str],
    now: float,
    *,
    chosen: Mode,
    post: PostProcessor,
    pods: Mapping[tuple[str, str, str], Sequence[str]],
) -> dict[str, Numbers]:
    sharing = {name: len(own) for own in pods.values() for name in own}
    made = decide(model, rows, np.array([sharing[name] for name in names], dtype=np.int64), now, chosen)
    return {name: _numbers(made, at, post) for at, name in enumerate(names)}


def _entry(
    name: str,
    *,
    request: Request | None,
    target: Target,
    samples: int,
    peaks: Sequence[int],
    risk: tuple[float | None, float | None],
    risks: Sequence[float],
    seen: tuple[float | None, float | None],
    now: float,
    note: str,
    prices: Prices | None,
) -> Entry:
    entry = Entry(
        container=name,
        samples=samples,
        request=request,
        target=target,
        peaks=peaks,
        risk=risk[0],
        risk_now=risk[1],
        days_over=sum(peak > request.memory for peak in peaks) if request and request.memory and peaks else None,
        saving=None,
        first=seen[0],
        last=seen[1],
        silent=0.0 if seen[1] is None else max(now - seen[1], 0.0) / DAY,
        note=note,
        risks=risks,
    )
    if request and prices and entry.counts:
        return replace(entry, saving=_saving(request, target, prices))
    return entry


def totals(entries: Sequence[Entry]) -> dict[str, Any]:
    """Sums over the containers that count; days with an overrun are those expected in a month."""
    known = [entry for entry in entries if entry.counts]
    pairs = [pair for entry in known for pair in entry.pairs]
    asked = Request(*(sum(request for resource, request, _ in pairs if resource == name) for name in Request._fields))
    wanted = Request(*(sum(target for resource, _, target in pairs if resource == name) for name in Request._fields))
    savings = [entry.saving for entry in known if entry.saving is not None]
    risks = [(entry.risk_now, entry.risk) for entry in known if entry.risk is not None and entry.risk_now is not None]
    return {
        "containers": len(entries),
        "with_request": sum(1 for entry in entries if entry.request),
        "counted": len(known),
        "request": asked._asdict(),
        "target": wanted._asdict(),
        "saving": round(sum(savings), 2) if savings else "",
        "overrun_days_now": round(sum(now for now, _ in risks) * DAYS_A_MONTH, 1) if risks else "",
        "overrun_days_target": round(sum(target for _, target in risks) * DAYS_A_MONTH, 1) if risks else "",
        "at_risk": sum(1 for entry in known if entry.days_over),
    }


def failures(entries: Sequence[Entry], gates: Mapping[str, float]) -> list[str]:
    """A sentence for each gate that a container fails, if it counts; `over` and `under` are in targets."""
    said = []
    for entry in entries:
        for name, request, target in entry.pairs if entry.counts else ():
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


class _Risks:
    """The policy's own chance that the next day's peak is above an amount, for many containers."""

    def __init__(self, model: Model, rows: Rows, now: float, chosen: Mode) -> None:
        self._policy, self._days = chosen.policy, model.states.peaks.days(rows, now)

    def of(self, amounts: Sequence[int | None]) -> list[float | None]:
        """The risk of each container's amount, bytes; None without daily peaks or an amount."""
        if self._policy is None or not amounts:
            return [None] * len(amounts)
        risks = self._policy.risk(self._days, np.array([amount or 0 for amount in amounts], dtype=np.int64))
        has = [bool(day.any()) for day in self._days.highest]
        return [
            float(risk) if amount is not None and known else None
            for risk, amount, known in zip(risks, amounts, has, strict=True)
        ]


def workloads(names: Sequence[str], kind: str) -> dict[tuple[str, str, str], list[str]]:
    """(namespace, kind, name) -> containers; one whose workload is not known stands alone under its name."""
    by_workload: dict[tuple[str, str, str], list[str]] = {}
    for name in names:
        identity = Identity.parse(name, kind)
        key = identity[:3] if identity.is_workload else ("", "", name)
        by_workload.setdefault(key, []).append(name)
    return by_workload


def _numbers(made: Recommendation, at: int, post: PostProcessor) -> Numbers:
    """One container's numbers, rounded and held to the maxima that hold everywhere."""
    bounds: list[tuple[int | None, int | None]] = []
    for name in ("target", "lower", "upper"):
        values = [int(getattr(one, name)[at]) if one.known[at] else None for one in (made.cpu, made.memory)]
        amounts = post.amounts(*values)
        cpu, memory = amounts.cpu, amounts.memory
        bounds.append((None if cpu is None else cpu.milli(), None if memory is None else memory.unit()))
    cpus, sizes = ([each for each in column if each is not None] for column in zip(*bounds, strict=True))
    return Numbers(
        cpu=(cpus[0], cpus[1], cpus[2]) if cpus else None,
        memory=(sizes[0], sizes[1], sizes[2]) if sizes else None,
        confidence=1.0,
    )


def _beside(
    all_numbers: Mapping[str, Numbers],
    own: Sequence[str],
    requests: Mapping[str, Request],
    held: Mapping[tuple[str, str], int],
) -> dict[str, Numbers]:
    """The numbers of one workload's containers with what its HPA counts on kept."""
    short = {name.rpartition("/")[2]: name for name in own}
    asked = {
        container: {"cpu": f"{requests[name].cpu}m", "memory": str(requests[name].memory)}
        for container, name in short.items()
        if name in requests
    }
    kept = beside({container: all_numbers[name] for container, name in short.items()}, asked, held)
    for resource, container in held:
        for name in kept.keys() - asked.keys() if not container else {container} & kept.keys() - asked.keys():
            note = f"an HPA holds its {resource}, and its request is not known"
            kept[name] = replace(kept[name], **{resource: None}, note=note)  # type: ignore[arg-type]
    return {short[container]: numbers for container, numbers in kept.items()}


def _sample_times(model: Model, rows: Rows) -> list[tuple[float | None, float | None]]:
    """(first, last) sample's Unix time, s; None where no sample was seen."""
    states, peaks = model.states, model.states.peaks
    first, last, peak = states.first_sample[rows], states.last_sample[rows], peaks.first[rows]
    begun = np.where(peak == NEVER, first, np.where(first == NEVER, peak, np.minimum(first, peak)))
    ended = np.where(peak == NEVER, last, np.maximum.reduce([last, peak, peaks.day[rows] * DAY]))
    return [
        (None, None) if start == NEVER else (float(start), float(end)) for start, end in zip(begun, ended, strict=True)
    ]


def _saving(request: Request, target: Target, prices: Prices) -> float | None:
    """Of the resources that have a request and a target; None where none has."""
    known = [
        (asked - wanted) / unit * price
        for asked, wanted, unit, price in zip(request, target, (1000, GIB), prices, strict=True)
        if asked and wanted is not None
    ]
    return sum(known) * HOURS_A_MONTH if known else None
