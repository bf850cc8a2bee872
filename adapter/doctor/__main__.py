"""`streamgate-doctor`: flags -> settings -> one look -> findings."""

import asyncio
import logging
import sys
from collections.abc import Iterator, Sequence
from enum import IntEnum

import msgspec

from adapter.doctor.checks import findings
from adapter.doctor.checks.apis import servers_by_api
from adapter.doctor.finding import Report, one_line
from adapter.doctor.gather import Gatherer
from adapter.doctor.settings import FLAGS, PROGRAM, Settings
from adapter.kube.client import Client
from adapter.kube.config import ConfigError, connect
from adapter.kube.errors import KubeError
from adapter.program import logs, tables, verbs


class Health(IntEnum):
    """The exit codes."""

    HEALTHY = 0
    FINDINGS = 1
    COULD_NOT_LOOK = 2
    """At all, or not at everything and found nothing."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    return verbs.run(PROGRAM, lambda: _run(FLAGS.parse(given).settings), failures=())


def _run(settings: Settings) -> int:
    logs.set_up(settings.verbosity, least=logging.ERROR)
    try:
        report = asyncio.run(look(settings))
    except (KubeError, ConfigError, ValueError) as error:
        tables.say(f"{PROGRAM}: {error}")
        return Health.COULD_NOT_LOOK
    if settings.output == "json":
        tables.lines([msgspec.json.format(msgspec.json.encode(report)).decode()])
    else:
        tables.lines(report_lines(report))
    return code(report)


async def look(settings: Settings) -> Report:
    """One look at the cluster. Raises KubeError, ConfigError."""
    connection = await connect(settings.kubeconfig, settings.context)
    async with Client(connection, timeout=settings.request_timeout) as client:
        seen = await Gatherer(client, settings.namespace, timeout=settings.timeout).look()
    return Report(served=servers_by_api(seen), findings=findings(seen), unseen=seen.unseen)


def code(report: Report) -> Health:
    """What the findings make of it."""
    if report.findings:
        return Health.FINDINGS
    return Health.COULD_NOT_LOOK if report.unseen else Health.HEALTHY


def report_lines(report: Report) -> Iterator[str]:
    """The report for people."""
    for name, server in report.served.items():
        yield one_line(f"{name} is served by {server}")
    if report.served:
        yield ""
    for finding in report.findings:
        yield one_line(f"{finding.object}: {finding.says}")
        yield f"  next: {one_line(finding.next)}"
        yield ""
    for unseen in report.unseen:
        yield one_line(f"not looked at: {unseen.what}: {unseen.why}")
    count = len(report.findings)
    yield f"{count} finding{'s' * (count > 1)}" if count else "nothing is wrong with what was looked at"


if __name__ == "__main__":
    sys.exit(main())
