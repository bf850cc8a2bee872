"""What of a policy's status can be used, where another build or another hand wrote it. Pure.

A field that has another shape is left out. Where a release stands is several fields that go together: if one of them
cannot be read, none counts, and the Deployment is looked at anew. What the release changed (`saved`) is kept apart.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from adapter.rollout.model.fields import without_nulls
from adapter.rollout.model.observation import Json
from adapter.rollout.model.policy import STRATEGIES, RolloutPolicy
from adapter.rollout.model.status import Phase, Status

FIELDS: Final = {field.encode_name: field.name for field in msgspec.structs.fields(Status)}
PLACE: Final = ("phase", "stable", "release", "roll", "edit", "evidence")
"""Fields that say where a release stands."""
MOST_BYTES: Final = 64 << 10
"""Of a field."""
MOST_BYTES_LARGE: Final = 512 << 10
"""Of those that grow with the policy: probes have certificates, evidence has gates."""
LARGE: Final = ("release", "evidence")
MOST_WHOLE: Final = 1 << 53
"""No whole number of ours is as large: JSON readers disagree on larger ones."""
CALM: Final = (Phase.PENDING, Phase.IDLE)


def readable(raw: Json) -> tuple[Json, str]:
    """The raw policy with a status that can be used, and a sentence on what cannot; '' where all can."""
    given = raw.get("status")
    if given is None:
        return raw, ""
    if not isinstance(given, dict):
        return {**raw, "status": {}}, "status is no object"
    bad = {name: why for name, value in given.items() if (why := _problem(name, value))}
    usable = {name: value for name, value in given.items() if name not in bad and name in FIELDS}
    place = set(PLACE) - {"evidence"}
    if not bad.keys() & place and (why := _inconsistency(raw, usable)):
        bad["release"] = why
    if bad.keys() & place:
        usable = {name: value for name, value in usable.items() if name not in PLACE}
    said = "; ".join(f"status.{name} {why}" for name, why in sorted(bad.items()))
    return ({**raw, "status": usable} if bad else raw), said[:512]


def _problem(name: str, value: object) -> str:
    """What is wrong with a field by itself; '' for nothing, and for one that is not ours."""
    if name not in FIELDS or value is None:
        return ""
    most = MOST_BYTES_LARGE if name in LARGE else MOST_BYTES
    if len(msgspec.json.encode(value)) > most:
        return f"has more than {most} bytes"
    if _too_large(value):
        return f"has a whole number beyond {MOST_WHOLE}"
    try:
        msgspec.convert({name: without_nulls(value)}, Status)
    except (msgspec.ValidationError, OverflowError) as error:
        return f"has another shape than this build's: {error}"
    return ""


def _too_large(value: object) -> bool:
    if isinstance(value, Mapping):
        return any(map(_too_large, value.values()))
    if isinstance(value, list):
        return any(map(_too_large, value))
    return isinstance(value, int) and abs(value) > MOST_WHOLE


def _inconsistency(raw: Json, usable: Json) -> str:
    """Why the fields do not go together; '' where they do."""
    status = msgspec.convert(without_nulls(usable), Status)
    if status.phase in CALM:
        return ""
    if status.phase is Phase.ROLLING:
        return "" if status.roll else f"stands in phase {status.phase} without a roll"
    release = status.release
    if release is None:
        return f"is missing in phase {status.phase}"
    return _strategy(raw, release.strategy, release.step) if release.strategy else ""


def _strategy(raw: Json, strategy: Mapping[str, Any], step: int) -> str:
    """Why a release cannot go on by the strategy that it began with."""
    others = {key: value for key, value in (raw.get("spec") or {}).items() if key not in STRATEGIES}
    if len(strategy) != 1 or next(iter(strategy)) not in STRATEGIES:
        return f"has a strategy that is none of {', '.join(STRATEGIES)}"
    try:
        policy = msgspec.convert({"spec": without_nulls({**others, **strategy})}, RolloutPolicy)
    except msgspec.ValidationError as error:
        return f"has a strategy that cannot be read: {error}"
    steps = len(policy.steps)
    if step < 0 or (steps and step >= steps) or (not steps and policy.spec.blue_green is None):
        return f"stands at step {step} of {steps}"
    return ""
