"""Reads the gates' metrics pod by pod, and asks the judge.

They come from custom.metrics.k8s.io through the API server, from the very samples that the HPA scales on. What cannot
be read is no evidence; the judge has clocks for that. Where counting stands is held in memory alone: after a restart it
begins at the newest window that the status remembers, so that no request counts twice.
"""

import asyncio
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Final

import structlog

from adapter.kube.client import Client
from adapter.kube.objects import unix
from adapter.rollout.check import Checker
from adapter.rollout.decide.context import Context
from adapter.rollout.decide.wants import canary_pods, stable_pods
from adapter.rollout.evidence.codec import EvidenceError
from adapter.rollout.evidence.record import Record, begin, dump, load
from adapter.rollout.judge import hear, verdict
from adapter.rollout.model.gates import Gate, Gates, GatesError, Kind, parse
from adapter.rollout.model.observation import Json, Observation, Pod
from adapter.rollout.model.policy import RolloutPolicy
from adapter.rollout.model.preview import GENERATED
from adapter.rollout.model.verdict import FREE, Said, Stage, Verdict
from adapter.rollout.model.window import Arm, Counts, Health, Window
from adapter.rollout.preview import Preview
from adapter.rollout.prometheus import Answers, Queries
from adapter.rollout.stable import Stable
from adapter.rollout.standing import stage_of
from adapter.rollout.turns import Checked, Heard
from adapter.rollout.values import Value, Values, nano
from adapter.rollout.windows import Cursor, Cut, Level, Sample, Scrape, cut

log = structlog.get_logger(__name__)
EVERY: Final = 0.4
"""Seconds between two looks at the metrics of one release, at the least."""
AFTER_WINDOW: Final = 1.0
"""The same after a window: where samples come most often, each second, the next one is there no sooner."""
SLACK: Final = 0.05
"""Seconds by which a look may come before it is due, as clocks and sleeps are not exact."""
QUICK: Final = 3.0
"""Where two windows were no more seconds apart, samples come each second or two, and the next window is looked for as
often as that. Else looks come with the turns."""
LATE: Final = 6.0
"""Seconds after a window from which on that is over: a new pod's first sample has come by then."""
AHEAD: Final = 3600.0
"""Seconds by which evidence may be ahead of our clock."""
MOST_RELEASES: Final = 1000
"""Releases whose counting is held in memory."""
EMPTY: Final[Mapping[str, int]] = MappingProxyType({})


