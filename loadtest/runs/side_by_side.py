"""The same step at the same time for several adapters on one test bed: a Deployment, an HPA and a Locust for each.

All HPAs are the real controller's and look within the same second, since they are created together. A cluster has one
custom metrics API; a router behind it (loadtest.runs.router) gives each namespace the adapter that is compared there.
"""

import asyncio
import itertools
import json
import tempfile
import urllib.request
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack, contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from loadtest.adapter_bench.contenders import Ours, tls
from loadtest.runs.cluster import Place
from loadtest.runs.command import Where, describe_standing, world_at
from loadtest.runs.local import DOWN_S, HIGH, LOW, TARGET, WORK_MS
from loadtest.runs.on_bed import NAME, address, bed_in_words, new_name
from loadtest.runs.record import Run
from loadtest.runs.router import Router, only_for
from loadtest.runs.watching import Plan, Standing, watch
from loadtest.standalone import METRIC
from loadtest.steady_bench.contenders import CONTENDERS, EMBEDDED, Contender, all_running
from tests.cluster.adapter import API_SERVICES, CUSTOM, CUSTOM_API_SERVICES, NAMESPACE, free_port, hpa, pods_metric
from tests.cluster.background import in_background
from tests.cluster.bed import Bed, BedError
from tests.cluster.manifests import sample_deployment
from tests.cluster.processes import wait_until

COMPARED: Mapping[str, Contender] = dict(
    zip(("step-ours", "step-ours-prometheus", "step-prometheus-adapter"), CONTENDERS, strict=False)
)
"""By folder and beginning of the namespace: ours as it comes, and ours and the peer over one Prometheus."""
ROUTER = "metrics-router"
MOST_CALLS, CALL_S, NAMED = 200, 5.0, 80
"""Requests until every pod has had one, s for each, and the bytes of an answer that begin with the pod's name."""
LOOKED_S = 90.0
"""Prometheus must have two samples, 15 s apart, and prometheus-adapter must have found their series."""
RELIST = "--metrics-relist-interval=10s"
"""Of prometheus-adapter, in place of every minute: how soon it finds a metric, not what it says of one."""


@contextmanager
def places(bed: Bed) -> Iterator[dict[str, Place]]:
    """By the names of COMPARED, each with its adapter behind its HPA. Raises BedError."""
    spaces = {name: new_name(name) for name in COMPARED}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="streamgate-")))
        for namespace in spaces.values():
            stack.enter_context(_deploy_sample(bed, namespace))
            wake(address(bed, namespace), LOW)
        stack.callback(bed.kubectl, "delete", "apiservices", *API_SERVICES, "--ignore-not-found")
        adapters = stack.enter_context(
            all_running(bed, folder, EMBEDDED, tuple(COMPARED.values()), peer_flags=(RELIST,))
        )
        router = stack.enter_context(
            _running_router(bed, {spaces[name]: adapters[one] for name, one in COMPARED.items()})
        )
        metric = pods_metric(METRIC, f"{TARGET:g}")
        bed.apply([hpa(NAME, namespace, metric, low=LOW, high=HIGH, down=DOWN_S) for namespace in spaces.values()])
        _wait_looked(bed, spaces.values())
        if not set(spaces.values()) <= router.asked.keys():
            raise BedError(f"the router was asked about {', '.join(router.asked)} alone: HPAs share an adapter")
        yield {
            name: Place(spaces[name], NAME, address(bed, spaces[name]), WORK_MS, f"{bed_in_words(bed)}; {one.name}")
            for name, one in COMPARED.items()
        }


@contextmanager
def _deploy_sample(bed: Bed, namespace: str) -> Iterator[None]:
    bed.create_namespace(namespace)
    try:
        bed.apply(sample_deployment(NAME, namespace, LOW, WORK_MS=f"{WORK_MS:g}", SLOTS=1))
        bed.rollout(NAME, namespace)
        yield
    finally:
        bed.delete_namespace(namespace)


def wake(url: str, pods: int) -> None:
    """Requests until so many pods have answered: before its first one a pod has no counter of requests to be scraped.

    Raises BedError.
    """
    answered: set[bytes] = set()
    for _ in range(MOST_CALLS):
        with urllib.request.urlopen(url, timeout=CALL_S) as answer:
            answered.add(answer.read(NAMED).split()[0])
        if len(answered) == pods:
            return
    raise BedError(f"{len(answered)} of {pods} pods behind {url} have answered {MOST_CALLS} requests")


@contextmanager
def _running_router(bed: Bed, adapters: Mapping[str, Ours]) -> Iterator[Router]:
    """The custom metrics API leads to the router, which only the aggregator may ask.

    By a Service of its own: connections to the one before would stay with the adapter that they lead to.
    """
    urls = {name: adapter.url.removesuffix(CUSTOM) for name, adapter in adapters.items()}
    pair = bed.certificate(ROUTER, hosts=[bed.host_address])
    serving = only_for(str(bed.front_proxy_ca), (str(pair.cert), str(pair.key)))
    port = free_port(bed.host_address)
    router = Router(
        bed.host_address, port, urls, other=next(iter(urls.values())), serving=serving, asking=tls(bed, bed.front_proxy)
    )
    with in_background(bed.kubeconfig, lambda _: [router]):
        bed.expose_host_service(NAMESPACE, ROUTER, port, 443)
        service = json.dumps({"spec": {"service": {"name": ROUTER, "namespace": NAMESPACE}}})
        for name in CUSTOM_API_SERVICES:
            bed.kubectl("patch", "apiservice", name, "--type=merge", "-p", service)
        next(iter(adapters.values())).wait_available(names=CUSTOM_API_SERVICES)
        yield router


def _wait_looked(bed: Bed, namespaces: Collection[str]) -> None:
    """Until each HPA has had a value: until then it desires nothing."""

    def waiting() -> list[str]:
        statuses = {name: bed.get("hpa", NAME, "-n", name).get("status", {}) for name in namespaces}
        return [name for name, status in statuses.items() if not status.get("desiredReplicas")]

    if not wait_until(lambda: not waiting(), LOOKED_S, every=1):
        raise BedError(f"after {LOOKED_S:g} s there is an HPA without a metric, in {', '.join(waiting())}")


async def watch_all(
    plan: Plan, place_by_name: Mapping[str, Place], kubeconfig: Path, console: Console
) -> dict[str, Run]:
    """The runs by name; all loads begin within the same second or two. Raises what the first of them raised."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TextColumn("{task.fields[said]}"))
    async with AsyncExitStack() as stack:
        worlds = {
            name: await stack.enter_async_context(world_at(Where(place, str(kubeconfig))))
            for name, place in place_by_name.items()
        }
        with Progress(*columns, console=console) as progress:
            jobs = {name: watch(plan, world, _say(progress, console, name, plan)) for name, world in worlds.items()}
            try:
                async with asyncio.TaskGroup() as group:
                    tasks = {name: group.create_task(job) for name, job in jobs.items()}
            except BaseExceptionGroup as several:
                raise several.exceptions[0] from None
    return {name: task.result() for name, task in tasks.items()}


def _say(progress: Progress, console: Console, name: str, plan: Plan) -> Callable[[Standing], None]:
    task, lines = progress.add_task(name, total=plan.seconds, said="starting"), itertools.count()

    def say(standing: Standing) -> None:
        progress.update(task, completed=max(0.0, standing.elapsed), said=describe_standing(standing))
        if not console.is_terminal and next(lines) % 30 == 0:
            console.print(f"{standing.elapsed:5.0f} s, {name}: {describe_standing(standing)}", highlight=False)

    return say
