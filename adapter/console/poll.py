"""Lists each kind again and again, with the caller's own rights, and puts what it finds on the board.

Each kind in each namespace is a job of its own: one that hangs holds up no other. What is forbidden or not there is
asked again once a minute; an API server that sheds load is given the time that it asks for.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final

import structlog

from adapter.console import hpas, recommendations, releases
from adapter.console.board import WORKLOADS, Ails, Board, Kind
from adapter.console.hpas import HpaView
from adapter.console.objects import WORKLOADS as RESOURCES
from adapter.console.objects import Hpa, Workload
from adapter.kube.client import Client
from adapter.kube.errors import KubeError, Skipped
from adapter.kube.resources import HORIZONTAL_POD_AUTOSCALERS, Resource
from adapter.program.run import Job
from adapter.rollout.model.policy import POLICIES
from recommender.objects import VPAS, Vpa

SELDOM: Final = 60.0
"""s between two lists of workloads, whose requests change with releases alone; and of what is refused."""
SOON: Final = 1.0
"""s until it is looked again whether there are VPAs, which asks for nothing."""
SLICE: Final = 50
"""Views made between two turns of the event loop: some 10 ms of HPAs."""
KINDS: Final[dict[Kind, tuple[Resource, Any]]] = {
    Kind.HPAS: (HORIZONTAL_POD_AUTOSCALERS, Hpa),
    Kind.RELEASES: (POLICIES, dict),
    Kind.VPAS: (VPAS, Vpa),
    Kind.DEPLOYMENTS: (RESOURCES["Deployment"], Workload),
    Kind.STATEFUL_SETS: (RESOURCES["StatefulSet"], Workload),
    Kind.DAEMON_SETS: (RESOURCES["DaemonSet"], Workload),
}
NAMES: Final = {Kind.DEPLOYMENTS: "Deployment", Kind.STATEFUL_SETS: "StatefulSet", Kind.DAEMON_SETS: "DaemonSet"}
NAMELESS: Final = Skipped("", "", "it has no metadata that can be read")
"""A policy of which nothing can be shown, not even its name."""

log = structlog.get_logger(__name__)


class Poller:
    """The lists of one console."""

    def __init__(self, client: Client, board: Board, clock: Callable[[], float]) -> None:
        """`clock`: Unix s."""
        self._client, self._board, self._clock = client, board, clock
        self._known: dict[str, tuple[str, HpaView]] = {}
        """HPAs by their key, with the version that the view was made of."""

    def jobs(self) -> Iterator[Job]:
        """One for each kind and namespace, and one for the lines."""
        for kind in KINDS:
            for namespace in self._board.namespaces:
                yield Job(f"list {kind} {namespace}".strip(), partial(self._for_ever, kind, namespace))
        yield Job("remember", self._remember)

    async def once(self, kind: Kind, namespace: str) -> float:
        """One list; s until the next."""
        if kind in WORKLOADS and not self._board.recommendations():
            return SOON  # nobody wants their requests yet
        listed = self._board.last_list(kind, namespace)
        try:
            items, skipped = await self._list(kind, namespace)
        except KubeError as error:
            now = self._clock()
            failed = self._board.seen[kind, namespace] = listed.after_failure(error, now)
            if listed.trouble is None:
                log.warning("a list failed", kind=kind.value, namespace=namespace, cause=str(error))
            assert failed.trouble is not None
            return self._pause(kind, failed.trouble.ails, error)
        self._board.seen[kind, namespace] = listed.after_list(items, self._clock(), skipped)
        return SELDOM if kind in WORKLOADS else self._board.refresh

    async def _for_ever(self, kind: Kind, namespace: str) -> None:
        while True:  # noqa: ASYNC110 - it waits for nothing but time
            await asyncio.sleep(await self.once(kind, namespace))

    async def _remember(self) -> None:
        while True:
            await asyncio.sleep(self._board.refresh)
            self._board.remember(self._clock())

    def _pause(self, kind: Kind, ails: Ails, error: KubeError) -> float:
        usual = SELDOM if ails in (Ails.FORBIDDEN, Ails.ABSENT) else self._board.refresh
        return max(usual, min(error.retry_after or 0.0, SELDOM))

    async def _list(self, kind: Kind, namespace: str) -> tuple[Sequence[Any], Sequence[Skipped]]:
        """Reads one list: views of the objects that can be read, and a note for each one that cannot."""
        resource, typed = KINDS[kind]
        listing = await self._client.list(resource.path(namespace), typed)
        made: list[Any] = []
        for start in range(0, len(listing.items), SLICE):
            made += self._views(kind, listing.items[start : start + SLICE])
            await asyncio.sleep(0)
        if kind is Kind.HPAS:
            self._forget(namespace, made)
        return made, (*listing.skipped, *[NAMELESS] * (len(listing.items) - len(made)))

    def _views(self, kind: Kind, objects: Sequence[Any]) -> Iterator[Any]:
        now = self._clock()
        for one in objects:
            if kind is Kind.HPAS:
                yield self._hpa(one, now)
            elif kind is Kind.VPAS:
                yield recommendations.view(one)
            elif kind is Kind.RELEASES:
                if (release := releases.view(one)) is not None:
                    yield release
            else:
                meta = one.metadata
                yield (meta.namespace, NAMES[kind], meta.name), one.requests

    def _hpa(self, hpa: Hpa, now: float) -> HpaView:
        """Made anew only of another version: of 1,000 HPAs few change between two looks."""
        meta = hpa.metadata
        known = self._known.get(meta.uid)
        if known is not None and meta.resource_version and known[0] == meta.resource_version:
            return known[1]
        made = hpas.view(hpa, now)
        self._known[made.key] = meta.resource_version, made
        return made

    def _forget(self, namespace: str, made: Sequence[HpaView]) -> None:
        """Views of HPAs that are gone; each namespace is a list of its own."""
        kept = {one.key for one in made}
        gone = [key for key, (_, view) in self._known.items() if key not in kept and namespace in ("", view.namespace)]
        for key in gone:
            del self._known[key]
