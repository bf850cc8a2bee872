"""By the weights of an HTTPRoute (gateway.networking.k8s.io/v1): exact, and per request.

Lists in a route are atomic for server-side apply, so each rule's `backendRefs` is replaced by a JSON patch that tests
the whole list first. Only rules that name the Service are touched; their other backends keep their part: every weight
of such a rule is multiplied by 100 while the release lasts, so that percents of the Service's own weight are whole.
"""

from collections.abc import Iterator
from typing import Any, Final

from adapter.rollout.decide.context import DONE, Context, Todo
from adapter.rollout.model.actions import HTTP_ROUTES, Patch, put, test
from adapter.rollout.model.observation import Json, Seen
from adapter.rollout.model.policy import RouteRef
from adapter.rollout.traffic.router import canary_service

SCALE: Final = 100
MOST: Final = 10_000
"""The largest weight that a rule may have, so that a hundred times it is still allowed (1,000,000)."""
NEEDED: Final = ("Accepted", "ResolvedRefs")
"""A backend that cannot be resolved leaves Accepted true, and its share is answered with 500."""


class Gateway:
    """The share by weights."""

    def __init__(self, ref: RouteRef) -> None:
        self._ref = ref

    def shift(self, ctx: Context, weight: int) -> Todo:
        """The rules give the sibling `weight` percent of what they give the Service, and the gateway says so."""
        route = ctx.seen.route
        if route is None:
            return DONE if not weight else Todo(unmet=f"HTTPRoute {self._ref.name} to exist")
        if weight and not (todo := canary_service(ctx, self._ref)).done:
            return todo
        patches = self._patches(ctx, route, weight)
        if patches:
            return Todo((Patch(HTTP_ROUTES, route.name, patches, f"{weight} % to the new pods"),))
        return Todo(unmet=_not_programmed(route))

    def refuses(self, ctx: Context) -> str:
        """The route must exist, name the Service, and leave room for percents."""
        route = ctx.seen.route
        if route is None:
            return f"spec.canary.traffic.httpRoute: there is no HTTPRoute {self._ref.name} in this namespace"
        rules = [rule for rule in route.spec.get("rules") or () if self._mine(rule.get("backendRefs") or [])]
        if not rules:
            return (
                f"spec.canary.traffic.httpRoute: no rule of {self._ref.name} has Service {self._ref.service} as backend"
            )
        weights = [_weight(ref) for rule in rules for ref in rule["backendRefs"]]
        if max(weights) > MOST and not ctx.status.release:
            return f"HTTPRoute {self._ref.name}: weights above {MOST} leave no room for percents; divide them"
        return ""

    def objection(self, ctx: Context) -> str:
        """What the gateways say against the route, or that none has taken it: its weights would move nothing."""
        route = ctx.seen.route
        return "" if route is None else _objection(route)

    def pods(self, full: int, weight: int) -> int:
        """As many pods as keep the load of each at or below that of a stable one."""
        return -(-full * min(weight, 100) // 100)

    def changes(self, route: Seen, canary: str, weight: int) -> Iterator[tuple[int, list[Json], list[Json]]]:
        """The rules that do not give the sibling its weight: index, backendRefs as they are, and as they should be."""
        for index, rule in enumerate(route.spec.get("rules") or ()):
            held = rule.get("backendRefs") or []
            wanted = self._weigh_backends(held, canary, weight)
            if wanted != held:
                yield index, held, wanted

    def _patches(self, ctx: Context, route: Seen, weight: int) -> list[Json]:
        operations = []
        for index, held, wanted in self.changes(route, ctx.release.sibling, weight):
            path = f"/spec/rules/{index}/backendRefs"
            operations += [test(path, held), put(path, wanted)]
        return [test("/metadata/uid", route.uid), *operations] if operations else []

    def _weigh_backends(self, held: list[Json], canary: str, weight: int) -> list[Json]:
        """The rule's backends with the sibling at `weight`; as they were before the release for 0."""
        if not self._mine(held):
            return held
        scale = SCALE if any(_names(ref, canary) for ref in held) else 1
        total = {id(ref): _weight(ref) for ref in held}
        own = next(ref for ref in held if _names(ref, self._ref.service))
        others = sum(total[id(ref)] for ref in held if _names(ref, canary))
        both = total[id(own)] + others
        before = max(both // scale, min(both, 1))  # the Service's weight without us, whatever a person made of it
        result = []
        for ref in held:
            if _names(ref, canary):
                continue
            base = before if ref is own else _unscale(total[id(ref)], scale)
            result.append({**ref, "weight": base * (SCALE - weight if ref is own else SCALE) if weight else base})
            if ref is own and weight:
                result.append({**ref, "name": canary, "weight": base * weight})
        return result if weight or scale == SCALE else held

    def _mine(self, held: list[Json]) -> bool:
        return any(_names(ref, self._ref.service) for ref in held)


def _names(ref: Json, service: str) -> bool:
    """Whether a backendRef is that Service of the route's own namespace."""
    kind = (ref.get("group") or "", ref.get("kind") or "Service")
    return kind == ("", "Service") and not ref.get("namespace") and ref.get("name") == service


def _weight(ref: Json) -> int:
    return int(ref.get("weight", 1))


def _unscale(weight: int, scale: int) -> int:
    """Another backend's weight without us. One that is no multiple was never scaled: it came in mid-release."""
    whole, rest = divmod(weight, scale)
    return weight if rest and weight <= MOST else whole  # a larger one could not be scaled


def _objection(route: Seen) -> str:
    """Only what has not to do with the generation: a gateway that is about to look at an edit objects to nothing."""
    parents = route.status.get("parents") or ()
    if not parents:
        return (
            f"HTTPRoute {route.name}: no gateway has taken it; its parentRefs must name a Gateway that has a controller"
        )
    for parent in parents:
        held = {condition["type"]: condition for condition in parent.get("conditions") or ()}
        for kind in NEEDED:
            if (known := held.get(kind, {"status": "absent"})).get("status") != "True":
                said = f"{kind} is {known.get('status')}" + (f" ({known['reason']})" if known.get("reason") else "")
                return (
                    f"HTTPRoute {route.name}: of parent {_parent_name(parent)} the condition {said}; a share counts as "
                    "moved when each parent takes the route: put that right, or take the parent out"
                )
    return ""


def _parent_name(parent: Json) -> str:
    ref = parent.get("parentRef") or {}
    return "/".join(str(ref[key]) for key in ("namespace", "name", "sectionName") if ref.get(key)) or "without a name"


def _not_programmed(route: Seen) -> str:
    """What the gateways have not said about the route's present generation; '' where all have."""
    generation = int(route.meta.get("generation") or 0)
    parents = route.status.get("parents") or ()
    if not parents:
        return f"a gateway to accept HTTPRoute {route.name}"
    for parent in parents:
        held = {condition["type"]: condition for condition in parent.get("conditions") or ()}
        for kind in NEEDED:
            if not _holds(held.get(kind), generation):
                return f"HTTPRoute {route.name} to be {kind} at generation {generation}"
    return ""


def _holds(condition: dict[str, Any] | None, generation: int) -> bool:
    if condition is None:
        return False
    return condition.get("status") == "True" and int(condition.get("observedGeneration") or 0) >= generation
