"""The status of a RolloutPolicy: all that the controller remembers. Times are the API's, RFC 3339."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

import msgspec

from adapter.kube.objects import Condition, Model

HISTORY: Final = 10
"""Releases that are remembered."""


class Phase(StrEnum):
    """Where a release stands. Each has one job, and is left only when the cluster shows that the job is done."""

    PENDING = "Pending"
    """The Deployment is not taken over yet: its current rollout must end first."""
    IDLE = "Idle"
    """Nothing is being released; the Deployment is paused, so that an edit of its template waits for us."""
    PREPARING = "Preparing"
    """Templates are stored, the HPA's floor is held, Services are narrowed to the stable pods."""
    STARTING = "Starting"
    """Blue-green: the sibling grows to full size."""
    PREVIEWING = "Previewing"
    """Blue-green: the sibling is looked at without traffic."""
    STEPPING = "Stepping"
    """Canary: the sibling has the weight of the current step."""
    COMPLETING = "Completing"
    """Rolling: all steps have passed; the Deployment controller replaces the stable pods that are left."""
    FILLING = "Filling"
    """The sibling grows to full size."""
    SWITCHING = "Switching"
    """Services are moved to the sibling's pods."""
    VERIFYING = "Verifying"
    """All traffic is on the sibling; the stable pods are kept."""
    ADOPTING = "Adopting"
    """The sibling is orphaned, and the Deployment takes its ReplicaSet as its own new revision."""
    FINISHING = "Finishing"
    """Promoted: what was changed for the release is put back."""
    RETURNING = "Returning"
    """Traffic goes back to the stable pods."""
    REMOVING = "Removing"
    """The sibling goes."""
    RESTORING = "Restoring"
    """Not promoted: what was changed for the release is put back."""
    ROLLING = "Rolling"
    """The Deployment rolls by itself, without losing a pod: where adoption could not be had, or somebody resumed it."""


class Outcome(StrEnum):
    """How a release ended."""

    PROMOTED = "Promoted"
    ROLLED_BACK = "RolledBack"
    ABORTED = "Aborted"
    SUPERSEDED = "Superseded"
    """Another template took its place."""
    REVERTED = "Reverted"
    """The stable template was put back."""
    DELETED = "Deleted"
    """The policy or the Deployment was deleted."""


REFUSED: Final = frozenset({Outcome.ROLLED_BACK, Outcome.ABORTED})
"""Outcomes after which the same template is not tried again by itself."""


class Revision(Model, frozen=True):
    """A template that serves: its fingerprint, the hash that Kubernetes gave its pods, whose Deployment it is."""

    fingerprint: str = ""
    hash: str = ""
    deployment: str = ""
    """The uid of the Deployment."""


class Roll(Model, frozen=True):
    """A roll by the Deployment itself to template `to`; afterwards it is paused with template `then`, in `next`."""

    to: str = ""
    then: str = ""
    next: Phase = Phase.IDLE
    arrived: int = 0
    """Pods of `to` that are available; each change is progress."""
    since: datetime | None = None
    """Of the newest progress."""


class Release(Model, frozen=True):
    """The release under way."""

    id: str = ""
    number: int = 0
    fingerprint: str = ""
    sibling: str = ""
    hash: str = ""
    replica_set: str = ""
    """The uid of the sibling's ReplicaSet, by which it is known again after its adoption."""
    replicas: int = 0
    """The stable size when the release began."""
    strategy: dict[str, Any] = {}  # noqa: RUF012 - msgspec makes a fresh one for every object
    """`blueGreen` or `canary` as the policy had it when the release began: an edit of it is for the next one."""
    gates: str = ""
    """The newest `spec.gates` that fit this strategy, as JSON: a text, so that no number of theirs is changed or too
    large. '' where an older build made the release, and none was seen since."""
    started_at: datetime | None = None
    since: datetime | None = None
    """When the phase (or step) began."""
    reached: datetime | None = None
    """When the cluster first showed what the phase wants; every soak counts from here."""
    waiting_since: datetime | None = None
    """Since when the cluster does not show what the phase wants; None while it does."""
    step: int = 0
    weight: int = 0
    """Percent of the traffic that the sibling was given."""
    arrived: int = 0
    """Completing: most new pods that were ready; each one more is progress."""
    restarts: dict[str, int] = {}  # noqa: RUF012
    """Pod -> restarts that a stable pod had when the first new pod could start: what came before does not count."""
    shift: int = 0
    """How often traffic was moved; part of the mark on Services, so that no old slice can pass for a new one."""
    promote: bool = False
    """A person said `promote` in this phase, or on the way to the first one with a manual stop."""
    full: bool = False
    """A person said `promote --full`: no more waiting."""
    retry: bool = False
    """A person said `retry` on the way back: the template is not refused at the end."""
    outcome: Outcome | None = None
    reason: str = ""


