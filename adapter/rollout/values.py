"""Values of one Deployment's pods, from the metrics APIs through the API server: what the HPA itself reads."""

from typing import Final, TypeVar

import structlog

from adapter.kube.client import Client
from adapter.kube.errors import KubeError, NotFound
from adapter.kube.objects import Model
from adapter.rollout.decide.context import Context
from adapter.rollout.model.observation import Json
from adapter.rollout.observe import selector_text
from adapter.units.quantity import Quantity, QuantityError

log = structlog.get_logger(__name__)
CUSTOM: Final = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/{namespace}/pods/*/{metric}"
USAGE: Final = "/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods"
TIMEOUT: Final = 5.0

M = TypeVar("M", bound=Model)


class Named(Model, frozen=True):
    """The name of an object."""

    name: str = ""


class Value(Model, frozen=True):
    """One item of a MetricValueList."""

    described_object: Named = Named()
    timestamp: str | None = None
    value: str = ""


class ContainerUsage(Model, frozen=True):
    """A container of a PodMetrics: resource -> quantity."""

    name: str = ""
    usage: dict[str, str] = {}  # noqa: RUF012 - msgspec makes a fresh one for every object


class PodUsage(Model, frozen=True):
    """PodMetrics."""

    metadata: Named = Named()
    timestamp: str | None = None
    window: str = ""
    containers: tuple[ContainerUsage, ...] = ()


class _Values(Model, frozen=True):
    items: tuple[Value, ...] = ()


class _Usages(Model, frozen=True):
    items: tuple[PodUsage, ...] = ()


class Values:
    """Asks for what belongs to a policy's Deployment. What is not served now is nothing, and is logged."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def custom(self, ctx: Context, metric: str, selector: Json | None = None) -> list[Value] | None:
        """A metric of the Deployment's pods, none where no pod has it; None where it could not be read now.

        `selector` is the metric's own, as an HPA has it.
        """
        more = {"metricLabelSelector": selector_text(selector)} if selector else {}
        try:
            return list((await self._once(CUSTOM, ctx, _Values, metric, more)).items)
        except NotFound:
            return []
        except KubeError as error:
            _log(metric, error)
            return None

    async def has(self, ctx: Context, metric: str) -> bool | None:
        """Whether a pod of the Deployment has the metric; None where that cannot be told now."""
        try:
            return bool((await self._once(CUSTOM, ctx, _Values, metric, {})).items)
        except NotFound:
            return False
        except KubeError:
            return None

    async def usage(self, ctx: Context) -> list[PodUsage]:
        """CPU and memory of the Deployment's pods."""
        try:
            return list((await self._once(USAGE, ctx, _Usages, "", {})).items)
        except KubeError as error:
            _log("usage", error)
            return []

    async def _once(self, path: str, ctx: Context, kind: type[M], metric: str, more: dict[str, str]) -> M:
        where = path.format(namespace=ctx.policy.metadata.namespace, metric=metric)
        params = {"labelSelector": selector_text(ctx.deployment.spec.get("selector") or {}), **more}
        return await self._client.get(where, kind, params=params, timeout=TIMEOUT)


def _log(metric: str, error: KubeError) -> None:
    log.info("metric not read", metric=metric, cause=str(error))


def nano(text: str) -> int | None:
    """A quantity in thousand millionths; None where it is none."""
    try:
        return Quantity.parse(text).nano
    except QuantityError:
        return None
