"""Events beside HPAs, for what keeps their metrics away. Bounded: a long outage must not become a storm of writes."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping

import structlog

from adapter.kube.autoscaling import HorizontalPodAutoscaler
from adapter.kube.client import Client
from adapter.kube.errors import KubeError
from adapter.kube.events import EVENTS, event
from adapter.kube.index import Index
from adapter.kube.resources import HORIZONTAL_POD_AUTOSCALERS
from adapter.once import Once

log = structlog.get_logger(__name__)

AGAIN = 600.0
"""s after which what lasts is told again beside the same HPA."""
QUEUE = 1000
"""Events that wait to be written; further ones are told at a later look."""
PAUSE = 0.5
"""s between two writes."""
LOOK_EVERY = 10.0
"""s between two looks at who starves."""
REASON = "MetricUnavailable"


class Announcer:
    """Writes Events beside HPAs; `starving` gives the sentence for each that starves, by namespace and name."""

    def __init__(
        self,
        client: Client | None,
        hpas: Index[HorizontalPodAutoscaler],
        starving: Callable[[], Mapping[tuple[str, str], str]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._hpas = hpas
        self._starving = starving
        self._clock = clock
        self._told = Once(most=20_000, again=AGAIN)
        self._waiting: deque[tuple[str, str, str, str]] = deque()
        self._refused = False

    def tell(self, namespace: str, name: str, reason: str, message: str) -> None:
        """A Warning beside the HPA, unless one of this reason was written there within `AGAIN`."""
        if len(self._waiting) < QUEUE and self._told.first((namespace, name, reason)):
            self._waiting.append((namespace, name, reason, message))

    async def run(self) -> None:
        """Until cancelled."""
        if self._client is None:
            return
        while True:
            for (namespace, name), message in self._starving().items():
                self.tell(namespace, name, REASON, message)
            await self._write(self._client)
            await asyncio.sleep(LOOK_EVERY)

    async def _write(self, client: Client) -> None:
        """Write what waits, slowly; where it is refused nothing of it, as the next one would be, too."""
        number = 0
        while self._waiting:
            namespace, name, reason, message = self._waiting.popleft()
            hpa = self._hpas.get(namespace, name)
            if hpa is None:
                continue
            number += 1
            body = event(
                kind="HorizontalPodAutoscaler",
                api_version=HORIZONTAL_POD_AUTOSCALERS.api_version,
                meta=hpa.metadata,
                reason=reason,
                message=message,
                warning=True,
                component="streamgate-adapter",
                at=self._clock(),
                number=number,
            )
            try:
                await client.create(EVENTS.path(namespace), body, dict)
            except KubeError as error:
                self._waiting.clear()
                if not self._refused:
                    log.warning("no Events can be written beside HPAs", cause=str(error))
                self._refused = True
                return
            self._refused = False
            await asyncio.sleep(PAUSE)
