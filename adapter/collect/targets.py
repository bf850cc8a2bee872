"""What the embedded source scrapes: annotated pods and kubelets, from the informers' objects. Pure."""

from collections.abc import Callable, Iterable

from adapter.collect.presence import FINISHED
from adapter.kube.objects import Pod
from adapter.metrics.scrape.target import Target, TargetError, pod_target

UNREADY = "streamgate.io/scrape-unready"
"""The annotation, "true", of a pod that is scraped whether or not it takes traffic."""


def pod_targets(
    pods: Iterable[Pod], interval_s: float, takes_traffic: Callable[[Pod], bool]
) -> tuple[list[Target], list[tuple[str, str]]]:
    """The targets of all pods that ask to be scraped and take traffic; namespace and a sentence of each that cannot be.

    Of a pod with the annotation UNREADY only that it has ended keeps it from being scraped.
    """
    targets, problems = [], []
    for pod in pods:
        meta, status = pod.metadata, pod.status
        if status.phase in FINISHED:
            continue
        if not takes_traffic(pod) and meta.annotations.get(UNREADY, "").lower() != "true":
            continue
        ports = [(port.name, port.container_port) for container in pod.spec.containers for port in container.ports]
        try:
            target = pod_target(
                namespace=meta.namespace,
                name=meta.name,
                ip=status.pod_ip,
                annotations=meta.annotations,
                labels=meta.labels,
                container_ports=ports,
                interval_s=interval_s,
            )
        except TargetError as error:
            problems.append((meta.namespace, f"pod {meta.namespace}/{meta.name}: {error}"))
            continue
        if target is not None:
            targets.append(target)
    return targets, problems
