"""Keeps demand and offers in step with the cluster: its HPAs, and the resources that its API has."""

import asyncio
from collections.abc import Callable, Iterable, Sequence

import structlog

from adapter.collect.catalogue import Catalogue
from adapter.collect.declared import wants_of
from adapter.collect.demand import Demand
from adapter.faults import ends_program
from adapter.kube.autoscaling import HorizontalPodAutoscaler
from adapter.kube.client import Client
from adapter.kube.discovery import api_resources
from adapter.kube.errors import KubeError
from adapter.kube.index import Index
from adapter.kube.known import KNOWN
from adapter.kube.resources import ApiResource, GroupResource
from adapter.once import Once
from adapter.rules.resources import ResourceMapper, UnknownResource

log = structlog.get_logger(__name__)

HPA_PROBLEMS = 4096
"""HPAs whose first problem is remembered, so that it is told once."""
HPAS_TOLD = 20
"""HPAs of one namespace whose problems are in the log."""
DISCOVER_EVERY = 300.0
"""s between looks at the cluster's API resources: new kinds come with CRDs, which are rarely installed."""


def mapper_of(resources: Iterable[ApiResource]) -> ResourceMapper:
    """A mapper of what the cluster has, and of what every cluster has for the case that it did not tell."""
    return ResourceMapper([*resources, *KNOWN])


def resource_of(mapper: ResourceMapper, api_version: str, kind: str) -> GroupResource | None:
    """The resource that holds objects of that apiVersion and kind."""
    group = api_version.rpartition("/")[0]
    try:
        return mapper.resolve(group, kind)
    except UnknownResource:
        return None


class _Told:
    """Whose problems are in the log: the first HPAs of each namespace, as somebody may make hundreds."""

    def __init__(self) -> None:
        self._names: dict[str, set[str]] = {}
        self._more = Once(most=HPA_PROBLEMS)

    def tell(self, namespace: str, name: str, problems: Sequence[str]) -> None:
        """An HPA has a problem that was not told yet."""
        names = self._names.setdefault(namespace, set())
        if name in names or len(names) < HPAS_TOLD:
            names.add(name)
            log.warning("HPA", problem=problems[0], more=len(problems) - 1)
        elif self._more.first(namespace):
            log.warning("HPA", problem=f"more HPAs of namespace {namespace} have problems; 20 were told", more=0)

    def over(self, namespace: str, name: str) -> None:
        """It has none any more."""
        self._names.get(namespace, set()).discard(name)


def follow_hpas(
    index: Index[HorizontalPodAutoscaler], demand: Demand, catalogue: Catalogue, wake: Callable[[], None]
) -> Callable[[], None]:
    """From now on `demand` is what the HPAs in `index` declare.

    To be called when the catalogue has learnt of new resources: it reads all HPAs anew, as some may describe such.
    """
    once = Once(most=HPA_PROBLEMS, again=None)
    told = _Told()

    def update_demand(old: HorizontalPodAutoscaler | None, new: HorizontalPodAutoscaler | None) -> None:
        if new is None:
            if old is not None:
                demand.withdraw(old.metadata.namespace, old.metadata.name)
            return
        if old is not None and old.spec == new.spec:
            return  # HPAs write their status every 15 s
        try:
            wants, problems = wants_of(new, lambda version, kind: resource_of(catalogue.mapper, version, kind))
        except BaseException as error:  # an HPA that nobody thought of must not keep the others from being read
            if ends_program(error):
                raise
            log.exception("HPA not read", namespace=new.metadata.namespace, name=new.metadata.name)
            wants, problems = [], []
        demand.declare(new.metadata.namespace, new.metadata.name, wants)
        hpa = new.metadata.namespace, new.metadata.name
        problems = [*problems, *filter(None, [demand.refused.get(hpa)])]
        if not problems:
            once.over(hpa)
            told.over(*hpa)
        elif once.first(hpa, problems[0]):
            told.tell(*hpa, problems)
        wake()

    def read_all() -> None:
        for hpa in index:
            update_demand(None, hpa)

    read_all()
    index.on_change(update_demand)
    return read_all


async def follow_resources(
    client: Client, catalogue: Catalogue, learnt: Callable[[], None], every: float = DISCOVER_EVERY
) -> None:
    """Look up the cluster's API resources, now and then again, until cancelled; `learnt` is called after a change."""
    known: list[ApiResource] = []
    while True:
        pause = every
        try:
            resources = await api_resources(client)
            if resources != known:
                known = resources
                catalogue.bind(mapper_of(resources))
                learnt()
        except KubeError as error:
            log.warning("the cluster's API resources are not known; the usual ones are taken", cause=str(error))
            pause = min(every, 10.0)
        await asyncio.sleep(pause)
