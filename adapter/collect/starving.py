"""Which HPAs have no value for a metric, and why, where the cause is the source's. Pure: time is an argument."""

from collections.abc import Callable, Iterable, Mapping

from adapter.collect.demand import Demand, ExternalWant, Want
from adapter.collect.held import Held
from adapter.collect.planned import UnknownMetric
from adapter.collect.snapshot import age_limit
from adapter.metrics.source import RefusedQuery, UnsupportedQuery
from adapter.rules.queries import QueryError

SHOWN = 200
"""Characters of a cause that is told to strangers."""


def starving(
    demand: Demand,
    held: Mapping[Want, Held],
    unserved: Mapping[Want, LookupError | QueryError],
    trouble: Callable[[bool], str],
    now: float,
) -> dict[tuple[str, str], str]:
    """(namespace, name) of each HPA whose metric has no value -> one sentence about the first of these metrics.

    `trouble` says why the series of external (True) or custom (False) rules are not all known, '' where they are.
    """
    sentences = {}
    for hpa, wants in demand.declarers.items():
        causes = sorted((want.metric, cause) for want in wants if (cause := _cause(want, held, unserved, trouble, now)))
        if causes:
            metric, cause = causes[0]
            more = f" (and {len(causes) - 1} more)" if len(causes) > 1 else ""
            sentences[hpa] = f"metric {metric}{more} has no value: {cause}"
    return demand.refused | sentences


def _cause(
    want: Want,
    held: Mapping[Want, Held],
    unserved: Mapping[Want, LookupError | QueryError],
    trouble: Callable[[bool], str],
    now: float,
) -> str:
    known = held.get(want)
    if known is not None and known.error is not None:
        table, limits = known.table, known.planned.limits
        if table is None or now - table.evaluated + limits.offset > age_limit(limits, table.slowest()):
            return str(known.error)
    if isinstance(unserved.get(want), UnknownMetric):
        return trouble(isinstance(want, ExternalWant))
    return ""


def failing(held: Iterable[Held]) -> list[str]:
    """What of the queries fails at the moment, one sentence, fit for strangers; none where all is well.

    What the server says about a query may repeat names and labels, so only its own trouble is repeated.
    """
    failed = {one.planned.query: one for one in held if one.error is not None}
    if not failed:
        return []
    errors = [one.error for one in failed.values() if one.error is not None]
    own = [error for error in errors if not isinstance(error, RefusedQuery | UnsupportedQuery)]
    count = "one query" if len(failed) == 1 else f"{len(failed)} queries"
    cause = f": {own[0].public}"[:SHOWN] if own else "; the log says why"
    return [f"{count} failed when last asked{cause}"]
