"""Opt-in: asks the HPA controller to look at an HPA now, where its next look would add pods, instead of within 15 s.

It takes two consents, the flag --reflex and the HPA's annotation. What is written are two changes of places in the
spec that mean nothing, one after the other, so that the spec is as before; `adapter.hpa.hasten` says which and when.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from adapter.clock import steady
from adapter.collect.answer import NO_ANSWER, Answers
from adapter.collect.forecast import Forecast, Forecaster, Target, spec_of
from adapter.faults import ends_program
from adapter.hpa import hasten
from adapter.hpa.fields import HpaError
from adapter.hpa.hasten import Asked, Swap
from adapter.hpa.model import Policy
from adapter.kube.autoscaling import HorizontalPodAutoscaler
from adapter.kube.client import JSON_PATCH, Client
from adapter.kube.errors import KubeError
from adapter.kube.index import Index
from adapter.kube.resources import HORIZONTAL_POD_AUTOSCALERS
from adapter.once import Once

log = structlog.get_logger(__name__)

ANNOTATION: Final = "streamgate.io/reflex"
"""Of an HPA whose owner agrees: "true"."""
EVERY: Final = 0.5
"""s between two looks at one HPA that agreed..."""
LOOKS: Final = 100.0
"""... and no more looks than so many a second at all of them: one takes about 1 ms."""
KNOWN_S: Final = 10.0
"""s for which the size of a target is taken for known, until a decision hangs on it."""
AGAIN_S: Final = 2.0
"""s after which it is asked for again where there is another number of pods."""
REST_S: Final = 5.0
"""s for which an HPA is left alone whose target or values cannot be had..."""
REFUSED_S: Final = 60.0
"""... and whose write was refused: it lacks a right, as a rule, which somebody has to give."""
LOOK_S: Final = 2.0
"""s that one look may take."""
AT_ONCE: Final = 8
MOST: Final = 500
"""HPAs that are looked at; further ones wait for the controller's own looks."""
PER_SECOND: Final = 5.0
BURST: Final = 20.0
"""HPAs that the controller is asked to look at, in all."""
USER: Final = "streamgate-reflex"
"""Who asks for the values, and who the API server is told changed the spec."""

UNPROCESSABLE: Final = 422
"""A patch whose `test` failed."""

Key = tuple[str, str]


@dataclass
class _Followed:
    """One HPA that agreed. Times are the clock's."""

    changed: float
    """When its spec changed last, by whomever."""
    asked: Asked = field(default_factory=Asked)
    target: Target | None = None
    known: float = 0.0
    """When the target was asked for."""
    again: float = 0.0
    """It is left alone until then."""
    rising: float | None = None
    """Since when a look would add pods."""
    owed: Swap | None = None
    """Policies that changed places, and did not change back yet."""
    task: asyncio.Task[None] | None = None


class Outcome(StrEnum):
    """What came of asking for a look."""

    ASKED = "asked"
    OVERTAKEN = "overtaken"
    """Somebody changed the policies meanwhile, and so made the controller look."""
    REFUSED = "refused"
    TOO_MANY = "too many"
    """For all HPAs together: it is asked for a little later."""


