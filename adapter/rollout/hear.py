"""Reads the gates' metrics pod by pod, and asks the judge.

They come from custom.metrics.k8s.io through the API server, from the very samples that the HPA scales on. What cannot
be read is no evidence; the judge has clocks for that. Where counting stands is held in memory alone: after a restart it
begins at the newest window that the status remembers, so that no request counts twice.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Final

import structlog

from adapter.kube.client import Client
from adapter.kube.objects import unix
from adapter.rollout.decide.context import Context
from adapter.rollout.decide.wants import canary_pods, stable_pods
from adapter.rollout.evidence.codec import EvidenceError
from adapter.rollout.evidence.record import Record, begin, dump, load
from adapter.rollout.judge import hear, verdict
from adapter.rollout.model.gates import Gate, Gates, GatesError, Kind, parse, read
from adapter.rollout.model.observation import Json, Observation, Pod
from adapter.rollout.model.policy import RolloutPolicy
from adapter.rollout.model.status import Phase
from adapter.rollout.model.verdict import FREE, Said, Stage, Verdict
from adapter.rollout.model.window import Arm, Health, Window
from adapter.rollout.prometheus import Answers, Queries
from adapter.rollout.queries import problems
from adapter.rollout.stable import Stable
from adapter.rollout.turns import Checked, Heard
from adapter.rollout.values import Value, Values, nano
from adapter.rollout.windows import Cursor, Cut, Level, Sample, Scrape, cut

log = structlog.get_logger(__name__)
EVERY: Final = 2.0
"""Seconds between two looks at the metrics of one release; scrapes are rarer than that."""
CHECK_SECONDS: Final = 60.0
MOST_RELEASES: Final = 1000
"""Releases whose counting is held in memory."""
SIDE_BY_SIDE: Final = (Phase.STEPPING, Phase.COMPLETING, Phase.FILLING, Phase.SWITCHING)
"""Phases of releases by steps in which both arms have traffic."""
EMPTY: Final[Mapping[str, int]] = MappingProxyType({})


class MetricsEars:
    """The judge's ears in a cluster."""

    def __init__(self, client: Client, queries: Queries | None = None) -> None:
        """`queries`: who asks for gates by query; None where no Prometheus is known."""
        self._queries = queries
        self._values = Values(client)
        self._stable = Stable(self._values)
        self._cursors: dict[str, Cursor] = {}
        self._looked: dict[str, float] = {}
        self._missing: dict[str, tuple[float, int, tuple[str, ...]]] = {}

    async def close(self) -> None:
        """Ends what is under way beside turns."""
        if self._queries:
            await self._queries.close()

    async def check(self, policy: RolloutPolicy, raw: Json, seen: Observation, now: float) -> Checked:
        """See `Ears`."""
        gates = read(raw.get("spec"))[0].gates
        found = problems(gates)
        if not found and self._queries is None and any(gate.query for gate in gates):
            found = ["spec.gates: a gate asks by query, and the controller has no --prometheus-url"]
        if found or seen.deployment is None:
            return Checked(tuple(found))
        return Checked(unheard=await self._unheard(Context(policy, policy.status, seen, FREE, now), gates))

    async def _unheard(self, ctx: Context, gates: Sequence[Gate]) -> tuple[str, ...]:
        """Metrics of gates that no pod has, looked for once a minute: a wrong name is seen before a release is."""
        key = ctx.policy.metadata.uid
        time, generation, found = self._missing.get(key, (0.0, -1, ()))
        if generation != ctx.policy.metadata.generation or ctx.now - time >= CHECK_SECONDS:
            found = tuple([text for gate in gates if (text := await self._missed(ctx, gate))])
            self._missing[key] = (ctx.now, ctx.policy.metadata.generation, found)
            while len(self._missing) > MOST_RELEASES:
                del self._missing[next(iter(self._missing))]
        return found

    async def _missed(self, ctx: Context, gate: Gate) -> str:
        """Bad requests may well have no series yet; all requests, or a gauge, must."""
        name = gate.total or gate.metric
        if gate.query or not ctx.deployment.replicas or await self._values.has(ctx, name):
            return ""
        return f"gate {gate.name}: no pod of the Deployment has the metric {name}; correct its name, or have it served"

    async def hear(self, policy: RolloutPolicy, raw: Json, seen: Observation, now: float) -> Heard:
        """The verdict for the policy's present phase; what it read goes into the record of the release."""
        if policy.status.release is None or seen.deployment is None:
            return Heard()
        wanted = await self._stable.wanted(Context(policy, policy.status, seen, FREE, now))
        return (await self._judged(policy, raw, seen, now))._replace(floor=wanted)

    async def _judged(self, policy: RolloutPolicy, raw: Json, seen: Observation, now: float) -> Heard:
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
        record = _record(policy, asked)
        if now - self._looked.get(release.id, 0.0) < EVERY:
            return Heard(verdict(gates, record, stage, step_of(policy)).verdict)
        self._looked[release.id] = now
        return await self._listen(Context(policy, policy.status, seen, FREE, now), gates, stage, record)

    async def _listen(self, ctx: Context, gates: Gates, stage: Stage, record: Record) -> Heard:
        """One look at the metrics, cut into a window where there is a new one."""
        key = ctx.release.id
        began = ctx.release.since.timestamp() if ctx.release.since else ctx.now
        cursor = self._cursors.get(key) or Cursor(record.time if record.time is not None else began)
        asked = gates.of(stage)
        own, queried = [gate for gate in asked if not gate.query], [gate for gate in asked if gate.query]
        found = cut(cursor, await self._scrape(ctx, own), ctx.now) if own else Cut(cursor, None)
        self._keep(key, found.cursor)
        for note in found.notes:
            log.info("window", release=key, note=note)
        answers = self._look(ctx, queried, cursor.since) if queried else None
        window = _joined(found.window, answers, own, ctx)
        if window is None:
            return Heard(verdict(gates, record, stage, step_of(ctx.policy)).verdict)
        record = hear(gates, record, window, stage)
        return Heard(verdict(gates, record, stage, step_of(ctx.policy)).verdict, dump(record))

    def _look(self, ctx: Context, gates: Sequence[Gate], began: float) -> Answers | None:
        if self._queries is None:
            return Answers({gate.metric: {} for gate in gates})
        return self._queries.look(ctx, gates, began)

    def _keep(self, key: str, cursor: Cursor) -> None:
        self._cursors[key] = cursor
        while len(self._cursors) > MOST_RELEASES:
            oldest = next(iter(self._cursors))
            del self._cursors[oldest]
            self._looked.pop(oldest, None)

    async def _scrape(self, ctx: Context, asked: Sequence[Gate]) -> Scrape:
        arms = {Arm.STABLE: stable_pods(ctx), Arm.CANARY: canary_pods(ctx)}
        pods = {pod.name: (arm, pod) for arm, found in arms.items() for pod in found}
        names = sorted({name for gate in asked for name in (gate.metric, gate.total) if name})
        answers = await asyncio.gather(*(self._values.custom(ctx, name) for name in names))
        values = dict(zip(names, answers, strict=True))
        events = {gate.metric: gate.total for gate in asked if gate.kind is Kind.EVENTS}
        levels = {gate.metric for gate in asked if gate.kind is Kind.GAUGE}
        return Scrape(
            counters={bad: _samples(pods, values[total], values[bad]) for bad, total in events.items()},
            gauges={name: _levels(pods, values[name]) for name in sorted(levels)},
            health=_health(ctx),
            step=step_of(ctx.policy),
        )


