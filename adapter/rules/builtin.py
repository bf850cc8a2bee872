"""The rules that hold when no `--config` is given: requests, errors and latencies of HTTP servers, per pod.

Requests, errors and slow requests are served as counters as well: releases are judged on what these grow by, as rates
over windows that overlap are no counts.

The same metric has different names in different libraries. Where a pod exposes several, the first one named here
counts (`or` takes from its right side only what its left side lacks), so that no request counts twice; other pods of
the same HPA may use another name. A pod without requests has an error ratio of 0 (`nan: zero`). Rates are taken over
60 s and adaptively where the source can.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from adapter.rules.config import load
from adapter.rules.model import RuleFile

WINDOW = "60s"

STATUSES: Mapping[str, Sequence[str]] = {
    "http_requests_total": ("code", "status"),
    "http_server_request_duration_seconds_count": ("http_response_status_code",),
    "http_request_duration_seconds_count": ("code", "status_code"),
    "http_server_requests_seconds_count": ("status",),
}
"""Counters of requests and the labels that hold an answer's status: the usual name of client libraries,
OpenTelemetry's, the count of a histogram, Spring's."""

REQUESTS: Sequence[str] = tuple(STATUSES)

LATENCIES: Sequence[str] = (
    "http_request_duration_seconds_bucket",
    "http_server_request_duration_seconds_bucket",
    "http_server_requests_seconds_bucket",
)

SLOW = "1|1[.]0"
"""The bucket's bound, s, above which a request is slow, as libraries write it; all have it by default."""

QUANTILES: Mapping[str, float] = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}

PLACE = "the built-in rules"


def rules() -> RuleFile:
    """The built-in rules, read by the same reader as any file."""
    return load(text(), PLACE)


def text() -> str:
    """The built-in rules as a file that an operator can start from."""
    return "rules:\n" + "".join(f"- {line}" for line in _rules())


def _rules() -> Iterator[str]:
    yield _rule("http_requests_per_second", REQUESTS, _requests())
    yield _rule("http_errors_per_second", REQUESTS, _errors())
    yield _rule("http_errors_ratio", REQUESTS, f"({_errors()}) / ({_requests()})", ", nan: zero")
    yield _rule("http_requests_total", REQUESTS, _first_of(_sum(name) for name in REQUESTS), adaptive=False)
    yield _rule("http_errors_total", REQUESTS, _errors(_sum), adaptive=False)
    yield _rule("http_slow_requests_total", LATENCIES, _first_of(map(_slow, LATENCIES)), adaptive=False)
    for name, quantile in QUANTILES.items():
        yield _rule(f"http_request_duration_seconds_{name}", LATENCIES, _latency(quantile))


def _rule(name: str, series: Sequence[str], query: str, policy: str = "", *, adaptive: bool = True) -> str:
    return (
        f"""seriesQuery: '{{__name__=~"{"|".join(series)}",namespace!="",pod!=""}}'
  resources: {{overrides: {{namespace: {{resource: namespace}}, pod: {{resource: pod}}}}}}
  name: {{as: {name}}}
  metricsQuery: >-
    {query}
{f"  x-streamgate: {{adaptive: true{policy}}}" if adaptive else ""}
""".rstrip()
        + "\n"
    )


def _rate(series: str, matcher: str = "", by: str = "<<.GroupBy>>") -> str:
    return f"sum by ({by}) (rate({series}{{<<.LabelMatchers>>{matcher}}}[{WINDOW}]))"


def _requests() -> str:
    return _first_of(_rate(name) for name in REQUESTS)


def _errors(of: Callable[..., str] = _rate) -> str:
    """5xx answers by whichever label has the status; 0 for a pod that counts requests and has had no such answer."""
    failed = [of(name, f',{status}=~"5.."') for name, labels in STATUSES.items() for status in labels]
    return _first_of([*failed, f"0 * ({_first_of(of(name) for name in REQUESTS)})"])


def _slow(bucket: str) -> str:
    """The requests of a histogram that are not in the bucket up to SLOW."""
    every, quick = _sum(bucket, ',le="+Inf"'), _sum(bucket, f',le=~"{SLOW}"')
    return f"{every} - {quick}"


def _latency(quantile: float) -> str:
    return _first_of(f"histogram_quantile({quantile}, {_rate(name, by='<<.GroupBy>>, le')})" for name in LATENCIES)


def _sum(series: str, matcher: str = "") -> str:
    return f"sum by (<<.GroupBy>>) ({series}{{<<.LabelMatchers>>{matcher}}})"


def _first_of(queries: Sequence[str] | Iterator[str]) -> str:
    return " or ".join(queries)
