"""The flags of leader election, as Kubernetes' components have them, and what they make of a job."""

import os
import socket
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

from adapter.kube.client import Client
from adapter.kube.lease import Election, Terms
from adapter.program.flags import Common, setting
from adapter.program.kinds import Seconds


@dataclass(frozen=True)
class LeaderSettings(Common):
    """The flags of k8s.io/component-base's leader election; a program gives `lease_name` a default of its own."""

    leader_elect: bool = setting("leader-elect", False, "work only while holding the lease: for several replicas")
    lease_name: str = setting("leader-elect-resource-name", "", "the lease")
    lease_namespace: str = setting("leader-elect-resource-namespace", "kube-system", "its namespace")
    lease_kind: str = setting("leader-elect-resource-lock", "leases", "the kind of the lock", choices=("leases",))
    lease_duration: Seconds = setting(
        "leader-elect-lease-duration", Seconds(15), "for how long a lease holds that nobody renews", above=0
    )
    renew_deadline: Seconds = setting(
        "leader-elect-renew-deadline", Seconds(10), "after how long a holder that cannot renew stops", above=0
    )
    retry_period: Seconds = setting("leader-elect-retry-period", Seconds(2), "between tries", above=0)


def check(settings: LeaderSettings) -> Iterator[str]:
    """What does not go together: a holder must have stopped before another may begin."""
    longer = (
        ("lease-duration", settings.lease_duration, "renew-deadline", settings.renew_deadline),
        ("renew-deadline", settings.renew_deadline, "retry-period", settings.retry_period),
    )
    for long, more, short, less in longer:
        if not more > less:
            yield f"--leader-elect-{long}={more:g}s must be longer than --leader-elect-{short}={less:g}s"


async def lead(settings: LeaderSettings, client: Client, term: Callable[[], Awaitable[None]]) -> None:
    """Runs `term` whenever we lead; without --leader-elect at once. Returns when `term` does, raises what it raises."""
    if not settings.leader_elect:
        await term()
        return
    identity = f"{os.environ.get('POD_NAME') or socket.gethostname()}_{os.getpid()}"
    terms = Terms(settings.lease_duration, settings.renew_deadline, settings.retry_period)
    election = Election(
        client,
        namespace=settings.lease_namespace,
        name=settings.lease_name,
        identity=identity,
        terms=terms,
    )
    await election.run(term)
