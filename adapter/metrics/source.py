"""Where values come from, as the rest of the adapter sees it."""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol, TypeAlias

from adapter.metrics.sample import Sample


class Query(NamedTuple):
    """A question to a source."""

    promql: str
    adaptive: bool = False
    """True: where the source can, the window of `rate(x[W])` shrinks from W after a change of the rate."""
    of_times: bool = False
    """True: its values are Unix times, s, as of timestamp(); a source with another clock puts them into ours."""
    most: int = 50_000
    """Elements of the result: a source that would have to hold more refuses."""
    labels: Collection[str] | None = None
    """Whoever asks looks at these labels of the result alone, so a source may leave the others out; None: at all."""


Pod: TypeAlias = tuple[str, str]
"""Namespace and name."""
Since: TypeAlias = Mapping[Pod, float]
"""Pod -> Unix time, s, from which on its samples count: what came before is of another life or load."""
ALWAYS: Final[Since] = MappingProxyType({})
"""All samples of every pod count."""


class SourceError(Exception):
    """A source could not answer; the text is one sentence with the cause, fit for the caller of the API."""

    def __init__(self, text: str, public: str = "") -> None:
        """`public`: the same without what a server wrote, which may repeat the query; '' where it holds none."""
        super().__init__(text)
        self.public = public or text
        """Fit for strangers."""


class RefusedQuery(SourceError):  # noqa: N818 - it is a refusal, not a fault
    """The source could not evaluate this query on the data there is, as where two series contradict a join.

    The same question about fewer objects may well be answered.
    """


class CostlyQuery(RefusedQuery):
    """Looking at the data that there is takes too much; the source knows the more of it the more often it looks."""


class UnsupportedQuery(SourceError):  # noqa: N818 - it is a refusal, not a fault
    """The source will never answer this query; the text says which part and what would be right."""


Wanted: TypeAlias = Callable[[str], bool]
"""Whether a label is of interest."""


def ALL_LABELS(label: str) -> bool:  # noqa: N802 - a constant
    """All are of interest."""
    return True


Part: TypeAlias = tuple[str, str]
"""Of the series that match a selector those that have this label with this value."""


class Discovery(NamedTuple):
    """What a look-up of series found."""

    label_sets: Sequence[Mapping[str, str]]
    """With `__name__`."""
    by_name: bool = False
    """Whether each stands for all series of one name, with the labels that any of them has; values are then unknown."""
    left_out: str = ""
    """What is not among them, one sentence without a full stop; '' where all is."""


class Source(Protocol):
    """A place that answers instant queries (Prometheus' HTTP API, the embedded store)."""

    name: str
    """For messages and metrics: 'prometheus', 'embedded'."""

    knows_sample_times: bool
    """Whether `Sample.time` is the sample's own time, not the evaluation's."""

    def turn(self) -> AbstractAsyncContextManager[None]:
        """Waits until the source may be asked; what is asked within has its turn already."""
        ...

    async def query(self, query: Query, at: float, since: Since = ALWAYS) -> list[Sample]:
        """The instant vector of `query` at Unix time `at`, s. Scalars come as one sample without labels.

        A source that holds the samples itself leaves out those before `since`; one that is asked over a network cannot.
        Raises SourceError.
        """
        ...

    async def silent(self, query: Query, at: float, pods: Since) -> frozenset[Pod]:
        """Those of `pods` that are not worth waiting for at Unix time `at`, s.

        The last scrape of such a pod failed, or held no number that `query` reads, or there was none since the time
        that `pods` tells. A source that is asked over a network cannot tell: it names none.
        """
        ...

    async def discover(
        self, selector: str, since: float, at: float, wanted: Wanted = ALL_LABELS, parts: Sequence[Part] = ()
    ) -> Discovery:
        """What matches a series selector and has samples between `since` and `at`. Raises SourceError.

        Where there are too many series to list, only labels that are `wanted` are told. Where even their names are too
        many, each of `parts` is looked at by itself: what others bring takes nothing away from it.
        """
        ...