class MetricsEars:
    """The judge's ears in a cluster."""

    def __init__(self, client: Client, queries: Queries | None = None, preview: Preview | None = None) -> None:
        """`queries`: who asks for gates by query; None where no Prometheus is known. `preview`: who asks new pods."""
        self._queries, self._preview = queries, preview
        self._values = Values(client)
        self._checker = Checker(self._values, asks_prometheus=queries is not None)
        self._stable = Stable(self._values)
        self._cursors: dict[str, Cursor] = {}
        self._due: dict[str, float] = {}

    async def close(self) -> None:
        """Ends what is under way beside turns."""
        for each in (self._queries, self._preview):
            if each:
                await each.close()

    async def check(self, policy: RolloutPolicy, raw: Json, seen: Observation, now: float) -> Checked:
        """See `Ears`."""
        return await self._checker.check(policy, raw, seen, now)

    async def hear(self, policy: RolloutPolicy, raw: Json, seen: Observation, now: float) -> Heard:
        """The verdict for the policy's present phase; what it read goes into the record of the release."""
        if policy.status.release is None or seen.deployment is None:
            return Heard()
        ctx = Context(policy, policy.status, seen, FREE, now)
        wanted = await self._stable.replicas_wanted(ctx)
        burst = self._preview.look(ctx) if self._preview else None
        heard = await self._judge(policy, raw, seen, now, burst)
        said = self._preview.verdict(ctx, heard.verdict) if self._preview else heard.verdict
        return heard._replace(floor=wanted, verdict=said)

    async def _judge(
        self, policy: RolloutPolicy, raw: Json, seen: Observation, now: float, burst: Counts | None
    ) -> Heard:
        stage, release = stage_of(policy), policy.status.release
        if stage is None or release is None:
            return Heard()
        try:
            gates = parse(raw.get("spec"))
        except GatesError as error:
            return Heard(Verdict(Said.HOLD, str(error), blind=True))
        asked = gates.of(stage)
        if not asked:
            return Heard()
        record, lost = _record(policy, asked, now)
        if lost:
            return Heard(verdict(gates, record, stage, step_of(policy)).verdict, dump(record), lost=lost)
        early = self._due.get(release.id, 0.0) - now
        if burst is None and SLACK < early <= AFTER_WINDOW:  # one that is later was set by a clock that stepped back
            return Heard(verdict(gates, record, stage, step_of(policy)).verdict, again=early)
        self._due[release.id] = now + EVERY
        return await self._listen(Context(policy, policy.status, seen, FREE, now), gates, stage, record, burst)

    async def _listen(self, ctx: Context, gates: Gates, stage: Stage, record: Record, burst: Counts | None) -> Heard:
        """One look at the metrics, cut into a window where there is a new one."""
        key = ctx.release.id
        began = ctx.release.since.timestamp() if ctx.release.since else ctx.now
        cursor = self._cursors.get(key) or Cursor(record.time if record.time is not None else began)
        asked = gates.of(stage)
        queried = [gate for gate in asked if gate.query]
        own = [gate for gate in asked if not gate.query and gate.metric != GENERATED]
        latest = cut(cursor, await self._scrape(ctx, own), ctx.now) if own else Cut(cursor, None)
        self._keep(key, latest.cursor)
        for note in latest.notes:
            log.info("window", release=key, note=note)
        answers = self._look(ctx, queried, max(cursor.since, began)) if queried else None
        if burst is not None:
            answers = {**(answers or {}), GENERATED: {Arm.CANARY: burst}}
        window = _merge(latest.window, answers, own, ctx)
        if window is None:
            again = look_again(latest.cursor, ctx.now)
            return Heard(verdict(gates, record, stage, step_of(ctx.policy)).verdict, again=again)
        self._due[key] = ctx.now + AFTER_WINDOW
        record = hear(gates, record, window, stage)
        return Heard(verdict(gates, record, stage, step_of(ctx.policy)).verdict, dump(record))

    def _look(self, ctx: Context, gates: Sequence[Gate], began: float) -> Answers | None:
        if self._queries is None:
            return {gate.metric: {} for gate in gates}
        return self._queries.look(ctx, gates, began)

    def _keep(self, key: str, cursor: Cursor) -> None:
        self._cursors[key] = cursor
        while len(self._cursors) > MOST_RELEASES:
            oldest = next(iter(self._cursors))
            del self._cursors[oldest]
            self._due.pop(oldest, None)

    async def _scrape(self, ctx: Context, asked: Sequence[Gate]) -> Scrape:
        arms = {Arm.STABLE: stable_pods(ctx), Arm.CANARY: canary_pods(ctx)}
        pods = {pod.name: (arm, pod) for arm, items in arms.items() for pod in items}
        names = sorted({name for gate in asked for name in (gate.metric, gate.total) if name})
        answers = await asyncio.gather(*(self._values.custom(ctx, name) for name in names))
        values = {name: items for name, items in zip(names, answers, strict=True) if items is not None}
        # Without the answer about bad requests, all of them would count as good.
        heard = [gate for gate in asked if gate.metric in values and (not gate.total or gate.total in values)]
        events = {gate.metric: gate.total for gate in heard if gate.kind is Kind.EVENTS}
        levels = {gate.metric for gate in heard if gate.kind is Kind.GAUGE}
        return Scrape(
            counters={bad: _samples(pods, values[total], values[bad]) for bad, total in events.items()},
            gauges={name: _levels(pods, values[name]) for name in sorted(levels)},
            health=_health(ctx),
            step=step_of(ctx.policy),
        )


