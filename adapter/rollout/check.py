"""What can be said of a policy's gates before a release: what cannot be asked, and what nobody would answer."""

from collections.abc import Sequence
from typing import Final

from adapter.rollout import preview, queries
from adapter.rollout.decide.context import Context
from adapter.rollout.model.gates import Gate, read
from adapter.rollout.model.observation import Json, Observation
from adapter.rollout.model.policy import RolloutPolicy
from adapter.rollout.model.preview import GENERATED
from adapter.rollout.model.verdict import FREE
from adapter.rollout.turns import Checked
from adapter.rollout.values import Values

SECONDS: Final = 60.0
"""Between two looks for a policy's metrics."""
MOST: Final = 1000
"""Policies whose last look is held in memory."""


class Checker:
    """Looks at policies between their releases."""

    def __init__(self, values: Values, *, asks_prometheus: bool) -> None:
        self._values, self._asks_prometheus = values, asks_prometheus
        self._missing: dict[str, tuple[float, int, tuple[str, ...]]] = {}

    async def check(self, policy: RolloutPolicy, raw: Json, seen: Observation, now: float) -> Checked:
        """See `turns.Ears`."""
        gates = read(raw.get("spec"))[0].gates
        found = queries.problems(gates)
        if not found and not self._asks_prometheus and any(gate.query for gate in gates):
            found = ["spec.gates: a gate asks by query, and the controller has no --prometheus-url"]
        found += preview.problems(policy.spec.blue_green, seen.deployment.template) if seen.deployment else []
        if found or seen.deployment is None:
            return Checked(tuple(found))
        return Checked(unheard=await self._unheard(Context(policy, policy.status, seen, FREE, now), gates))

    async def _unheard(self, ctx: Context, gates: Sequence[Gate]) -> tuple[str, ...]:
        """Metrics of gates that no pod has, looked for once a minute: a wrong name is seen before a release is."""
        key = ctx.policy.metadata.uid
        time, generation, found = self._missing.get(key, (0.0, -1, ()))
        if generation != ctx.policy.metadata.generation or ctx.now - time >= SECONDS:
            found = tuple([text for gate in gates if (text := await self._missed(ctx, gate))])
            self._missing[key] = (ctx.now, ctx.policy.metadata.generation, found)
            while len(self._missing) > MOST:
                del self._missing[next(iter(self._missing))]
        return found

    async def _missed(self, ctx: Context, gate: Gate) -> str:
        """Bad requests may well have no series yet; all requests, or a gauge, must."""
        name = gate.total or gate.metric
        if gate.query or gate.metric == GENERATED or not ctx.deployment.replicas or await self._values.has(ctx, name):
            return ""
        return f"gate {gate.name}: no pod of the Deployment has the metric {name}; correct its name, or have it served"
