"""Requests straight to an adapter, past the aggregator: a closed loop of some connections over distinct selectors."""

import asyncio
import ssl
import time
from functools import partial
from itertools import cycle, islice
from typing import NamedTuple

import aiohttp

from loadtest.adapter_bench.contenders import Ours
from loadtest.adapter_bench.field import METRIC, Size
from loadtest.adapter_bench.figures import pod_lists, quantiles
from loadtest.adapter_bench.meters import Meters, Spent

ACCEPT = {"Accept": "application/vnd.kubernetes.protobuf, */*"}
"""As kube-controller-manager asks."""
PATIENCE_S = 20.0


class Level(NamedTuple):
    """One level of load. `wrong` are answers without a value of each of the Deployment's pods."""

    concurrency: int
    requests: int
    failed: int
    wrong: int
    seconds: float
    per_second: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    adapter_cpu_ms: float
    prometheus_cpu_ms: float
    apiserver_cpu_ms: float
    """CPU ms per request."""
    queries: float
    lists: float
    """Per request."""
    rss_mib: float
    client_share: float
    """Of one processor, that the load client took."""
    busy: float


class Bounds(NamedTuple):
    """A level ends at so many requests or after so many seconds."""

    requests: int
    seconds: float


class Targets(NamedTuple):
    """Distinct requests: path below the API's root and the pods' common prefix that the answer must hold."""

    paths: tuple[tuple[str, bytes], ...]
    replicas: int

    @classmethod
    def of(cls, size: Size) -> "Targets":
        """One per Deployment but the first, which warming up uses."""
        places = [size.place(number) for number in range(1, size.deployments)]
        return cls(
            tuple(
                (f"/namespaces/{namespace}/pods/*/{METRIC}?labelSelector=app%3D{name}", f"{name}-".encode())
                for namespace, name in places
            ),
            size.replicas,
        )


class Tally:
    """What the connections of one level saw."""

    def __init__(self) -> None:
        self.latencies: list[float] = []
        self.failed = 0
        self.wrong = 0

    def note(self, status: int, body: bytes, *, prefix: bytes, replicas: int) -> None:
        """One answer."""
        self.failed += status != 200
        self.wrong += status == 200 and body.count(prefix) != replicas


async def _loop(
    session: aiohttp.ClientSession,
    root: str,
    left: "islice[tuple[str, bytes]]",
    tally: Tally,
    *,
    replicas: int,
    end: float,
) -> None:
    for path, prefix in left:
        began = time.perf_counter()
        if time.monotonic() >= end:
            return
        async with session.get(root + path, headers=ACCEPT) as answer:
            body = await answer.read()
        tally.latencies.append((time.perf_counter() - began) * 1e3)
        tally.note(answer.status, body, prefix=prefix, replicas=replicas)


async def run_level(root: str, context: ssl.SSLContext, targets: Targets, *, concurrency: int, bounds: Bounds) -> Tally:
    """`concurrency` connections, each with one request under way; the loop's own end waits for those."""
    tally, left = Tally(), islice(cycle(targets.paths), bounds.requests)
    connector = aiohttp.TCPConnector(limit=concurrency, ssl=context)
    timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        end = time.monotonic() + bounds.seconds
        one = partial(_loop, session, root, left, tally, replicas=targets.replicas, end=end)
        await asyncio.gather(*(one() for _ in range(concurrency)))
    return tally


def measure(
    adapter: Ours, meters: Meters, context: ssl.SSLContext, targets: Targets, *, concurrency: int, bounds: Bounds
) -> Level:
    """One level with what it cost."""
    before, cpu, began = meters.read(), time.process_time(), time.monotonic()
    tally = asyncio.run(run_level(adapter.url, context, targets, concurrency=concurrency, bounds=bounds))
    seconds, client = time.monotonic() - began, time.process_time() - cpu
    spent = meters.difference(before, meters.read())
    return level(
        tally,
        spent,
        concurrency=concurrency,
        seconds=seconds,
        client=client,
        user=adapter.user,
        rss=meters.adapter.rss(),
    )


def level(
    tally: Tally, spent: Spent, *, concurrency: int, seconds: float, client: float, user: str, rss: float
) -> Level:
    """The figures; `client` are the CPU seconds of the load client, `rss` MiB of the adapter."""
    count = len(tally.latencies)
    per = max(1, count)
    cpu = {name: used * 1e3 / per for name, used in spent.cpu.items()}
    p50, p99, most = quantiles(tally.latencies, (0.5, 0.99, 1.0))
    return Level(
        concurrency=concurrency,
        requests=count,
        failed=tally.failed,
        wrong=tally.wrong,
        seconds=seconds,
        per_second=count / seconds,
        p50_ms=p50,
        p99_ms=p99,
        max_ms=most,
        adapter_cpu_ms=cpu["adapter"],
        prometheus_cpu_ms=cpu["prometheus"],
        apiserver_cpu_ms=cpu["kube-apiserver"],
        queries=spent.queries / per,
        lists=pod_lists(spent.events, user) / per,
        rss_mib=rss,
        client_share=client / seconds,
        busy=spent.busy,
    )
