"""The service's own metrics, as Prometheus text and as an OTLP/HTTP JSON message."""

import time
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds
CUMULATIVE = 2  # AGGREGATION_TEMPORALITY_CUMULATIVE


@dataclass
class Histogram:
    """Durations in seconds; `counts` per bucket, the last one for what is above every bound."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    total: float = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds


@dataclass
class Metrics:
    """Counts since `started` (Unix seconds)."""

    started: float
    requests: dict[tuple[str, str], int] = field(default_factory=dict)  # (code, method) -> count
    durations: Histogram = field(default_factory=Histogram)
    in_flight: int = 0

    def count(self, code: int, method: str, seconds: float) -> None:
        key = (str(code), method)
        self.requests[key] = self.requests.get(key, 0) + 1
        self.durations.observe(seconds)

    def text(self, queued: int) -> str:
        """Prometheus' text format, version 0.0.4; `queued` requests wait for a slot just now."""
        return "\n".join(self._lines(queued)) + "\n"

    def _lines(self, queued: int) -> Iterator[str]:
        yield "# HELP http_requests_total Requests answered by /."
        yield "# TYPE http_requests_total counter"
        for (code, method), count in sorted(self.requests.items()):
            yield f'http_requests_total{{code="{code}",method="{method}"}} {count}'
        yield "# HELP http_request_duration_seconds Time from a request to its answer."
        yield "# TYPE http_request_duration_seconds histogram"
        sums = list(accumulate(self.durations.counts))
        for bound, count in zip(BOUNDS, sums, strict=False):
            yield f'http_request_duration_seconds_bucket{{le="{bound:g}"}} {count}'
        yield f'http_request_duration_seconds_bucket{{le="+Inf"}} {sums[-1]}'
        yield f"http_request_duration_seconds_sum {self.durations.total:.9g}"
        yield f"http_request_duration_seconds_count {sums[-1]}"
        yield from _plain("http_requests_in_flight", "gauge", "Requests not yet answered.", self.in_flight)
        yield from _plain("http_requests_queued", "gauge", "Requests that wait for a slot.", queued)
        yield from _plain("process_cpu_seconds_total", "counter", "CPU time used.", time.process_time())
        yield from _plain("process_start_time_seconds", "gauge", "Unix time of the start.", self.started)

    def otlp(self, resource: dict[str, str], now: float) -> dict[str, Any]:
        """An ExportMetricsServiceRequest in the JSON encoding: 64-bit integers are strings there."""
        times = {"startTimeUnixNano": _nano(self.started), "timeUnixNano": _nano(now)}
        sums = [
            {**times, "asInt": str(count), "attributes": _attributes({"code": code, "method": method})}
            for (code, method), count in sorted(self.requests.items())
        ]
        counts = self.durations.counts
        histogram = {
            **times, "count": str(sum(counts)), "sum": self.durations.total,
            "bucketCounts": [str(count) for count in counts], "explicitBounds": list(BOUNDS),
        }  # fmt: skip
        gauge = {"timeUnixNano": _nano(now), "asInt": str(self.in_flight)}
        metrics = [
            {"name": "http_requests_total", "unit": "1",
             "sum": {"aggregationTemporality": CUMULATIVE, "isMonotonic": True, "dataPoints": sums}},
            {"name": "http.server.request.duration", "unit": "s",
             "histogram": {"aggregationTemporality": CUMULATIVE, "dataPoints": [histogram]}},
            {"name": "http_requests_in_flight", "unit": "1", "gauge": {"dataPoints": [gauge]}},
        ]  # fmt: skip
        scope = {"scope": {"name": "loadtest.sample"}, "metrics": metrics}
        return {"resourceMetrics": [{"resource": {"attributes": _attributes(resource)}, "scopeMetrics": [scope]}]}


def _plain(name: str, kind: str, text: str, value: float) -> Iterator[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"
    yield f"{name} {value!r}"


def _attributes(values: dict[str, str]) -> list[dict[str, Any]]:
    return [{"key": key, "value": {"stringValue": value}} for key, value in values.items()]


def _nano(seconds: float) -> str:
    return str(int(seconds * 1e9))
