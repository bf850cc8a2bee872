"""What the API server asks of the values, and what it gets: the seam between `collect` and `serve`."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from msgspec import Struct

from adapter.kube.resources import GroupResource
from adapter.units.quantity import Quantity
from adapter.units.selector import Selector


class ObjectReference(NamedTuple):
    """The described object of a custom metric."""

    kind: str
    namespace: str
    name: str
    api_version: str
    """As written on the wire: 'v1', 'apps/v1'."""


class CustomOffer(NamedTuple):
    """A line of the custom metrics API's discovery."""

    resource: GroupResource
    metric: str
    namespaced: bool


class CustomQuestion(Struct, frozen=True, kw_only=True):
    """One request of custom.metrics.k8s.io."""

    resource: GroupResource
    namespace: str
    """'' for root-scoped objects."""
    name: str
    """An object's name, or '*' for those that `selector` matches."""
    metric: str
    selector: Selector
    metric_selector: Selector
    """Of metricLabelSelector; the empty selector where none was sent."""
    user: str = ""
    """Who asks; bounds how many undeclared requests of one user are remembered."""


class CustomValue(NamedTuple):
    """One item of a MetricValueList."""

    described: ObjectReference
    value: Quantity
    time: float
    """Unix time of the sample, s."""
    window: float | None
    """s, None where it is unknown."""


class ExternalQuestion(Struct, frozen=True, kw_only=True):
    """One request of external.metrics.k8s.io."""

    namespace: str
    metric: str
    selector: Selector
    user: str = ""


class ExternalValue(NamedTuple):
    """One item of an ExternalMetricValueList."""

    labels: Mapping[str, str]
    value: Quantity
    time: float
    window: float | None


class Usage(NamedTuple):
    """CPU in cores and memory in bytes."""

    cpu: Quantity
    memory: Quantity


class NodeUsage(NamedTuple):
    """One NodeMetrics."""

    name: str
    labels: Mapping[str, str]
    time: float
    window: float
    usage: Usage


class PodUsage(NamedTuple):
    """One PodMetrics; containers sorted by name."""

    namespace: str
    name: str
    labels: Mapping[str, str]
    time: float
    window: float
    containers: Sequence[tuple[str, Usage]]


class Missing(LookupError):  # noqa: N818 - the name of what the client is told
    """There is no such metric or object; answered with 404. The text is one sentence with the cause."""


class Unavailable(Exception):  # noqa: N818 - the name of what the client is told
    """The value cannot be had now; answered with 503. The text is one sentence with the cause."""

    def __init__(self, cause: str, *, soon: bool = False) -> None:
        """`soon`: it may well be there in a second, so that asking again is worth it (Retry-After)."""
        super().__init__(cause)
        self.soon = soon


class Unanswerable(Exception):  # noqa: N818 - the name of what the client is told
    """What the rule says can never give this value; answered with 500. The text is one sentence with the cause."""


class BadQuestion(ValueError):  # noqa: N818 - the name of what the client is told
    """What was asked can mean nothing to the source; answered with 400. The text is one sentence with the cause."""


NO_ANSWER = (Missing, Unavailable, Unanswerable, BadQuestion)
"""All that asking for a value raises."""


class Answers(Protocol):
    """All that the API server knows of the rest of the program."""

    serves_custom: bool
    serves_external: bool
    serves_resource: bool

    def custom_offers(self) -> Sequence[CustomOffer]:
        """Sorted by resource and metric."""
        ...

    async def custom(self, question: CustomQuestion) -> Sequence[CustomValue]:
        """Sorted by object name. Raises those of NO_ANSWER."""
        ...

    def external_offers(self) -> Sequence[str]:
        """The names of the external metrics, sorted."""
        ...

    async def external(self, question: ExternalQuestion) -> Sequence[ExternalValue]:
        """Sorted by labels. Raises those of NO_ANSWER."""
        ...

    def node_usage(self, name: str | None, selector: Selector) -> Sequence[NodeUsage]:
        """All nodes that match, or the one called `name`, sorted by name; nodes without a value are left out.

        Raises Unavailable where none has one and the cause is known.
        """
        ...

    def pod_usage(self, namespace: str | None, name: str | None, selector: Selector) -> Sequence[PodUsage]:
        """The pods that match in a namespace (None: in all), sorted by namespace and name; raises as for nodes."""
        ...

    async def explain_hpa(self, *, namespace: str, name: str, user: str) -> Mapping[str, object]:
        """What an HPA will do with the values that are served now, and why. Raises Missing, Unavailable."""
        ...

    def explain(self, question: CustomQuestion) -> Mapping[str, object]:
        """How the answer to `question` comes about: rule, pods, query, samples, ages, why a pod is missing."""
        ...
