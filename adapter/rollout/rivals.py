"""What stands in a policy's way: others on the same Deployment, pods or Services, as whole sentences. Pure."""

from collections.abc import Iterable

from adapter.kube.objects import unix
from adapter.rollout.decide.context import POLICY_LABEL
from adapter.rollout.model.observation import Deployment, Seen, Service
from adapter.rollout.model.policy import RolloutPolicy
from adapter.rollout.model.template import labels_of


def older(policy: RolloutPolicy, policies: Iterable[Seen]) -> list[str]:
    """Other policies on the same Deployment that were there first."""
    mine = unix(policy.metadata.creation_timestamp)
    sentences = []
    for each in policies:
        ref = each.spec.get("targetRef")
        target = ref.get("name") if isinstance(ref, dict) else None  # its neighbour's fault is its own
        if each.name == policy.metadata.name or target != policy.spec.target_ref.name:
            continue
        other = unix(each.meta.get("creationTimestamp"))
        if other is None or mine is None or (other, each.name) < (mine, policy.metadata.name):
            sentences.append(f"RolloutPolicy {each.name} releases Deployment {target} already: delete one of the two")
    return sentences


def overlapping(deployment: Deployment, others: Iterable[Deployment]) -> list[str]:
    """Deployments whose selector matches the same pods: either would adopt what is meant for the other."""
    labels = labels_of(deployment.template)
    sentences = []
    for each in others:
        selector = (each.spec.get("selector") or {}).get("matchLabels") or {}
        if (
            each.name != deployment.name
            and POLICY_LABEL not in each.labels
            and selector
            and selector.items() <= labels.items()
        ):
            sentences.append(f"Deployment {each.name} selects the same pods: give it a selector of its own")
    return sentences


def sharing(policy: RolloutPolicy, services: Iterable[Service], deployments: Iterable[Deployment]) -> list[str]:
    """Services that select another Deployment's pods too, which would have none of their traffic in a release.

    A rolling release narrows no Service. Siblings are a release's own.
    """
    if policy.in_place:
        return []
    name = policy.spec.target_ref.name
    others = [each for each in deployments if each.name != name and POLICY_LABEL not in each.labels]
    return [
        f"Service {service.name} selects pods of Deployment {each.name} too, which would lose its traffic in a "
        f"release: give its selector a label that only the pods of {name} have, or release by spec.rolling"
        for service in services
        for each in others
        if service.selects(each.template)
    ]
