"""Whether VPA's admission controller is there, which gives new pods their requests."""

from typing import Any, Final

import structlog

from adapter.kube.client import Client
from adapter.kube.errors import KubeError
from adapter.kube.objects import unix
from adapter.kube.resources import LEASES
from adapter.once import Once

NAME: Final = "vpa-admission-controller"
"""The Lease that it renews, as VPA's updater knows it."""
FRESH: Final = 60.0
"""s that a renewal counts (VPA's AdmissionControllerStatusTimeout)."""
log = structlog.get_logger(__name__)


class Admission:
    """Evictions need it: without it a pod comes back with the requests that it had, and would be evicted for ever."""

    def __init__(self, client: Client, namespace: str) -> None:
        """`namespace`: of its Lease."""
        self._client, self._path = client, LEASES.path(namespace, NAME)
        self._once = Once(again=None)

    async def answers(self, now: float) -> bool:
        """Whether it has renewed its Lease within a minute before `now`, Unix s; if not, one log line says so."""
        trouble = await self._trouble(now)
        if not trouble:
            self._once.over("admission")
        elif self._once.first("admission", trouble):
            log.warning("no pod is evicted: it would come back as it was", cause=trouble)
        return not trouble

    async def _trouble(self, now: float) -> str:
        try:
            lease: dict[str, Any] = await self._client.get(self._path, dict)
            renewed = unix((lease.get("spec") or {}).get("renewTime"))
        except (KubeError, ValueError) as error:
            return f"VPA's admission controller is not found: {error}"
        if renewed is None or now - renewed > FRESH:
            return f"VPA's admission controller has not renewed its lease {NAME} for a minute"
        return ""
