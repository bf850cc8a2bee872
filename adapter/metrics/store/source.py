"""The embedded store as a source of values."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext

from adapter.metrics.sample import Sample
from adapter.metrics.slices import Lane, run_in_turns
from adapter.metrics.source import ALL_LABELS, ALWAYS, Discovery, Part, Pod, Query, Since, Wanted
from adapter.metrics.store.evaluate import evaluate
from adapter.metrics.store.silent import silent
from adapter.metrics.store.store import Store


class EmbeddedSource:
    """The store as a `Source`; long queries let the event loop run between slices."""

    name = "embedded"
    knows_sample_times = True

    def __init__(self, store: Store) -> None:
        self.store = store
        self._lane = Lane(lambda: store.looked_at)

    def turn(self) -> AbstractAsyncContextManager[None]:
        """See `Source`: what is in memory has no turns."""
        return nullcontext()

    async def query(self, query: Query, at: float, since: Since = ALWAYS) -> list[Sample]:
        """See `Source`."""
        return await run_in_turns(evaluate(self.store, query, at, since), self._lane)

    async def silent(self, query: Query, at: float, pods: Since) -> frozenset[Pod]:
        """See `Source`."""
        return await run_in_turns(silent(self.store, query, at, pods), self._lane)

    async def discover(
        self, selector: str, since: float, at: float, wanted: Wanted = ALL_LABELS, parts: Sequence[Part] = ()
    ) -> Discovery:
        """See `Source`: all are listed, they are in memory."""
        return Discovery(await self.series([selector], since, at))

    async def series(self, selectors: Sequence[str], since: float, at: float) -> list[Mapping[str, str]]:
        """See `Source`."""
        return await run_in_turns(self.store.series_in_slices(selectors, since, at))
