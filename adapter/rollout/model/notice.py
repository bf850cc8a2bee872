"""What a receiver is told: which reasons, in which form, in how many bytes. Pure."""

from typing import Final

import msgspec

from adapter.rollout.model.actions import Told
from adapter.rollout.model.policy import Receiver, RolloutPolicy
from adapter.rollout.model.status import rfc3339_seconds

MOST_MESSAGE: Final = 1024
"""Characters of a message: those of an Event."""
USUAL: Final = frozenset({"Released", "Switched", "Promoted"})
"""Reasons that every receiver hears of, and all warnings with them, unless it names reasons of its own."""


def is_wanted(receiver: Receiver, told: Told) -> bool:
    """Whether the receiver wants to hear it."""
    return told.reason in receiver.reasons if receiver.reasons else told.warning or told.reason in USUAL


def body(receiver: Receiver, policy: RolloutPolicy, told: Told, now: float) -> bytes:
    """The JSON to send, at most a few KiB."""
    meta, message = policy.metadata, told.message[:MOST_MESSAGE]
    if receiver.format == "slack":
        text = f"{'⚠ ' if told.warning else ''}{meta.namespace}/{meta.name}: {told.reason}. {message}"
        return msgspec.json.encode({"text": escape_for_slack(text)})
    release = policy.status.release
    return msgspec.json.encode(
        {
            "time": rfc3339_seconds(now),
            "namespace": meta.namespace,
            "policy": meta.name,
            "deployment": policy.spec.target_ref.name,
            "reason": told.reason,
            "message": message,
            "warning": told.warning,
            "phase": policy.status.phase.value,
            "release": release
            and {"number": release.number, "template": release.fingerprint, "weight": release.weight},
        }
    )


def escape_for_slack(text: str) -> str:
    """The text with Slack's three own characters escaped: no message makes a link or calls a channel."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