class Edit(Model, frozen=True):
    """A change of the Deployment's template that was asked for and is not written yet: exactly one field is set."""

    template: str = ""
    """The fingerprint of the stored template to put in."""
    restarted_at: str = ""
    """The time for kubectl's own annotation of a restart."""
    config: str = ""
    """The fingerprint of all ConfigMaps and Secrets that the policy names."""


class Saved(Model, frozen=True):
    """What the release changes and will put back."""

    hpa: str = ""
    """The HPA's name; '' where there is none that we may write."""
    min_replicas: int | None = None
    held: tuple[int, ...] = ()
    """Every minReplicas that we wrote: another value is somebody else's, and is what will be put back."""
    revision_history_limit: int | None = None
    """Set only where it was 0."""
    strategy: dict[str, Any] | None = None
    """Set only while the Deployment rolls by itself."""
    timing: dict[str, int] | None = None
    """minReadySeconds and progressDeadlineSeconds where they were given; None where no rolling release changes them."""


class Past(Model, frozen=True):
    """A release that ended."""

    outcome: Outcome
    number: int = 0
    fingerprint: str = ""
    reason: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None


class Status(Model, frozen=True):
    """RolloutPolicyStatus."""

    observed_generation: int = 0
    phase: Phase = Phase.PENDING
    message: str = ""
    """What it does or waits for, one sentence."""
    stable: Revision = Revision()
    previous: str = ""
    """The fingerprint that was stable before."""
    release: Release | None = None
    roll: Roll | None = None
    edit: Edit | None = None
    saved: Saved | None = None
    evidence: Any = None
    """What the judge remembers of this release (`evidence.codec`)."""
    refused: str = ""
    """The fingerprint that is not tried again until `retry`, or until it changes."""
    held: bool = False
    """A person said `pause`."""
    number: int = 0
    """Releases so far."""
    command: str = ""
    """The id of the last command that was heard."""
    watched: dict[str, str] = {}  # noqa: RUF012
    """Kind/name of each ConfigMap and Secret that the policy names -> the fingerprint of its data."""
    history: tuple[Past, ...] = ()
    conditions: tuple[Condition, ...] = ()


def at(now: float) -> datetime:
    """Unix seconds as the API's time, to the millisecond: what is read back equals what was written."""
    return datetime.fromtimestamp(round(now, 3), UTC)


def rfc3339_seconds(now: float) -> str:
    """Unix seconds as metav1.Time writes them: '2026-11-26T08:00:00Z'."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds(since: datetime | None, now: float) -> float:
    """Seconds from `since` to `now`, never negative; 0 for None."""
    return 0.0 if since is None else max(0.0, now - since.timestamp())


def with_condition(status: Status, kind: str, value: bool, *, reason: str, message: str, now: float) -> Status:
    """`status` with the condition set; its transition time moves only when its value does."""
    word = "True" if value else "False"
    old = next((condition for condition in status.conditions if condition.type == kind), None)
    if old and (old.status, old.reason, old.message) == (word, reason, message):
        return status
    moved = old.last_transition_time if old and old.status == word else at(now)
    new = Condition(type=kind, status=word, reason=reason, message=message, last_transition_time=moved)
    rest = tuple(condition for condition in status.conditions if condition.type != kind)
    return msgspec.structs.replace(status, conditions=(*rest, new))
