"""A RolloutPolicy as the console shows it: phase, steps, weights, evidence, history. Pure."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import msgspec

from adapter.kube.objects import Condition, unix
from adapter.rollout.evidence.codec import EvidenceError
from adapter.rollout.explain import GateView
from adapter.rollout.model.fields import without_nulls
from adapter.rollout.model.gates import GatesError
from adapter.rollout.model.observation import Json
from adapter.rollout.model.policy import RolloutPolicy, in_force
from adapter.rollout.model.remembered import readable
from adapter.rollout.model.status import Past
from adapter.rollout.standing import standing


class Progress(NamedTuple):
    """A release under way. Times are Unix s, shares percent."""

    number: int
    template: str
    started: float | None
    step: int
    """From 0; meaningless without steps."""
    weight: int
    waiting: float | None
    """Since when the cluster does not show what the phase wants."""


@dataclass(frozen=True, slots=True)
class ReleaseView:
    """One policy."""

    key: str
    namespace: str
    name: str
    strategy: str
    target: str
    phase: str
    says: str
    held: bool
    refused: str
    progress: Progress | None
    weights: tuple[int, ...]
    """Of its steps."""
    gates: tuple[GateView, ...]
    problems: tuple[str, ...]
    """What of it cannot be read."""
    conditions: tuple[Condition, ...]
    history: tuple[Past, ...]
    """Newest first."""

    @property
    def text(self) -> str:
        """What a search looks at."""
        return " ".join((self.namespace, self.name, self.target, self.phase))

    @property
    def is_bad(self) -> bool:
        """Whether a person should look: it is stuck, or its last release did not go through."""
        stuck = any(one.status == "True" for one in self.conditions if one.type in ("Stuck", "Interfered"))
        return stuck or bool(self.refused) or bool(self.problems)


def view(raw: Json) -> ReleaseView | None:
    """What is shown of a policy as decoded JSON; None where it is none. Never raises."""
    try:
        raw, lost = readable(raw)
        raw = in_force(raw)
        policy = msgspec.convert(without_nulls(raw), RolloutPolicy)
    except (msgspec.ValidationError, TypeError, AttributeError) as error:
        return _unreadable(raw, str(error))
    problems = [lost] if lost else []
    gates: tuple[GateView, ...] = ()
    try:
        judged = standing(policy, raw)
        gates = judged.gates if judged else ()
    except (GatesError, EvidenceError) as error:
        problems.append(str(error))
    return _build_view(policy, gates, tuple(problems))


def _build_view(policy: RolloutPolicy, gates: tuple[GateView, ...], problems: tuple[str, ...]) -> ReleaseView:
    status, meta = policy.status, policy.metadata
    release = status.release
    progress = None
    if release is not None:
        progress = Progress(
            number=release.number,
            template=release.fingerprint,
            started=unix(release.started_at),
            step=release.step,
            weight=release.weight,
            waiting=unix(release.waiting_since),
        )
    return ReleaseView(
        key=meta.uid or f"{meta.namespace}/{meta.name}",
        namespace=meta.namespace,
        name=meta.name,
        strategy=policy.strategy,
        target=f"{policy.spec.target_ref.kind} {policy.spec.target_ref.name}",
        phase=status.phase.value,
        says=status.message or "waits for the controller",
        held=status.held,
        refused=status.refused,
        progress=progress,
        weights=tuple(step.weight for step in policy.steps),
        gates=gates,
        problems=problems,
        conditions=status.conditions,
        history=tuple(sorted(status.history, key=lambda past: -past.number)),
    )


class _Meta(msgspec.Struct):
    name: str = ""
    namespace: str = ""
    uid: str = ""


def _unreadable(raw: Json, why: str) -> ReleaseView | None:
    """The view of a policy that cannot be read: its name and `why`. None where it has no readable name."""
    try:
        meta = msgspec.convert(without_nulls(raw.get("metadata") or {}), _Meta)
    except msgspec.ValidationError:
        return None
    made = _build_view(RolloutPolicy(), (), (f"the policy cannot be read: {why}",))
    key = meta.uid or f"{meta.namespace}/{meta.name}"
    return replace(made, key=key, namespace=meta.namespace, name=meta.name)
