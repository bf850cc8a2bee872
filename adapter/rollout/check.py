"""What can be said of a policy's gates before a release: what cannot be asked, and what nobody would answer."""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

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
SOON: Final = 15.0
"""The same where a metric could not be looked for."""
NONE: Final = "; correct its name, or have it served"
NONE_BAD: Final = (
    ", so that no request counts as bad; correct its name, or have it served as 0 where no request was bad"
    " (http_errors_total is)"
)
MOST: Final = 1000
"""Policies whose last look is held in memory."""


class _Look(NamedTuple):
    """What one look for a policy's metrics found."""

    generation: int
    time: float
    """Unix time, s."""
    soon: bool
    """A metric could not be looked for."""
    missing: tuple[str, ...]
    """A sentence each."""


class Checker:
    """Looks at policies between their releases."""

    def __init__(self, values: Values, *, asks_prometheus: bool) -> None:
        self._values, self._asks_prometheus = values, asks_prometheus
        self._looks: dict[str, _Look] = {}

    async def check(self, policy: RolloutPolicy, raw: Json, seen: Observation, now: float) -> Checked:
        """See `turns.Ears`."""
        gates = read(raw.get("spec"))[0].gates
        problems = queries.problems(gates)
        if not problems and not self._asks_prometheus and any(gate.query for gate in gates):
            problems = ["spec.gates: a gate asks by query, and the controller has no --prometheus-url"]
        problems += preview.problems(policy.spec.blue_green, seen.deployment.template) if seen.deployment else []
        if problems or seen.deployment is None:
            return Checked(tuple(problems))
        look = await self._last_look(Context(policy, policy.status, seen, FREE, now), gates)
        return Checked(unheard=look.missing, again=SOON if look.soon else math.inf)

    async def _last_look(self, ctx: Context, gates: Sequence[Gate]) -> _Look:
        """Metrics of gates that no pod has, looked for once a minute: a wrong name is seen before a release is."""
        key, generation = ctx.policy.metadata.uid, ctx.policy.metadata.generation
        last = self._looks.get(key)
        pause = SOON if last is not None and last.soon else SECONDS
        if last is None or last.generation != generation or ctx.now - last.time >= pause:
            last = self._looks[key] = await self._look(ctx, gates)
            while len(self._looks) > MOST:
                del self._looks[next(iter(self._looks))]
        return last

    async def _look(self, ctx: Context, gates: Sequence[Gate]) -> _Look:
        """Each metric of a gate must be there; bad requests may have none yet, which a wrong name looks like too."""
        missing, told = list[str](), True
        for gate in gates:
            if gate.query or gate.metric == GENERATED or not ctx.deployment.replicas:
                continue
            for name, text in ((gate.total, NONE), (gate.metric, NONE_BAD if gate.total else NONE)):
                has = await self._values.has(ctx, name) if name else True
                told = told and has is not None
                if has is False:
                    missing.append(f"gate {gate.name}: no pod of the Deployment has the metric {name}{text}")
                    break
        return _Look(ctx.policy.metadata.generation, ctx.now, not told, tuple(missing))
