"""Which HPAs are concerned where series of their namespace find no room in the embedded store. Pure."""

from collections.abc import Collection, Iterable, Mapping

from adapter.collect.demand import Want
from adapter.collect.held import Held

UNTOLD = ""
"""Among names: there are more than are remembered, so anybody may be concerned."""
_BY_NAME = "__name__"


def is_concerned(wants: Iterable[Want], held: Mapping[Want, Held], names: Collection[str]) -> bool:
    """Whether a metric that is wanted is taken from series of one of `names`; so too where that cannot be told.

    It cannot be told of a metric without a query (its series may be those that found no room), or of a query that
    takes names by pattern.
    """
    return UNTOLD in names or any(want not in held or _reads(held[want].planned.query.promql, names) for want in wants)


def _reads(promql: str, names: Collection[str]) -> bool:
    return _BY_NAME in promql or any(name in promql for name in names)
