"""Clocks of nodes against the API server's: a kubelet stamps its Lease by its own clock, every ten seconds."""

from collections.abc import Iterator
from typing import Final

from adapter.doctor.finding import About, Finding, word
from adapter.doctor.snapshot import Snapshot
from adapter.kube.objects import condition

AHEAD: Final = 5.0
"""s by which a Lease may be renewed in the future."""
BEHIND: Final = 40.0
"""s of age that a Lease may have on a node that is Ready: after so long without a renewal it no longer would be."""


def check(seen: Snapshot) -> Iterator[Finding]:
    """Nodes whose clock is ahead, and those that are Ready although their Lease looks old."""
    ready = {}
    for node in seen.nodes:
        ready_condition = condition(node.status.conditions, "Ready")
        ready[node.metadata.name] = ready_condition is not None and ready_condition.status == "True"
    for lease in seen.node_leases:
        name, renewed = lease.metadata.name, lease.spec.renew_time
        if renewed is None or not ready.get(name):
            continue
        ahead = renewed.timestamp() - seen.now
        if ahead > AHEAD or ahead < -BEHIND:
            yield Finding(
                about=About.CLOCK,
                object=f"Node {name}",
                says=f"its clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the API server's: "
                "samples from there seem too new or too old",
                next=f"kubectl debug {word(f'node/{name}')} -it --image=busybox -- date -u",
            )
