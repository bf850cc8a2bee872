"""CPU and memory as they are asked for: of which pods and nodes, and why there is none."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from adapter.collect import consumption
from adapter.collect.answer import NodeUsage, PodUsage, Unanswerable, Unavailable
from adapter.collect.directory import Directory
from adapter.collect.usage import UsageSource
from adapter.kube.objects import HasMetadata, Pod
from adapter.kube.resources import GroupResource
from adapter.rules.resources import NODES, PODS
from adapter.units.selector import Selector

Usage = TypeVar("Usage", NodeUsage, PodUsage)


class Used:
    """Usage of the objects that there are; see `Answers`."""

    def __init__(
        self,
        source: UsageSource,
        directory: Directory,
        clock: Callable[[], float],
        wall: Callable[[float], float],
    ) -> None:
        """`clock` gives Unix s and never steps; `wall` puts its moments into the time that clients know."""
        self._source = source
        self._directory = directory
        self._clock = clock
        self._wall = wall

    def nodes(self, name: str | None, selector: Selector) -> list[NodeUsage]:
        """See `Answers.node_usage`."""
        asked = _select_by_name(self._directory.indexes[NODES].select("", selector), name)
        known = self._source.nodes()
        used = consumption.of_nodes(asked, known, self._clock(), self._source.max_age)
        if asked and known and all(self._directory.indexes[NODES].get("", other) is None for other in known):
            raise Unanswerable(
                f"usage is known of {min(known)!r} and the like, and no node has such a name; right would be a"
                " nodeQuery that groups by a label with nodes' names"
            )
        return self._answer(NODES, asked, used)

    def pods(self, namespace: str | None, name: str | None, selector: Selector) -> list[PodUsage]:
        """See `Answers.pod_usage`."""
        asked = _select_by_name(self._directory.indexes[PODS].select(namespace, selector), name)
        used = consumption.of_pods(asked, self._source.pods(), self._clock(), self._source.max_age)
        return self._answer(PODS, asked, used)

    def _answer(self, resource: GroupResource, asked: Sequence[HasMetadata], used: Sequence[Usage]) -> list[Usage]:
        """`used` in clients' time. Raises Unavailable where nothing asked for has usage and it is known why."""
        if asked and not used and (trouble := self._source.trouble(resource, _nodes(resource, asked))):
            raise Unavailable(f"the usage of {resource} cannot be had: {trouble}")
        return [one._replace(time=self._wall(one.time)) for one in used]


def _nodes(resource: GroupResource, asked: Sequence[HasMetadata]) -> set[str] | None:
    """The nodes that are asked for, or that the pods run on; None where only the pods' metadata is known."""
    if resource == NODES:
        return {item.metadata.name for item in asked}
    pods = [item for item in asked if isinstance(item, Pod)]
    return {pod.spec.node_name for pod in pods if pod.spec.node_name} if len(pods) == len(asked) else None


def _select_by_name(objects: Iterable[HasMetadata], name: str | None) -> list[HasMetadata]:
    """The objects called `name`; all where it is None."""
    return [item for item in objects if name in (None, item.metadata.name)]
