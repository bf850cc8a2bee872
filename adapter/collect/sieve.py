"""Which of the values that are held are served: each judged by its rule's limits and its pod's state, and counted."""

from collections.abc import Callable, Iterable

import structlog

from adapter.collect.answer import CustomQuestion
from adapter.collect.held import Held
from adapter.collect.judge import Judged, LeftOut, judge_reading
from adapter.collect.snapshot import Reading
from adapter.collect.telemetry import CollectTelemetry
from adapter.collect.transition import Span, Transitions
from adapter.once import Once
from adapter.rules.resources import PODS

log = structlog.get_logger(__name__)

GROUP_WEIGHT = 4096
"""Characters of a selector by which pods are known as a group; an HPA's target has less than 500."""
USERS = 256
"""Of whom it is remembered that they asked for more than their share."""
TELL_AGAIN = 600.0
"""s after which the log says so once more."""


class Sieve:
    """What becomes of values when they are asked for."""

    def __init__(
        self, transitions: Transitions | None, telemetry: CollectTelemetry, clock: Callable[[], float]
    ) -> None:
        self._transitions = transitions
        self._telemetry = telemetry
        self._clock = clock
        self._over_share = Once(most=USERS, again=TELL_AGAIN)

    def follow(self, question: CustomQuestion) -> None:
        """Where it is about pods that are averaged together, their comings and goings are followed from now on."""
        if self._transitions is None or question.name != "*" or question.resource != PODS:
            return
        if question.selector.weight > GROUP_WEIGHT:
            return
        groups, selector = self._transitions.groups, question.selector
        over = groups.note_request(question.namespace, selector, self._clock(), question.user)
        if over is not None and self._over_share.first(over):
            log.warning(
                "selectors forgotten",
                user=over[:300],
                problem="the pods of more selectors were asked for than are followed for one user, or for all; those"
                " asked for the longest ago are served one by one, not cut together",
            )

    def judge(self, question: CustomQuestion, names: Iterable[str], held: Held) -> dict[str, Judged | None]:
        """What becomes of each named object's value; None where there is none."""
        table, limits, now = held.table, held.planned.limits, self._clock()
        assert table is not None
        young = self._young(question, held, now)
        verdicts: dict[str, Judged | None] = {}
        for name in names:
            reading = table.readings.get((question.namespace, name))
            if why := young(name, reading):
                verdicts[name] = Judged(reading, None, LeftOut.TRANSITION, why)
            elif reading is None:
                verdicts[name] = None
            else:
                verdicts[name] = judge_reading(reading, limits, table.pace((question.namespace, name)), now)
        self.count(held, [item for item in verdicts.values() if item is not None])
        return verdicts

    def _young(self, question: CustomQuestion, held: Held, now: float) -> Callable[[str, Reading | None], str]:
        """Says of a pod's reading why it is left out for the pod's own state, '' where it is not."""
        transitions, planned = self._transitions, held.planned
        if transitions is None or not planned.ready_pods:
            return lambda _name, _reading: ""
        window = planned.coverage.window if planned.coverage is not None else 0.0
        table = held.table
        assert table is not None
        selector = question.selector if question.name == "*" else None

        def why(name: str, reading: Reading | None) -> str:
            key = (question.namespace, name)
            span, begin = Span(window, table.pace(key).interval), table.begins.get(key)
            return transitions.why_left_out(key, reading, selector=selector, span=span, now=now, begin=begin)

        return why

    def count(self, held: Held, verdicts: Iterable[Judged]) -> None:
        """Count the values that are left out, for /metrics."""
        for item in verdicts:
            if item.left_out is not None:
                self._telemetry.left_out.labels(held.planned.rule.place, item.left_out.value).inc()
