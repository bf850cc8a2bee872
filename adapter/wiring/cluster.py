"""The Kubernetes API and what is followed of it."""

import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry, Gauge

from adapter.collect.directory import Listed
from adapter.kube import config
from adapter.kube.autoscaling import HorizontalPodAutoscaler
from adapter.kube.client import Client
from adapter.kube.compact import Compactor
from adapter.kube.index import Index
from adapter.kube.informer import Informer
from adapter.kube.objects import Node, PartialObjectMetadata, Pod
from adapter.kube.resources import HORIZONTAL_POD_AUTOSCALERS, NODES, PODS
from adapter.metrics.scrape.target import ANNOTATION
from adapter.program.run import Job, StartError
from adapter.settings import Settings


@dataclass(frozen=True)
class Cluster:
    """The objects that the adapter knows, and how they are kept up to date."""

    client: Client | None
    """None where there is no Kubernetes."""
    pods: Index[Any]
    """Whole Pods for the embedded source, else their metadata."""
    pods_listed: Listed | None
    """None where all are here from the start."""
    nodes: Index[Node]
    hpas: Index[HorizontalPodAutoscaler]
    jobs: Sequence[Job]


async def connected(settings: Settings, stack: AsyncExitStack, registry: CollectorRegistry) -> Cluster:
    """Follow pods, nodes and HPAs of the cluster. Raises StartError."""
    client = await client_of(settings.lister_kubeconfig or settings.kubeconfig, stack)
    kind = PartialObjectMetadata if settings.prometheus_url else Pod
    pods: Informer[Any] = Informer(client, PODS, kind, transform=Compactor((ANNOTATION,)))
    nodes = Informer(client, NODES, Node)  # prometheus-adapter's role may not list nodes or HPAs: nobody waits for them
    hpas = Informer(client, HORIZONTAL_POD_AUTOSCALERS, HorizontalPodAutoscaler)
    jobs = [
        followed("pods", pods, registry),
        followed("nodes", nodes, registry),
        followed("hpas", hpas, registry),
    ]
    return Cluster(client=client, pods=pods.index, pods_listed=pods, nodes=nodes.index, hpas=hpas.index, jobs=jobs)


async def client_of(kubeconfig: str, stack: AsyncExitStack) -> Client:
    """A client for as long as `stack` lasts. Raises StartError."""
    try:
        connection = await config.connect(kubeconfig)
    except config.ConfigError as error:
        hint = "--kubeconfig=FILE would be right, or --standalone=FILE"
        raise StartError(f"no connection to Kubernetes: {error}; {hint}") from error
    return await stack.enter_async_context(Client(connection))


def followed(name: str, informer: Informer[Any], registry: CollectorRegistry) -> Job:
    """The job that follows with `informer`, whose age /metrics shows."""
    age = Gauge(
        f"streamgate_informer_{name}_age_seconds",
        f"Time since the API server last said something about {name}.",
        registry=registry,
    )
    age.set_function(lambda: informer.age(time.time()))
    return Job(name, informer.run)