def look_again(cursor: Cursor, now: float) -> float:
    """Seconds until the next look after one that found no window, where that is sooner than usual; else inf."""
    quick = cursor.time is not None and cursor.pace <= QUICK and now - cursor.time < LATE
    return EVERY if quick else math.inf


def _health(ctx: Context) -> Mapping[Arm, Health]:
    arms = {Arm.STABLE: stable_pods(ctx), Arm.CANARY: canary_pods(ctx)}
    return {arm: health(pods, ctx.release.restarts) for arm, pods in arms.items()}


def _merge(window: Window | None, answers: Answers | None, own: Sequence[Gate], ctx: Context) -> Window | None:
    """Merges the window that was cut with the answers of queries, and notes its gates; None without either."""
    if answers is None:
        return None if window is None else replace(window, asked=frozenset(gate.metric for gate in own))
    if window is None:
        health = {} if own else _health(ctx)
        window = Window(time=ctx.now, health=health, step=step_of(ctx.policy))
        return replace(window, metrics=answers, asked=frozenset(answers))
    spoken = frozenset([*(gate.metric for gate in own), *answers])
    return replace(window, metrics={**window.metrics, **answers}, asked=spoken)


def step_of(policy: RolloutPolicy) -> int | None:
    """The canary's step; None where there are none."""
    release = policy.status.release
    return release.step if release and policy.steps else None


def _record(policy: RolloutPolicy, asked: tuple[Gate, ...], now: float) -> tuple[Record, str]:
    """What the status remembers, and ''; or a new record, and why that one cannot be used."""
    if policy.status.evidence is None:
        return begin(asked), ""
    try:
        record = load(asked, policy.status.evidence)
    except EvidenceError as error:
        return begin(asked), f"the evidence in the status cannot be read: {error}"
    times = [record.time, *(time for gate in record.gates for time in (gate.since, gate.last))]
    if any(time is not None and time > now + AHEAD for time in times):  # else no window would ever be new
        return begin(asked), "the evidence in the status is of the future"
    return record, ""


def _samples(pods: Mapping[str, tuple[Arm, Pod]], totals: Iterable[Value], bads: Iterable[Value]) -> list[Sample]:
    """Totals with the bad ones among them, by pod; a pod that is no longer there has no arm, and does not count."""
    bad = {each.described_object.name: _number(each) for each in bads}
    samples = []
    for each in totals:
        name, time = each.described_object.name, unix(each.timestamp)
        if name in pods and time is not None:
            arm, pod = pods[name]
            born = unix(pod.status.get("startTime"))
            samples.append(Sample(arm=arm, pod=name, time=time, total=_number(each), bad=bad.get(name), born=born))
    return samples


def _levels(pods: Mapping[str, tuple[Arm, Pod]], values: Iterable[Value]) -> list[Level]:
    levels = []
    for each in values:
        name, time = each.described_object.name, unix(each.timestamp)
        if name in pods and time is not None:
            levels.append(Level(pods[name][0], name, time, _number(each)))
    return levels


def _number(value: Value) -> float:
    """The quantity; NaN, which is no evidence, for what is none."""
    amount = nano(value.value)
    return float("nan") if amount is None else amount / 1e9


def health(pods: Sequence[Pod], restarts: Mapping[str, int] = EMPTY) -> Health:
    """Pods that are starting are not unready: `breaker` asks for those that were ready before.

    `restarts`: pod -> restarts that do not count, as they came before the release.
    """
    running = [pod for pod in pods if pod.status.get("phase") == "Running" and not pod.going]
    loops = sum(pod.crash_loops(restarts.get(pod.name, 0)) for pod in running)
    unready = sum(pod.unready_since is not None for pod in running)
    return Health(pods=len(running), unready=unready, crash_looping=loops)
