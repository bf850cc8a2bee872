"""Which series there are, at a price that does not grow with their number.

Few series are listed, with all their labels (/api/v1/series). Of many that would be hundreds of megabytes, of which
only names and the labels that name objects matter. These are looked up by themselves, which Prometheus answers from its
index (/api/v1/label/__name__/values and /api/v1/labels, with `match[]`): the names, the labels, and for each label that
is wanted the names of the series that have it.

Names are many, too, where a tenant writes some of its own into each. So where they are more than are looked at, each
part that somebody needs is looked at by itself, the series of a namespace with HPAs for example, and has a share.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from cachetools import TTLCache
from promql_parser import VectorSelector

from adapter.metrics.prometheus.connection import Call, Form
from adapter.metrics.promql import write
from adapter.metrics.promql.read import parse
from adapter.metrics.promql.walk import matchers
from adapter.metrics.source import Discovery, Part, SourceError, UnsupportedQuery, Wanted
from adapter.units.text import quote

SERIES_BYTES: Final = 2048
"""Of a listed series, on average at most: a server that does not know the limit on their number is not read on."""
NAME_BYTES: Final = 256
"""Of a name in a list, likewise."""
LABELS: Final = 64
"""That are wanted, of one selector."""
LABELS_BYTES: Final = 2**21
"""Of the list of all labels of a selector: some 100,000."""
LARGE_FOR: Final = 3600.0
"""s until the series of a selector that were too many are listed again."""
SELECTORS: Final = 4096
PARTS: Final = 200
"""That are looked at by themselves, of one selector."""
LEAST: Final = 50
"""Names that each of them may have, however many there are."""
EXAMPLE: Final = "*"
"""The value of a label of which only the name is known."""


class Discoverer:
    """Looks series up through `label_sets` and `texts`, which put one request and read its answer."""

    def __init__(
        self,
        label_sets: Callable[[Call], Awaitable[Sequence[Mapping[str, str]]]],
        texts: Callable[[Call], Awaitable[Sequence[str]]],
        max_series: int,
        max_names: int,
        *,
        clock: Callable[[], float],
    ) -> None:
        self._label_sets = label_sets
        self._texts = texts
        self._max_series = max_series
        self._max_names = max_names
        self._large: TTLCache[str, bool] = TTLCache(SELECTORS, LARGE_FOR, clock)

    async def discover(self, selector: str, span: Form, wanted: Wanted, parts: Sequence[Part] = ()) -> Discovery:
        """What matches `selector`; `span` says between when; `parts`: see `Source`. Raises SourceError."""
        whole = await self._most(selector, span, wanted)
        crowded = len(whole.label_sets) >= (self._max_names if whole.by_name else self._max_series)
        if not (crowded and whole.left_out and parts):
            return whole
        return await self._with_parts(whole, selector, span, wanted, parts[:PARTS])

    async def _with_parts(
        self, whole: Discovery, selector: str, span: Form, wanted: Wanted, parts: Sequence[Part]
    ) -> Discovery:
        """What was found, and of each part as many names as its share."""
        share = max(self._max_names // len(parts), LEAST)
        discoveries = [whole]
        for label, value in parts:
            discoveries.append(await self._part(add_matcher(selector, label, f"={quote(value)}"), span, wanted, share))
        sets: dict[str, dict[str, str]] = {}
        for labels in (labels for one in discoveries for labels in one.label_sets):
            sets.setdefault(labels["__name__"], {}).update(labels)
        left_out = f"{whole.left_out} and the first {share} of each namespace with HPAs"
        return Discovery(list(sets.values()), by_name=True, left_out=left_out)

    async def _part(self, selector: str, span: Form, wanted: Wanted, share: int) -> Discovery:
        if selector not in self._large:
            listed = await self._list_series(selector, span, share)
            if len(listed) <= share:
                return Discovery([_of_interest(labels, wanted) for labels in listed])
            self._large[selector] = True
        return await self._by_name(selector, span, wanted, share)

    async def _most(self, selector: str, span: Form, wanted: Wanted) -> Discovery:
        listed: Sequence[Mapping[str, str]] = ()
        failure: SourceError | None = None
        if selector not in self._large:
            try:
                listed = await self._list_series(selector, span, self._max_series)
            except SourceError as error:  # too long, or not had in time: its names may be
                failure = error
            else:
                if len(listed) <= self._max_series:
                    return Discovery(listed)
        try:
            discovery = await self._by_name(selector, span, wanted, self._max_names)
        except SourceError as error:
            self._large.pop(selector, None)
            if not listed:
                raise failure or error from None
            why = f"more than the first {self._max_series} series (their names cannot be looked up: {error})"
            return Discovery(listed[: self._max_series], left_out=why)
        self._large[selector] = True
        return discovery

    async def _list_series(self, selector: str, span: Form, most: int) -> Sequence[Mapping[str, str]]:
        limit = most + 1
        form = [("match[]", selector), *span, ("limit", str(limit))]
        return await self._label_sets(Call("series", form, most=max(limit * SERIES_BYTES, 2**20)))

    async def _by_name(self, selector: str, span: Form, wanted: Wanted, most: int) -> Discovery:
        names = await self._names(selector, span, most)
        form = [("match[]", selector), *span]
        labels = await self._texts(Call("labels", form, most=LABELS_BYTES))
        labels = [label for label in labels if label != "__name__" and wanted(label)]
        carrying = {
            label: frozenset(await self._names(having(selector, label), span, most)) for label in labels[:LABELS]
        }
        sets = [
            {"__name__": name} | {label: EXAMPLE for label, carriers in carrying.items() if name in carriers}
            for name in names[:most]
        ]
        left_out = ""
        if len(names) > most:
            left_out = f"more than the first {most} names of series (--discovery-max-names)"
        elif len(labels) > LABELS:
            left_out = f"more than the first {LABELS} labels that name objects"
        return Discovery(sets, by_name=True, left_out=left_out)

    async def _names(self, selector: str, span: Form, most: int) -> Sequence[str]:
        limit = most + 1
        form = [("match[]", selector), *span, ("limit", str(limit))]
        call = Call("label/__name__/values", form, most=max(limit * NAME_BYTES, 2**20), by_get=True)
        return (await self._texts(call))[:limit]


def _of_interest(labels: Mapping[str, str], wanted: Wanted) -> dict[str, str]:
    """As of a series of which only the name and the labels are known."""
    return {"__name__": labels.get("__name__", "")} | {label: EXAMPLE for label in labels if wanted(label)}


def having(selector: str, label: str) -> str:
    """The selector of those series that have `label` as well. Raises SourceError where it is none."""
    return add_matcher(selector, label, '!=""')


def add_matcher(selector: str, label: str, matches: str) -> str:
    """The selector with one matcher more, `matches` its operator and value. Raises SourceError where it is none."""
    node = parse(selector)
    if not isinstance(node, VectorSelector):
        raise UnsupportedQuery(f'{selector[:60]!r} is no series selector such as http_requests_total{{pod!=""}}')
    inside = [f"{write.label(name)}{operator}{quote(value)}" for name, operator, value in matchers(node)]
    return write.Writer(inside=lambda _: [*inside, f"{write.label(label)}{matches}"]).write(node)