def _health(ctx: Context) -> Mapping[Arm, Health]:
    arms = {Arm.STABLE: stable_pods(ctx), Arm.CANARY: canary_pods(ctx)}
    return {arm: health(found, ctx.release.restarts) for arm, found in arms.items()}


def _joined(window: Window | None, answers: Answers | None, own: Sequence[Gate], ctx: Context) -> Window | None:
    """One window of what was cut and what was asked, which says for which gates it speaks."""
    if answers is None:
        return None if window is None else replace(window, asked=frozenset(gate.metric for gate in own))
    if window is None:
        health = {} if own else _health(ctx)
        window = Window(time=ctx.now, health=health, step=step_of(ctx.policy))
        return replace(window, metrics=answers.metrics, asked=frozenset(answers.metrics))
    spoken = frozenset([*(gate.metric for gate in own), *answers.metrics])
    return replace(window, metrics={**window.metrics, **answers.metrics}, asked=spoken)


def stage_of(policy: RolloutPolicy) -> Stage | None:
    """Which gates are asked in the present phase; None where none is."""
    phase = policy.status.phase
    if policy.steps:
        return Stage.CANARY if phase in SIDE_BY_SIDE else None
    return {Phase.PREVIEWING: Stage.PRE, Phase.VERIFYING: Stage.POST}.get(phase)


def step_of(policy: RolloutPolicy) -> int | None:
    """The canary's step; None where there are none."""
    release = policy.status.release
    return release.step if release and policy.steps else None


def _record(policy: RolloutPolicy, asked: tuple[Gate, ...]) -> Record:
    """What the status remembers; nothing where it cannot be read."""
    try:
        return begin(asked) if policy.status.evidence is None else load(asked, policy.status.evidence)
    except EvidenceError as error:
        log.warning("evidence begins anew", policy=policy.metadata.name, cause=str(error))
        return begin(asked)


def _samples(pods: Mapping[str, tuple[Arm, Pod]], totals: Iterable[Value], bads: Iterable[Value]) -> list[Sample]:
    """Totals with the bad ones among them, by pod; a pod that is no longer there has no arm, and does not count."""
    bad = {each.described_object.name: _number(each) for each in bads}
    found = []
    for each in totals:
        name, time = each.described_object.name, unix(each.timestamp)
        if name in pods and time is not None:
            arm, pod = pods[name]
            born = unix(pod.status.get("startTime"))
            found.append(Sample(arm=arm, pod=name, time=time, total=_number(each), bad=bad.get(name), born=born))
    return found


def _levels(pods: Mapping[str, tuple[Arm, Pod]], values: Iterable[Value]) -> list[Level]:
    found = []
    for each in values:
        name, time = each.described_object.name, unix(each.timestamp)
        if name in pods and time is not None:
            found.append(Level(pods[name][0], name, time, _number(each)))
    return found


def _number(value: Value) -> float:
    """The quantity; NaN, which is no evidence, for what is none."""
    found = nano(value.value)
    return float("nan") if found is None else found / 1e9


def health(pods: Sequence[Pod], restarts: Mapping[str, int] = EMPTY) -> Health:
    """Pods that are starting are not unready: `breaker` asks for those that were ready before.

    `restarts`: pod -> restarts that do not count, as they came before the release.
    """
    running = [pod for pod in pods if pod.status.get("phase") == "Running" and not pod.going]
    loops = sum(pod.crash_loops(restarts.get(pod.name, 0)) for pod in running)
    unready = sum(pod.went_unready for pod in running)
    return Health(pods=len(running), unready=unready, crash_looping=loops)