class ReflexTelemetry:
    """What it tells of itself, registered once in `registry`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.hpas = Gauge("streamgate_reflex_hpas", "HPAs that agreed to --reflex.", registry=registry)
        text = "Times that the HPA controller was asked to look at an HPA now, by what came of it."
        self.asked = Counter("streamgate_reflex_asked", text, ("outcome",), registry=registry)
        for outcome in Outcome:
            self.asked.labels(outcome)


class Reflex:
    """Looks at the HPAs that agreed as their values change, and asks the controller to."""

    def __init__(
        self,
        client: Client,
        hpas: Index[HorizontalPodAutoscaler],
        forecaster: Forecaster,
        answers: Answers,
        telemetry: ReflexTelemetry,
        *,
        settle: float,
        clock: Callable[[], float] = steady,
    ) -> None:
        """`settle`: s within which samples of all pods of a target follow each other. A look at the first of them alone
        would go half the way, and the next is not asked for at once."""
        self._client, self._hpas, self._forecaster, self._answers = client, hpas, forecaster, answers
        self._settle, self._clock = settle, clock
        self._followed: dict[Key, _Followed] = {}
        self._runs = False
        self._room = asyncio.Semaphore(AT_ONCE)
        self._tokens, self._filled = BURST, clock()
        self._told = Once(most=2 * MOST)
        self._asked = telemetry.asked
        telemetry.hpas.set_function(lambda: len(self._followed))
        hpas.on_change(self._on_change)

    async def run(self) -> None:
        """Until cancelled. Each HPA has a task of its own: one that is slow, or wrong, delays no other."""
        self._runs = True
        try:
            for key in self._followed:
                self._start(key)
            await asyncio.Event().wait()
        finally:
            self._runs = False
            for key in list(self._followed):
                self._forget(key)

    def _start(self, key: Key) -> None:
        self._followed[key].task = asyncio.create_task(self._follow(key, self._followed[key]), name=f"reflex {key}")

    def _forget(self, key: Key) -> None:
        followed = self._followed.pop(key, None)
        if followed is not None and followed.task is not None:
            followed.task.cancel()

    async def _follow(self, key: Key, followed: _Followed) -> None:
        while True:
            await asyncio.sleep(max(EVERY, len(self._followed) / LOOKS))
            try:
                await self._look_within_limits(key, followed)
            except BaseException as error:
                if ends_program(error):
                    raise
                log.exception("a look failed", hpa="/".join(key))  # and the next is not sooner than after any failure
                followed.again = self._clock() + REST_S

    def _on_change(self, old: HorizontalPodAutoscaler | None, new: HorizontalPodAutoscaler | None) -> None:
        hpa = new or old
        assert hpa is not None
        key = (hpa.metadata.namespace, hpa.metadata.name)
        if new is None or new.metadata.annotations.get(ANNOTATION) != "true":
            self._forget(key)
            return
        if key not in self._followed:
            if len(self._followed) >= MOST:
                self._say(key, f"more than {MOST} HPAs have the annotation {ANNOTATION}: this one is left out")
                return
            self._followed[key] = _Followed(self._clock())
            if self._runs:
                self._start(key)
        elif old is None or old.metadata.generation != new.metadata.generation:
            self._followed[key].changed = self._clock()

    async def _look_within_limits(self, key: Key, followed: _Followed) -> None:
        if self._clock() < followed.again:
            return
        async with self._room:
            try:
                async with asyncio.timeout(LOOK_S):
                    await self._look(key, followed)
                return
            except (*NO_ANSWER, TimeoutError):
                rest = REST_S  # why there is no value is told to whoever asks for it; here nothing follows from it
            except KubeError as error:
                rest = REFUSED_S
                self._asked.labels(Outcome.REFUSED).inc()
                self._say(
                    key, f"its change was refused: {error}; --reflex takes the verb patch on horizontalpodautoscalers"
                )
        followed.target, followed.rising, followed.again = None, None, self._clock() + rest

    async def _look(self, key: Key, followed: _Followed) -> None:
        hpa = self._hpas.get(*key)
        if hpa is None or not hpa.status.conditions:  # the controller has not looked at it yet, so will at once
            return
        await self._put_back(hpa, followed)
        try:
            spec = spec_of(hpa)
        except HpaError as error:
            obstacle: str | None = str(error)
        else:
            obstacle = hasten.obstacle(spec, hpa.status.observed_generation)
        if obstacle:
            self._say(key, obstacle)
            followed.again = self._clock() + REST_S
            return
        forecast, swap, now = await self._forecast(hpa, followed), hasten.swap(spec), self._clock()
        if forecast is None or swap is None or not hasten.may_ask(followed.asked, followed.changed, now):
            return
        if not self._takes_token():
            self._asked.labels(Outcome.TOO_MANY).inc()
            return
        followed.rising = None
        followed.asked = hasten.ask(followed.asked, forecast.decision.current, now)
        await self._ask(hpa, followed, swap)
        decision = forecast.decision
        log.info("asked for a look", hpa="/".join(key), replicas=decision.current, desired=decision.desired)

    async def _forecast(self, hpa: HorizontalPodAutoscaler, followed: _Followed) -> Forecast | None:
        """The forecast by the target's known size, then by a fresh one; None until it rose long enough."""
        if self._clock() - followed.known > KNOWN_S:
            followed.target = None
        for target in (followed.target, None) if followed.target else (None,):
            forecast = await self._forecaster.forecast(self._answers, hpa, user=USER, target=target)
            if target is None:
                followed.target, followed.known = forecast.target, self._clock()
            elif len(forecast.pods) != target.scale.spec and self._clock() - followed.known >= AGAIN_S:
                continue  # it has been scaled, or is about to be whole again
            if not (hasten.rises(forecast.decision) and hasten.whole(forecast.pods, forecast.decision.current)):
                followed.rising = None
                return None
            followed.rising = self._clock() if followed.rising is None else followed.rising
            if self._clock() - followed.rising < self._settle:
                return None
        return forecast

    def _takes_token(self) -> bool:
        now = self._clock()
        self._tokens, self._filled = min(BURST, self._tokens + PER_SECOND * (now - self._filled)), now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    async def _ask(self, hpa: HorizontalPodAutoscaler, followed: _Followed, swap: Swap) -> None:
        """There and back; where somebody else wrote in between, his spec stands, and made the controller look."""
        written = await self._write(hpa, swap)
        if written:
            followed.owed = Swap(swap.path, swap.after, swap.before)
            await self._put_back(hpa, followed)
        self._asked.labels(Outcome.ASKED if written else Outcome.OVERTAKEN).inc()

    async def _put_back(self, hpa: HorizontalPodAutoscaler, followed: _Followed) -> None:
        if followed.owed is not None:
            await self._write(hpa, followed.owed)
            followed.owed = None

    async def _write(self, hpa: HorizontalPodAutoscaler, swap: Swap) -> bool:
        """Whether it was done; not where the object or its policies are not as they were seen. Raises KubeError."""
        path = HORIZONTAL_POD_AUTOSCALERS.path(hpa.metadata.namespace, hpa.metadata.name)
        body, params = operations(hpa.metadata.uid, swap), {"fieldManager": USER}
        try:
            await self._client.patch(path, body, dict, content=JSON_PATCH, params=params)
        except KubeError as error:
            if error.status != UNPROCESSABLE:
                raise
            return False
        return True

    def _say(self, key: Key, why: str) -> None:
        if self._told.first(key, why):
            log.warning("no reflex", hpa="/".join(key), cause=why)


def operations(uid: str, swap: Swap) -> list[dict[str, Any]]:
    """A JSON patch that holds only for the very object and the policies as they were seen."""
    path = "/" + "/".join(swap.path)
    return [
        {"op": "test", "path": "/metadata/uid", "value": uid},
        {"op": "test", "path": path, "value": [_policy_json(each) for each in swap.before]},
        {"op": "replace", "path": path, "value": [_policy_json(each) for each in swap.after]},
    ]


def _policy_json(policy: Policy) -> dict[str, Any]:
    return {"type": policy.type.value, "value": policy.value, "periodSeconds": policy.period}
