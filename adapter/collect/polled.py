"""Pods whose newest values somebody polls, as the gates of a release poll counters: worth scraping more often.

Only questions about plain values count: rates are over a minute, and need even steps. Bounded in all and for each
namespace, as whoever may read a namespace's metrics decides how often its pods are scraped.
"""

import math
from collections.abc import Callable, Iterable
from typing import Final

from cachetools import TTLCache

from adapter.clock import steady
from adapter.collect.answer import CustomQuestion
from adapter.collect.groups import GroupKey

POLL_S: Final = 5.0
"""Who asks the same again within so many s polls; its pods are scraped more often for as long after."""
AT_ONCE_S: Final = 0.5
"""A question that comes again sooner tells nothing new."""
QUESTIONS: Final = 500
WEIGHT: Final = 4096
"""Characters of a question's selector; a Deployment's has less than 500."""
PODS: Final = 500
OF_NAMESPACE: Final = 100


class Polled:
    """The pods whose newest values are polled. `clock` tells s and never steps."""

    def __init__(self, clock: Callable[[], float] = steady) -> None:
        self._clock = clock
        self._asked: TTLCache[tuple[GroupKey, str], float] = TTLCache(QUESTIONS, POLL_S, clock)
        self._pods: TTLCache[tuple[str, str], None] = TTLCache(PODS, POLL_S, clock)
        self._handlers: list[Callable[[str, str], object]] = []

    def on_poll(self, handler: Callable[[str, str], object]) -> None:
        """Calls `handler(namespace, pod)` when a pod is polled that was not, from now on."""
        self._handlers.append(handler)

    @property
    def number(self) -> int:
        """How many pods are polled."""
        return len(self._pods)

    def note_question(self, question: CustomQuestion, pods: Iterable[str]) -> None:
        """Somebody asks for a plain value of these pods of one namespace."""
        if question.selector.weight > WEIGHT:
            return
        key, now = (GroupKey(question.namespace, question.selector), question.metric), self._clock()
        before = self._asked.get(key, -math.inf)
        if now - before < AT_ONCE_S:
            return
        self._asked[key] = now
        if before > -math.inf:
            self._poll(question.namespace, pods)

    def _poll(self, namespace: str, pods: Iterable[str]) -> None:
        room = min(PODS - len(self._pods), OF_NAMESPACE - sum(space == namespace for space, _ in self._pods))
        new = []
        for name in pods:
            pod = namespace, name
            if pod not in self._pods:
                if room <= 0:
                    continue
                room -= 1
                new.append(pod)
            self._pods[pod] = None
        for pod in new:
            for handler in self._handlers:
                handler(*pod)

    def holds(self, namespace: str, pod: str) -> bool:
        """Whether somebody polls a value of the pod."""
        return (namespace, pod) in self._pods
