"""How the gates of a policy stand now, from what its status remembers. Pure."""

from typing import Final

from adapter.rollout.evidence.codec import EvidenceError
from adapter.rollout.evidence.record import load
from adapter.rollout.explain import Judgement
from adapter.rollout.judge import verdict
from adapter.rollout.model.gates import GatesError, parse
from adapter.rollout.model.observation import Json
from adapter.rollout.model.policy import RolloutPolicy
from adapter.rollout.model.status import Phase
from adapter.rollout.model.verdict import Stage

SIDE_BY_SIDE: Final = (Phase.STEPPING, Phase.COMPLETING, Phase.FILLING, Phase.SWITCHING)
"""Phases of releases by steps in which both arms have traffic."""


def stage_of(policy: RolloutPolicy) -> Stage | None:
    """Which gates are asked in the present phase; None where none is."""
    phase = policy.status.phase
    if policy.steps:
        return Stage.CANARY if phase in SIDE_BY_SIDE else None
    return {Phase.PREVIEWING: Stage.PRE, Phase.VERIFYING: Stage.POST}.get(phase)


def standing(policy: RolloutPolicy, raw: Json) -> Judgement | None:
    """What the judge makes of the evidence so far; None where no gate is asked. Raises GatesError, EvidenceError."""
    gates = parse(raw.get("spec"))
    stage = stage_of(policy)
    if stage is None or policy.status.evidence is None:
        return None
    return verdict(gates, load(gates.of(stage), policy.status.evidence), stage)


def sentences(policy: RolloutPolicy, raw: Json) -> list[str]:
    """A sentence for each gate that is asked now, with its numbers; or what of policy or evidence cannot be read."""
    try:
        judged = standing(policy, raw)
    except (GatesError, EvidenceError) as error:
        return [str(error)]
    return [view.sentence for view in judged.gates] if judged else []
