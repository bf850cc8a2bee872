"""Whether the source reads names of labels in quotes (Prometheus 3): then a selector's key need not be a word."""

import asyncio
from collections.abc import Callable

from adapter.collect.catalogue import Catalogue
from adapter.metrics.promql.write import label
from adapter.metrics.source import Query, Source, SourceError
from adapter.units.selector import Selector

PROBE = 'streamgate_probe{"streamgate.probe"="1"}'
"""Finds nothing; an older Prometheus cannot read it."""
AGAIN = 60.0
"""s after which a source that did not read it, or failed, is asked again: it may be another one now."""


class Quoting:
    """Asks the source once there is a question that needs it."""

    def __init__(self, source: Source, catalogue: Catalogue, clock: Callable[[], float]) -> None:
        self._source = source
        self._catalogue = catalogue
        self._clock = clock
        self._again = 0.0
        self._asking = asyncio.Lock()

    async def learn(self, selector: Selector) -> None:
        """Where a key of `selector` is no word, let the catalogue know whether it can be asked for in quotes."""
        if self._catalogue.quotes or all(label(part.key) == part.key for part in selector.requirements):
            return
        async with self._asking:
            now = self._clock()
            if self._catalogue.quotes or now < self._again:
                return
            self._again = now + AGAIN
            try:
                await self._source.query(Query(PROBE), now)
            except SourceError:
                return
            self._catalogue.learn_quoting()
