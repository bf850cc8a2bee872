"""By ingress-nginx' canary annotations. Golden-tested writes only: that project was retired in 2026, and no nginx was
asked. A second Ingress with the same rules sends a percentage to the Service over the sibling's pods.
"""

import copy
from typing import Any, Final

from adapter.rollout.decide.context import DONE, Context, Todo
from adapter.rollout.model.actions import INGRESSES, Create, delete, patch, pointer, put
from adapter.rollout.model.observation import Json, Seen, Service
from adapter.rollout.model.policy import RouteRef
from adapter.rollout.traffic.router import canary_service, metadata_for_extra

CANARY: Final = "nginx.ingress.kubernetes.io/canary"
WEIGHT: Final = "nginx.ingress.kubernetes.io/canary-weight"


class Nginx:
    """The share by a second Ingress."""

    def __init__(self, ref: RouteRef) -> None:
        self._ref = ref

    def shift(self, ctx: Context, weight: int) -> Todo:
        """The canary Ingress has the weight, or is gone for 0."""
        ingress = self._canary_ingress(ctx)
        if not weight:
            return (
                Todo((delete(INGRESSES, ingress, "no traffic to the new pods"),))
                if ingress and not ingress.going
                else DONE
            )
        if not (todo := canary_service(ctx, self._ref)).done:
            return todo
        why = f"{weight} % to the new pods"
        if ingress is None:
            assert ctx.seen.route is not None
            return Todo((Create(INGRESSES, self._copy(ctx, ctx.seen.route, weight), why),))
        if ingress.annotations.get(WEIGHT) != str(weight):
            return Todo(
                (patch(INGRESSES, ingress, [put(pointer("metadata", "annotations", WEIGHT), str(weight))], why),)
            )
        return DONE

    def refuses(self, ctx: Context) -> str:
        """The Ingress must exist and name the Service."""
        if ctx.seen.route is None:
            return f"spec.canary.traffic.nginx: there is no Ingress {self._ref.name} in this namespace"
        if not _backends(ctx.seen.route.spec, self._ref.service):
            return f"spec.canary.traffic.nginx: Ingress {self._ref.name} has no path to Service {self._ref.service}"
        return ""

    def objection(self, ctx: Context) -> str:
        """Nothing: an Ingress does not say who takes it."""
        return ""

    def pods(self, full: int, weight: int) -> int:
        """The same load per pod as on the stable ones, at least."""
        return -(-full * min(weight, 100) // 100)

    def _canary_ingress(self, ctx: Context) -> Seen | None:
        extras = (extra for extra in ctx.seen.extras if not isinstance(extra, Service))
        return next((extra for extra in extras if extra.name == ctx.release.sibling), None)

    def _copy(self, ctx: Context, route: Seen, weight: int) -> Json:
        spec = copy.deepcopy(route.spec)
        spec.pop("defaultBackend", None)
        for rule in spec.get("rules") or ():
            paths = (rule.get("http") or {}).get("paths") or []
            kept = [path for path in paths if _service(path).get("name") == self._ref.service]
            rule["http"] = {"paths": kept}
            for path in kept:
                path["backend"]["service"]["name"] = ctx.release.sibling
        spec["rules"] = [rule for rule in spec.get("rules") or () if rule["http"]["paths"]]
        metadata = metadata_for_extra(ctx, ctx.release.sibling) | {"annotations": {CANARY: "true", WEIGHT: str(weight)}}
        return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata, "spec": spec}


def _backends(spec: Json, service: str) -> list[Json]:
    paths = [path for rule in spec.get("rules") or () for path in (rule.get("http") or {}).get("paths") or ()]
    return [path for path in paths if _service(path).get("name") == service]


def _service(path: Json) -> dict[str, Any]:
    return dict((path.get("backend") or {}).get("service") or {})
