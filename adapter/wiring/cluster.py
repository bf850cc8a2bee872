"""The Kubernetes API and what is followed of it."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry, Gauge

from adapter.clock import steady
from adapter.collect.directory import Listed
from adapter.collect.presence import Presences
from adapter.collect.targets import UNREADY
from adapter.kube import config
from adapter.kube.autoscaling import HorizontalPodAutoscaler
from adapter.kube.client import Client
from adapter.kube.compact import Compactor
from adapter.kube.index import Index
from adapter.kube.informer import Informer
from adapter.kube.objects import Node, Pod
from adapter.kube.resources import HORIZONTAL_POD_AUTOSCALERS, NODES, PODS
from adapter.metrics.scrape.target import ANNOTATION
from adapter.program.run import Job, StartError
from adapter.settings import Settings


@dataclass(frozen=True)
class Cluster:
    """The objects that the adapter knows, and how they are kept up to date."""

    client: Client | None
    """None where there is no Kubernetes."""
    pods: Index[Pod]
    presences: Presences | None
    """Which of the pods take traffic; None where nobody tells."""
    pods_listed: Listed | None
    """None where all are here from the start."""
    nodes: Index[Node]
    hpas: Index[HorizontalPodAutoscaler]
    jobs: Sequence[Job]


async def connect(settings: Settings, stack: AsyncExitStack, registry: CollectorRegistry) -> Cluster:
    """Follow pods, nodes and HPAs of the cluster. Raises StartError."""
    client = await client_of(settings.lister_kubeconfig or settings.kubeconfig, stack)
    pods = Informer(client, PODS, Pod, transform=Compactor((ANNOTATION, UNREADY)))
    presences = Presences(steady)
    pods.index.on_change(presences.note_change)
    nodes = Informer(client, NODES, Node)  # prometheus-adapter's role may not list nodes or HPAs: nobody waits for them
    hpas = Informer(client, HORIZONTAL_POD_AUTOSCALERS, HorizontalPodAutoscaler)
    jobs = [
        informer_job("pods", pods, registry),
        informer_job("nodes", nodes, registry),
        informer_job("hpas", hpas, registry),
    ]
    return Cluster(
        client=client,
        pods=pods.index,
        presences=presences,
        pods_listed=pods,
        nodes=nodes.index,
        hpas=hpas.index,
        jobs=jobs,
    )


async def client_of(kubeconfig: str, stack: AsyncExitStack) -> Client:
    """A client for as long as `stack` lasts. Raises StartError."""
    try:
        connection = await config.connect(kubeconfig)
    except config.ConfigError as error:
        hint = "--kubeconfig=FILE would be right, or --standalone=FILE"
        raise StartError(f"no connection to Kubernetes: {error}; {hint}") from error
    return await stack.enter_async_context(Client(connection))


def informer_job(name: str, informer: Informer[Any], registry: CollectorRegistry) -> Job:
    """The job that runs `informer`, whose age /metrics shows."""
    age = Gauge(
        f"streamgate_informer_{name}_age_seconds",
        f"Time since the API server last said something about {name}.",
        registry=registry,
    )
    age.set_function(lambda: informer.age(steady()))
    return Job(name, informer.run)
