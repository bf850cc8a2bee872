"""Who serves which API, and whether he can be reached."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from adapter.doctor.finding import About, Finding, plain, who_wants, word
from adapter.doctor.objects import APIService
from adapter.doctor.snapshot import CUSTOM, EXTERNAL, METRICS, RESOURCE, Snapshot
from adapter.kube.autoscaling import HorizontalPodAutoscaler
from adapter.kube.objects import condition

WANTED: Final = {
    "Pods": CUSTOM,
    "Object": CUSTOM,
    "External": EXTERNAL,
    "Resource": RESOURCE,
    "ContainerResource": RESOURCE,
}
"""The API that an HPA's type of metric is read from."""
COMPONENT: Final = {CUSTOM: "overlays/embedded", EXTERNAL: "overlays/complete", RESOURCE: "overlays/complete"}


def servers_by_api(seen: Snapshot) -> dict[str, str]:
    """APIs of metrics -> who serves them."""
    return {one.metadata.name: _server(one) for one in seen.api_services if one.spec.group in METRICS}


def check(seen: Snapshot) -> Iterator[Finding]:
    """APIServices that do not answer, two servers of one API, and HPAs whose API nobody serves."""
    for one in seen.api_services:
        if one.spec.service is not None:
            yield from _find_unavailable(one)
    yield from _find_two_servers(seen)
    yield from _find_unserved(seen)


def _server(one: APIService) -> str:
    service = one.spec.service
    return f"{service.namespace}/{service.name}" if service else "the API server itself"


def _find_unavailable(one: APIService) -> Iterator[Finding]:
    available, service = condition(one.status.conditions, "Available"), one.spec.service
    if service is None or (available and available.status == "True"):
        return
    where = f"kubectl -n {word(service.namespace)}"
    why = plain(f"{available.reason}: {available.message}") if available else "the API server has not looked yet"
    reason = available.reason if available else ""
    yield Finding(
        about=About.API,
        object=f"APIService {one.metadata.name}",
        says=f"{_server(one)} serves it and is not available: {why}",
        next=f"{where} get service,endpointslices,pods"
        if reason in ("ServiceNotFound", "EndpointsNotFound", "MissingEndpoints", "ServicePortError")
        else f"{where} get pods,networkpolicies && kubectl get apiservice {word(one.metadata.name)} -o yaml",
    )


def _find_two_servers(seen: Snapshot) -> Iterator[Finding]:
    servers: dict[str, dict[str, str]] = defaultdict(dict)
    for one in seen.api_services:
        if one.spec.group in METRICS:
            servers[one.spec.group][_server(one)] = one.metadata.name
    for group, by_server in servers.items():
        if len(by_server) > 1:
            shown = " and ".join(f"{server} ({name})" for server, name in sorted(by_server.items()))
            yield Finding(
                about=About.API,
                object=f"API {group}",
                says=f"its versions have two servers: {shown}; HPAs read the newer one, others may read the older",
                next=f"kubectl get apiservices | grep {word(group)}",
            )


def _find_unserved(seen: Snapshot) -> Iterator[Finding]:
    if not seen.api_services:
        return  # they could not be looked at
    there = {one.spec.group for one in seen.api_services}
    wanting: dict[str, list[str]] = defaultdict(list)
    for hpa in seen.hpas:
        for group in sorted(groups_of(hpa) - there):
            wanting[group].append(f"{hpa.metadata.namespace}/{hpa.metadata.name}")
    for group, hpas in wanting.items():
        yield Finding(
            about=About.API,
            object=f"API {group}",
            says=f"nobody serves it, and {who_wants(hpas, 'metrics of it')}",
            next=f"kubectl apply -k manifests/{COMPONENT[group]}",
        )


def groups_of(hpa: HorizontalPodAutoscaler) -> set[str]:
    """The APIs that an HPA's metrics are read from."""
    return {WANTED[metric.type] for metric in hpa.spec.metrics if metric.type in WANTED}
