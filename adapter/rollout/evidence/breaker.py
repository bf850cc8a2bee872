"""The circuit breaker: what is so plain that no statistics are wanted, and what is not this release's fault.

Half of the requests failing, half of the pods crash-looping or gone unready. Where the stable pods are seen beside
them and are at least half as bad, it is an outage of both and rolls nothing back.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from adapter.rollout.evidence.likelihood import Floats
from adapter.rollout.model.window import Arm, Counts, Health

Bools: TypeAlias = npt.NDArray[np.bool_]

BAD: Final = 0.5
"""The part of requests or pods from which on it is plain."""
AT_ONCE: Final = 150
"""Bad requests that are enough in one window where no stable pod has traffic beside it; a single burst is then no
likely cause. Beside stable pods an outage of both may be one: the window in which it begins or ends may show it in the
canary alone, however many requests it has."""
IN_A_ROW: Final = 40
"""Bad requests that plainly bad windows in a row, two or more, must have together: one burst may last for several small
windows, so their number says nothing."""
UNREADY_S: Final = 15.0
"""Seconds for which half of the new pods must be unready where stable pods serve beside them: an unready pod has no
traffic there, and a probe that failed once comes again within a readiness period, 10 s by default."""
SHARED: Final = 0.5
"""Stable is as ill if its part is at least this much of the canary's."""


class Failing(NamedTuple):
    """Both arms' requests in the newest plainly bad windows in a row; zeros where the newest is none."""

    requests: float = 0.0
    bad: float = 0.0
    stable: float = 0.0
    """UNTOLD where an older record did not say; so is `bad_stable`."""
    bad_stable: float = 0.0


UNTOLD: Final = -1.0


def plain(canary: Floats, bad: Floats, stable: Floats, bad_stable: Floats, limit: float) -> Bools:
    """Whether a window is plainly bad: half of the canary's requests (or more than `limit`), and not of stable's."""
    most = max(BAD, limit)
    shared = (stable > 0) & (bad_stable * canary >= SHARED * bad * stable)
    return np.asarray((canary > 0) & (bad >= most * canary) & ~shared)


def acts(before: Floats, now: Floats, stable: Floats) -> Bools:
    """Whether it is enough: the bad requests of the plainly bad windows in a row `before` this one, and with it `now`
    (0: this one is none), beside `stable` pods' requests."""
    at_once = (stable <= 0) & (now - before >= AT_ONCE)
    return np.asarray((now > 0) & (at_once | ((before > 0) & (now >= IN_A_ROW))))


def requests(before: Failing, canary: Counts, stable: Counts | None, limit: float) -> tuple[Failing, str]:
    """What to remember, and why to roll back at once ('': no reason). `limit`: a bad rate that the gate allows."""
    beside = stable or Counts(0.0, 0.0)
    here, bad, there, bad_there = (np.asarray(part) for part in (canary.all, canary.bad, beside.all, beside.bad))
    if not plain(here, bad, there, bad_there, limit):
        return Failing(), ""
    now = _and_with(before, canary, beside)
    if not acts(np.asarray(before.bad), np.asarray(now.bad), there):
        return now, ""
    said = f", stable's {now.bad_stable:.0f} of {now.stable:.0f} in the same windows" if now.stable > 0 else ""
    return now, f"{now.bad:.0f} of the newest {now.requests:.0f} requests were bad{said}"


def _and_with(before: Failing, canary: Counts, stable: Counts) -> Failing:
    """One plainly bad window more."""
    beside = (before.stable + stable.all, before.bad_stable + stable.bad) if before.stable >= 0 else (UNTOLD, UNTOLD)
    return Failing(before.requests + canary.all, before.bad + canary.bad, *beside)


def pods(since: float | None, health: Mapping[Arm, Health], now: float, *, beside: bool) -> tuple[float | None, str]:
    """Since when half of the pods are unready (None: they are not), to remember; and why to roll back at once.

    `since` is what the window before gave, `now` the end of this one, both s since 1970; `beside`: stable pods serve.
    """
    canary, stable = health.get(Arm.CANARY), health.get(Arm.STABLE)
    if canary is None or canary.pods <= 0:
        return None, ""
    if _plainly(canary, stable, ill=canary.crash_looping, ill_stable=stable.crash_looping if stable else 0):
        return None, f"{canary.crash_looping} of {canary.pods} pods crash again and again"
    if not _plainly(canary, stable, ill=canary.unready, ill_stable=stable.unready if stable else 0):
        return None, ""
    if since is None:
        return now, ""
    if beside and now - since < UNREADY_S:
        return since, ""
    return (
        since,
        f"{canary.unready} of {canary.pods} pods were ready and have not been any more for {now - since:.0f} s",
    )


def _plainly(canary: Health, stable: Health | None, *, ill: int, ill_stable: int) -> bool:
    if ill < BAD * canary.pods or ill == 0:
        return False
    return not (stable and stable.pods > 0 and ill_stable / stable.pods >= SHARED * ill / canary.pods)
