"""What people ask for by the command annotation, and the edits of the template that follow from it."""

import hashlib
from typing import Any, Final

import msgspec

from adapter.rollout.decide import wants
from adapter.rollout.decide.common import POLL, go_back
from adapter.rollout.decide.context import ABORTABLE, Context, Decision, say
from adapter.rollout.model.actions import DEPLOYMENTS, Told, patch, put
from adapter.rollout.model.observation import Json
from adapter.rollout.model.policy import Command, command_of
from adapter.rollout.model.status import REFUSED, Edit, Outcome, Phase, Status, rfc3339_seconds

RESTARTED: Final = "kubectl.kubernetes.io/restartedAt"
"""kubectl's own, so that its users see what they know."""
CONFIG: Final = "streamgate.io/config"
STEADY: Final = frozenset({*ABORTABLE, Phase.IDLE})
"""Phases in which the Deployment's template may be edited for a person."""

VERBS: Final = ("promote", "pause", "resume", "abort", "retry", "undo", "restart")


def apply_command(ctx: Context) -> Decision | None:
    """Applies the command in the annotation, once; None where there is none, or the policy goes."""
    command = command_of(ctx.policy)
    if command is None or ctx.deleting:
        return None
    status = msgspec.structs.replace(ctx.status, command=command.id)
    if command.verb == "abort" and ctx.abortable:
        reason = "a person said abort"
        told = Told("Aborting", reason)
        return go_back(ctx._replace(status=status), Outcome.ABORTED, reason, told)
    changed = _apply_verb(ctx, status, command)
    if isinstance(changed, str):
        told = Told("Ignored", f"{command.verb[:32]!r} means nothing {changed}", True)
        return Decision(status, (), (told,), 0.0)
    return Decision(changed, (), (Told("Commanded", f"a person said {command.verb}"),), 0.0)


def _apply_verb(ctx: Context, status: Status, command: Command) -> Status | str:
    """The status that the command leads to, or why it leads to none, as the end of a sentence."""
    releasing = status.release is not None and ctx.abortable
    replace = msgspec.structs.replace
    match command.verb:
        case "promote" if releasing:
            return _promote(ctx, status, full=command.full)
        case "pause" if releasing and status.phase is not Phase.COMPLETING:  # there the Deployment rolls by itself
            return replace(status, held=True)
        case "resume" if releasing:
            return replace(status, held=False) if status.held else "now: nobody said pause"
        case "retry":
            return _retry(status)
        case "undo" if status.phase in STEADY:
            return _undo(ctx, status)
        case "restart" if status.phase in STEADY:
            return replace(status, edit=Edit(restarted_at=rfc3339_seconds(ctx.now)))
    return f"while the phase is {status.phase}"


def _promote(ctx: Context, status: Status, *, full: bool) -> Status | str:
    if not (full or status.held or _stops_for_a_person(ctx)):
        return "now: the release waits for no person here; --full leaves out soaks and gates"
    release = msgspec.structs.replace(ctx.release, promote=True, full=ctx.release.full or full)
    return msgspec.structs.replace(status, release=release, held=False)


def _stops_for_a_person(ctx: Context) -> bool:
    """Whether the present phase ends with a manual stop, or, before the first one, whether that is next."""
    blue_green, phase = ctx.policy.spec.blue_green, ctx.status.phase
    if blue_green is not None:
        return blue_green.manual and phase in (Phase.PREPARING, Phase.STARTING, Phase.PREVIEWING)
    return phase in (Phase.PREPARING, Phase.STEPPING) and ctx.policy.steps[ctx.release.step].manual


def _retry(status: Status) -> Status | str:
    """On the way back it is remembered until the release's end, which would refuse the template."""
    release = status.release
    if release is not None and release.outcome in REFUSED:
        return msgspec.structs.replace(status, release=msgspec.structs.replace(release, retry=True))
    return msgspec.structs.replace(status, refused="") if status.refused else "now: no template was rolled back"


def _undo(ctx: Context, status: Status) -> Status | str:
    target = _undo_target(ctx)
    if not target:
        return "now: there is no template before this one"
    if wants.template_of(ctx, target) is None:
        return "now: the template to go back to is not stored, and no ReplicaSet has it"
    return msgspec.structs.replace(status, edit=Edit(template=target))


def _undo_target(ctx: Context) -> str:
    """The fingerprint that `undo` goes back to: the stable one, or the previous one where that is written now; '' where
    there was none."""
    stable, wanted = wants.stable_set(ctx), ctx.status.stable.fingerprint
    now = ctx.deployment.fingerprint
    return ctx.status.previous if now in (wanted, stable.fingerprint if stable else "") else wanted


def write_edit(ctx: Context) -> Decision | None:
    """Writes the edit that was asked for; None where there is none, or not now."""
    edit = ctx.status.edit
    if edit is None or ctx.status.phase not in STEADY:
        return None
    held = ctx.policy.in_place and ctx.status.phase is not Phase.IDLE  # as far as the step, whatever the template
    if not ctx.deployment.paused and not held:
        return None
    template = _target(ctx, edit)
    if template is None or template == ctx.deployment.template:
        return Decision(msgspec.structs.replace(ctx.status, edit=None), again=0.0)
    why = "a person asked for it" if not edit.config else "a ConfigMap or Secret that the policy names has changed"
    written = patch(DEPLOYMENTS, ctx.deployment, [put("/spec/template", template)], why)
    return Decision(say(ctx.status, f"writes a template: {why}"), (written,), again=POLL)


def notice_config_change(ctx: Context) -> Decision | None:
    """Notices that a watched ConfigMap or Secret has changed; the first look at each only remembers it."""
    watched, known = ctx.seen.watched, ctx.status.watched
    if ctx.status.phase is not Phase.IDLE or watched == known or ctx.status.edit:
        return None
    changed = sorted(name for name in watched.keys() & known.keys() if watched[name] != known[name])
    status = msgspec.structs.replace(ctx.status, watched=dict(watched))
    if not changed:
        return Decision(status, again=0.0)
    said = f"{', '.join(changed)[:256]} changed, which the policy names: a release begins"
    edit = Edit(config=hashlib.sha256(msgspec.json.encode(watched, order="sorted")).hexdigest()[:16])
    return Decision(msgspec.structs.replace(status, edit=edit), (), (Told("ConfigChanged", said),), 0.0)


def _target(ctx: Context, edit: Edit) -> Json | None:
    if edit.template:
        return wants.template_of(ctx, edit.template)
    key, value = (RESTARTED, edit.restarted_at) if edit.restarted_at else (CONFIG, edit.config)
    template: dict[str, Any] = ctx.deployment.template
    meta = template.get("metadata") or {}
    return {**template, "metadata": {**meta, "annotations": {**(meta.get("annotations") or {}), key: value}}}
