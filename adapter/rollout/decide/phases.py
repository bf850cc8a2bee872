"""Which phase is handled where."""

from collections.abc import Mapping
from typing import Final

from adapter.rollout.decide.backwards import removing, restoring, returning
from adapter.rollout.decide.common import Handler
from adapter.rollout.decide.forwards import (
    adopting,
    completing,
    filling,
    finishing,
    preparing,
    previewing,
    starting,
    stepping,
    switching,
    verifying,
)
from adapter.rollout.model.status import Phase

HANDLERS: Final[Mapping[Phase, Handler]] = {
    Phase.PREPARING: preparing,
    Phase.STARTING: starting,
    Phase.PREVIEWING: previewing,
    Phase.STEPPING: stepping,
    Phase.COMPLETING: completing,
    Phase.FILLING: filling,
    Phase.SWITCHING: switching,
    Phase.VERIFYING: verifying,
    Phase.ADOPTING: adopting,
    Phase.FINISHING: finishing,
    Phase.RETURNING: returning,
    Phase.REMOVING: removing,
    Phase.RESTORING: restoring,
}
