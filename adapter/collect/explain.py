"""The story of an answer: rule, query, values, ages, and what is missing and why. Pure: time is an argument."""

from collections.abc import Mapping
from typing import NamedTuple

from adapter.collect import refusals
from adapter.collect.catalogue import Catalogue, Offered
from adapter.collect.demand import CustomWant, Demand
from adapter.collect.judge import Judged, quantity
from adapter.collect.planned import Planned
from adapter.collect.snapshot import Table, age_limit
from adapter.metrics.source import SourceError
from adapter.rules import merge


class Origin(NamedTuple):
    """The source that a table came from."""

    name: str
    knows_sample_times: bool


def of_rules(catalogue: Catalogue, left_out: Mapping[str, str]) -> list[str]:
    """What is wrong with rules, what of their series is left out (by place), and what becomes of the series of each."""
    told = [f"{place}: {sentence}" for place, sentence in left_out.items() if sentence]
    accounts = catalogue.accounts(catalogue.rules)
    return [*catalogue.problems, *told, *(f"{rule.place}: {known}" for rule, known in accounts)]


def of_rule(
    offered: Offered, want: CustomWant, demand: Demand, catalogue: Catalogue, refused: SourceError | None = None
) -> dict[str, object]:
    """Which rule answers, by which kind of query, and which HPAs want it; `refused`: why the shared query is."""
    rule = offered.bound.rule
    shared = want.objects is None
    account = next((str(known) for _, known in catalogue.accounts([rule])), "")
    if shared:
        query = "shared by all who want this metric"
    elif refused is not None:
        query = f"each request has its own query, because the shared one is refused: {refused}"
    else:
        query = merge.why_not(offered.bound, want.resource)
    want = want._replace(objects=None)
    return {
        "metric": want.metric,
        "rule": {
            "place": rule.place,
            "seriesQuery": rule.series_query,
            "account": account,
            "series": offered.series,
        },
        "query": query,
        "wantedBy": sorted(f"HPA {ns}/{name}" for (ns, name), wants in demand.declarers.items() if want in wants),
    }


def of_values(
    planned: Planned,
    table: Table,
    verdicts: Mapping[str, Judged | None],
    origin: Origin,
    *,
    namespace: str,
    waits_for: str,
    error: str,
    now: float,
) -> dict[str, object]:
    """What was asked and what came of it, by object; `error` of the last evaluation, `waits_for` of the next."""
    sampled = origin.knows_sample_times or planned.times is not None
    limits = [age_limit(planned.limits, table.pace((namespace, name))) for name in verdicts]
    return {
        "source": origin.name,
        "promql": planned.query.promql,
        "adaptiveWindow": planned.query.adaptive,
        "timeOf": "the sample" if sampled else "the evaluation",
        "evaluatedSecondsAgo": round(now - table.evaluated, 1),
        "lastError": error,
        "unread": planned.unread,
        "everySeconds": round(table.every, 1),
        "next": waits_for,
        "maxAgeSeconds": round(max(limits, default=age_limit(planned.limits, table.slowest())), 1),
        "objects": {
            name: _of_object(judged, now, refusals.too_short([(namespace, name)], table, planned.needs))
            | _of_wait(table, namespace, name)
            for name, judged in verdicts.items()
        },
    }


def _of_object(verdict: Judged | None, now: float, short: str) -> dict[str, object]:
    if verdict is None:
        return {"missing": short or "the query's result has no sample for it"}
    reading = verdict.reading
    if reading is None:
        return {"missing": verdict.why}
    told: dict[str, object] = {
        "value": reading.value,
        "ageSeconds": round(now - reading.time, 1),
        "windowSeconds": round(reading.window, 1),
    }
    fate = {"leftOut": verdict.why} if verdict.value is None else {"served": str(quantity(verdict.value))}
    return told | fate


def _of_wait(table: Table, namespace: str, name: str) -> dict[str, object]:
    """For whom a value from before a change of the load waits."""
    other = table.waits.get((namespace, name))
    if other is None:
        return {}
    return {"fromBefore": f"the load of these pods was shared anew, and {other[1]} has no whole interval since"}
