"""VPAs that work against an HPA or against each other."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Final, TypeAlias

from adapter.doctor.finding import About, Finding, word
from adapter.doctor.objects import Vpa
from adapter.doctor.snapshot import Snapshot
from adapter.kube.autoscaling import CrossVersionObjectReference, HorizontalPodAutoscaler

BOTH: Final = frozenset({"cpu", "memory"})
Target: TypeAlias = tuple[str, str, str, str]


def check(seen: Snapshot) -> Iterator[Finding]:
    """A VPA that changes what an HPA measures by, and two VPAs on one target."""
    on: dict[Target, list[Vpa]] = defaultdict(list)
    for vpa in seen.vpas:
        on[_target(vpa.metadata.namespace, vpa.spec.target_ref)].append(vpa)
    for hpa in seen.hpas:
        for vpa in on.get(_target(hpa.metadata.namespace, hpa.spec.scale_target_ref), ()):
            yield from _against(hpa, vpa)
    for (namespace, _, kind, name), vpas in on.items():
        names = sorted(vpa.metadata.name for vpa in vpas if acts(vpa))
        if len(names) > 1:
            yield Finding(
                about=About.VPA,
                object=f"{kind} {namespace}/{name}",
                says=f"{len(names)} VPAs change its pods: {', '.join(names)}",
                next=f"kubectl -n {word(namespace)} get vpa {' '.join(map(word, names))}",
            )


def _target(namespace: str, target: CrossVersionObjectReference) -> Target:
    return namespace, target.api_version.rpartition("/")[0], target.kind, target.name


def _against(hpa: HorizontalPodAutoscaler, vpa: Vpa) -> Iterator[Finding]:
    shared = sorted(utilization_resources(hpa) & controlled_resources(vpa)) if acts(vpa) else []
    if shared:
        namespace, both = hpa.metadata.namespace, (f"hpa/{hpa.metadata.name}", f"vpa/{vpa.metadata.name}")
        yield Finding(
            about=About.VPA,
            object=f"VPA {namespace}/{vpa.metadata.name}",
            says=f"it changes the requests of {' and '.join(shared)} by which HPA {hpa.metadata.name} measures: "
            "each acts on what the other did; right would be a VPA for the other resource, or in mode Off",
            next=f"kubectl -n {word(namespace)} get {' '.join(map(word, both))} -o yaml",
        )


def acts(vpa: Vpa) -> bool:
    """Whether pods get what it recommends."""
    return vpa.spec.update_policy is None or vpa.spec.update_policy.update_mode != "Off"


def controlled_resources(vpa: Vpa) -> frozenset[str]:
    """The resources whose requests a VPA changes in at least one container."""
    policy = vpa.spec.resource_policy
    if policy is None or not policy.container_policies:
        return BOTH
    wanted = [one for one in policy.container_policies if one.mode != "Off"]
    resources = {
        name for one in wanted for name in (BOTH if one.controlled_resources is None else one.controlled_resources)
    }
    is_complete = any(one.container_name == "*" for one in policy.container_policies)
    return frozenset(resources) if is_complete else frozenset(resources) | BOTH


def utilization_resources(hpa: HorizontalPodAutoscaler) -> set[str]:
    """The resources of which an HPA wants a share of the requests: what a VPA moves under it."""
    resources = set()
    for metric in hpa.spec.metrics:
        for source in (metric.resource, metric.container_resource):
            if source and source.target.type == "Utilization":
                resources.add(source.name)
    return resources
