"""The checks: functions of a snapshot that say what is wrong. Pure."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from adapter.doctor.checks import apis, certificates, clocks, hpas, programs, releases, rules, vpas
from adapter.doctor.finding import Finding
from adapter.doctor.snapshot import Snapshot

CHECKS: Final[Sequence[Callable[[Snapshot], Iterator[Finding]]]] = (
    apis.check,
    certificates.check,
    programs.check,
    rules.check,
    hpas.check,
    vpas.check,
    releases.check,
    clocks.check,
)


def findings(seen: Snapshot) -> list[Finding]:
    """All that is wrong, what others depend on first."""
    return [finding for check in CHECKS for finding in check(seen)]
