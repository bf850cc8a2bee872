"""What the embedded source scrapes: annotated pods and kubelets, from the informers' objects. Pure."""

from collections.abc import Iterable

from adapter.kube.objects import Pod
from adapter.metrics.scrape.target import Target, TargetError, pod_target

_FINISHED = ("Succeeded", "Failed")


def pod_targets(pods: Iterable[Pod], interval_s: float) -> tuple[list[Target], list[str]]:
    """The targets of all pods that ask to be scraped and run, and a sentence for each that cannot be."""
    targets, problems = [], []
    for pod in pods:
        meta, status = pod.metadata, pod.status
        if status.phase in _FINISHED:
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
            problems.append(f"pod {meta.namespace}/{meta.name}: {error}")
            continue
        if target is not None:
            targets.append(target)
    return targets, problems
