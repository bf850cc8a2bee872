"""Asks a Prometheus for gates by query: each arm over the same interval, and no moment in two intervals."""

import math
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

import structlog

from adapter.metrics.source import Query as Asked
from adapter.metrics.source import Source, SourceError
from adapter.rollout.beside import Beside
from adapter.rollout.decide.context import Context
from adapter.rollout.decide.wants import canary_pods, stable_pods
from adapter.rollout.model.gates import Gate
from adapter.rollout.model.window import Arm, Arms, Counts, Gauge, Reading
from adapter.rollout.queries import Subject, bind
from adapter.rollout.windows import MAX_AGE

log = structlog.get_logger(__name__)
SECONDS: Final = 20.0
"""That all queries of one release may take; what is not answered by then is no evidence."""
MOST_JOBS: Final = 100
MOST_PODS: Final = 1000
"""Of an arm, named in a query."""


Answers: TypeAlias = Mapping[str, Arms]
"""What the queries of one interval said: the gates' metric -> arms; an arm that is missing is no evidence."""


class Queries:
    """The gates by query of all releases; held in memory is only until when each was asked."""

    def __init__(self, source: Source, namespace_label: str) -> None:
        self._source, self._label = source, namespace_label
        self._beside: Beside[Answers] = Beside(SECONDS, MOST_JOBS)
        self._until: dict[str, dict[str, float]] = {}

    async def close(self) -> None:
        """Ends what is under way."""
        await self._beside.close()

    def look(self, ctx: Context, gates: Sequence[Gate], began: float) -> Answers | None:
        """The answers that have come since the last look. Asks anew where an interval of a gate is over.

        `began`: from when on intervals count, s since 1970: none reaches over the beginning of a step.
        """
        key = ctx.release.id
        done, answers = self._beside.is_done(key), self._beside.take(key)
        if done and answers is None:  # failed or too slow: no evidence, and that has a clock of its own
            answers = {gate.metric: {} for gate in gates}
        if self._beside.busy(key):
            return answers
        until = self._until.setdefault(key, {})
        due = [gate for gate in gates if gate.query and self._over(until, gate, began, ctx.now)]
        if due and self._beside.start(key, self._ask(ctx, due)):
            until |= {gate.name: ctx.now for gate in due}
            while len(self._until) > MOST_JOBS * 10:
                del self._until[next(iter(self._until))]
        return answers

    def _over(self, until: Mapping[str, float], gate: Gate, began: float, now: float) -> bool:
        assert gate.query is not None
        return now - max(until.get(gate.name, began), began) >= gate.query.window_seconds

    async def _ask(self, ctx: Context, gates: Sequence[Gate]) -> Answers:
        """One gate after the other: a release has but one query under way."""
        return {gate.metric: await self._gate(ctx, gate) for gate in gates}

    async def _gate(self, ctx: Context, gate: Gate) -> Arms:
        stable = (Arm.STABLE, ctx.status.stable.hash, stable_pods(ctx))
        arms = (stable, (Arm.CANARY, ctx.release.hash, canary_pods(ctx)))
        readings: dict[Arm, Reading] = {}
        for arm, mark, pods in arms:
            names = [pod.name for pod in pods[:MOST_PODS]]
            if not names or gate.query is None:
                continue
            subject = Subject(ctx.policy.metadata.namespace, arm, names, mark, gate.query.window_seconds)
            try:
                reading = await self._reading(gate, subject, ctx.now)
            except SourceError as error:
                log.info("query not answered", gate=gate.name, arm=arm.value, cause=str(error)[:300])
                continue
            if reading is not None:
                readings[arm] = reading
        return readings

    async def _reading(self, gate: Gate, subject: Subject, at: float) -> Reading | None:
        assert gate.query is not None
        if gate.query.value:
            value = await self._value(gate.query.value, subject, at)
            return None if value is None else Gauge(value)
        total = await self._value(gate.query.total, subject, at)
        bad = await self._value(gate.query.bad, subject, at, empty=0.0)  # a healthy service has no such series
        if total is None or bad is None or total < 0 or bad < 0:
            return None
        return Counts(max(0.0, total - bad), min(bad, total))

    async def _value(self, template: str, subject: Subject, at: float, empty: float | None = None) -> float | None:
        """The one finite value; None for several, NaN, infinity, a stale sample; `empty` for none."""
        bound = bind(template, subject, self._label)
        for times in bound.times:
            stamps = await self._source.query(Asked(times, of_times=True), at)
            if stamps and not at - stamps[0].value <= MAX_AGE:
                return None
        series = await self._source.query(Asked(bound.promql), at)
        if not series:
            return empty
        value = series[0].value
        return value if len(series) == 1 and math.isfinite(value) else None
