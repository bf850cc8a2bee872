"""What the HPA controller gets from an adapter, and what that costs, over a window of time."""

import math
import time
from typing import NamedTuple

from loadtest.adapter_bench.contenders import Ours
from loadtest.adapter_bench.figures import intervals, metric_requests, milliseconds, pod_lists, quantiles
from loadtest.adapter_bench.meters import Meters, Spent

PERIOD_S = 15.0
"""Of the HPA controller, by default."""


class Driven(NamedTuple):
    """One window; '…15' is per HPA period."""

    seconds: float
    answered15: float
    failed: int
    looked_at: int
    """HPAs that got an answer in the window."""
    interval_p50_s: float
    interval_p99_s: float
    request_p50_ms: float
    request_p99_ms: float
    """As the API server saw it."""
    computation_ms: float
    """Mean, as the HPA controller saw it."""
    depth: float
    queries15: float
    series15: float
    lists15: float
    adapter_cpu: float
    apiserver_cpu: float
    prometheus_cpu: float
    controllers_cpu: float
    etcd_cpu: float
    """CPU s per minute."""
    rss_mib: float
    rss_most_mib: float
    busy: float

    @property
    def adapter_cpu_ms(self) -> float:
        """CPU ms of the adapter per answer; infinite without any."""
        return self.adapter_cpu * 1e3 / (self.answered15 * 60 / PERIOD_S) if self.answered15 else math.inf


def measure(adapter: Ours, meters: Meters, seconds: float) -> Driven:
    """A window from now on."""
    before = meters.read()
    time.sleep(seconds)
    spent = meters.difference(before, meters.read())
    return compute_figures(spent, adapter.user, rss=meters.adapter.rss(), most=meters.adapter.rss("VmHWM"))


def compute_figures(spent: Spent, user: str, *, rss: float, most: float) -> Driven:
    """The figures of one window; `user` is the adapter's, `rss` and `most` its memory now and at most, MiB."""
    asked = metric_requests(spent.events)
    answered = [event for event in asked if event.code == 200]
    periods, minutes = spent.seconds / PERIOD_S, spent.seconds / 60
    cpu = {name: used / minutes for name, used in spent.cpu.items()}
    interval_p50, interval_p99 = quantiles(intervals(asked))
    request_p50, request_p99 = quantiles(milliseconds(asked))
    return Driven(
        seconds=spent.seconds,
        answered15=len(answered) / periods,
        failed=len(asked) - len(answered),
        looked_at=len({event.uri for event in answered}),
        interval_p50_s=interval_p50,
        interval_p99_s=interval_p99,
        request_p50_ms=request_p50,
        request_p99_ms=request_p99,
        computation_ms=spent.computation_s * 1e3,
        depth=spent.depth,
        queries15=spent.queries / periods,
        series15=spent.series / periods,
        lists15=pod_lists(spent.events, user) / periods,
        adapter_cpu=cpu["adapter"],
        apiserver_cpu=cpu["kube-apiserver"],
        prometheus_cpu=cpu["prometheus"],
        controllers_cpu=cpu["kube-controller-manager"],
        etcd_cpu=cpu["etcd"],
        rss_mib=rss,
        rss_most_mib=most,
        busy=spent.busy,
    )
