"""Releases that do not get on, and policies that cannot be followed."""

from collections.abc import Iterator, Mapping
from typing import Final

from adapter.doctor.finding import About, Finding, plain, word
from adapter.doctor.objects import Policy
from adapter.doctor.snapshot import Snapshot
from adapter.kube.objects import condition

BAD: Final[Mapping[str, str]] = {
    "Stuck": "its release is stuck",
    "Refused": "it cannot be followed",
    "MetricsMissing": "its gates find no metric",
    "Interfered": "something else changes what it releases",
}
"""Conditions that the controller sets, and what they mean."""


def check(seen: Snapshot) -> Iterator[Finding]:
    """What the controller says of its policies, and releases whose controller is gone."""
    for policy in seen.policies:
        for kind, meaning in BAD.items():
            problem = condition(policy.status.conditions, kind)
            if problem and problem.status == "True":
                yield _finding(policy, f"{meaning}: {plain(problem.message or problem.reason)}")
        release, stuck = policy.status.release, condition(policy.status.conditions, "Stuck")
        if release is None or (stuck and stuck.status == "True"):
            continue
        waiting = seen.now - release.waiting_since.timestamp() if release.waiting_since else 0.0
        if waiting > policy.spec.progress_deadline_seconds:
            yield _finding(
                policy,
                f"in phase {policy.status.phase} it has waited for {waiting / 60:.0f} minutes: "
                f"{plain(policy.status.message)}",
            )


def _finding(policy: Policy, says: str) -> Finding:
    meta = policy.metadata
    return Finding(
        about=About.RELEASE,
        object=f"RolloutPolicy {meta.namespace}/{meta.name}",
        says=says,
        next=f"streamgate-rollout status {word(meta.name)} -n {word(meta.namespace)}",
    )
