"""`make bench-rollout-peer`: the same faults for our rollout controller and for Argo Rollouts, in the same run.

On the test bed, with real containers and 250 requests/s each: a canary of a quarter of the pods that answers 5 % or
50 % of its requests with 500, and a blue-green release whose pods crash again and again after the switch. Then healthy
releases at some 20 requests of the canary per scrape. Ours is judged by the adapter (embedded, 5 s), Argo's analysis by
Prometheus (5 s scrapes, a rate over 20 s) every second. Needs root and some 20 minutes; `--write-docs` rewrites the
figures of docs/rollouts.md.
"""

import argparse
import contextlib
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple, Protocol

from rich.console import Console
from rich.table import Table

from loadtest.machine import ahead, description
from loadtest.rollout_bench import argo, releases
from loadtest.rollout_bench.releases import EVENTS, GOOD_RATE
from tests.cluster.adapter import CUSTOM_API_SERVICES, running_adapter
from tests.cluster.bed import Bed, BedError, Options
from tests.cluster.manifests import PORT
from tests.cluster.processes import wait_until
from tests.cluster.prometheus import running_prometheus
from tests.cluster.rollout import Clients, Revision, Shop, addresses, running_controller

DOCUMENT = Path(__file__).parent.parent / "docs" / "rollouts.md"
MARKS = "<!-- peer: written by loadtest/rollout_peer.py -->", "<!-- end of peer -->"
SCRAPE_S: Final = 5
STEP_S: Final = 60.0
"""How long the canary's step lasts, and the analysis after a switch."""
LONGEST: Final = 240.0
HEALTHY_RATE: Final = 0.005
OURS, PEER = "ours", "Argo Rollouts"
GATE: Final = {**EVENTS, "limit": argo.LIMIT, "onUndecided": {"afterSeconds": STEP_S, "then": "promote"}}


class Contender(Protocol):
    """A workload under release, the Deployment or Rollout `web` of a namespace."""

    bed: Any
    namespace: str

    @property
    def address(self) -> str:
        """Of the Service that clients use."""
        ...

    def release(self, version: str, **env: object) -> None:
        """An edit of its template."""
        ...

    def outcome(self, seconds: float) -> str:
        """Promoted, RolledBack, or what else it is after so long."""
        ...

    def reason(self) -> str:
        """Why the last release ended so, in the controller's words."""
        ...


class Ours(Shop):
    """With our controller."""

    _before = 0
    """The number of the last release before this one."""

    def release(self, version: str, **env: object) -> None:
        """An edit of its template."""
        self._before = releases.last_number(self.status())
        super().release(version, **env)

    def outcome(self, seconds: float) -> str:
        """As the policy's history says."""

        def has_ended() -> bool:
            status = self.status()
            return releases.last_number(status) > self._before and status.get("phase") == "Idle"

        ended_in_time = wait_until(has_ended, seconds, every=releases.LOOK_S)
        return str(self.status()["history"][0]["outcome"]) if ended_in_time else "Undecided"

    def reason(self) -> str:
        """As the policy's history says, and what the release now under way waits for."""
        status = self.status()
        return f"{status['history'][0]['reason']}; now {status.get('phase')}: {status.get('message')}"


class Case(NamedTuple):
    """A fault: what the new version does, and by which strategy it comes."""

    name: str
    blue_green: bool
    error_rate: float = GOOD_RATE
    crashes: bool = False


CASES: Final = (
    Case("canary, 5 % errors", False, 0.05),
    Case("canary, 50 % errors", False, 0.5),
    Case("blue-green, crash loop after the switch", True, crashes=True),
)


class Fault(NamedTuple):
    """What one fault cost."""

    contender: str
    case: str
    outcome: str
    seconds: float
    """From the new version's first answer to its last on a new connection, or to the last request without an answer."""
    unanswered: int
    errors: int
    """Answers 500."""


def suffer(contender: str, shop: Contender, clients: Clients, case: Case, version: str) -> Fault:
    """Makes the release and follows what clients see until it has ended."""
    before, errors = len(clients.failures), clients.answers[500]
    shop.release(version, ERROR_RATE=case.error_rate)
    stop = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        crashing = pool.submit(crash, shop, clients, version, stop) if case.crashes else None
        outcome = shop.outcome(LONGEST)
        time.sleep(2)
        stop.set()
        if crashing is not None:
            crashing.result()
    span = clients.spans.get(Revision(version, True))
    last = clients.last_failure if case.crashes else span.last if span else 0.0
    return Fault(
        contender,
        case.name,
        outcome,
        max(0.0, last - span.first) if span else 0.0,
        len(clients.failures) - before,
        clients.answers[500] - errors,
    )


def crash(shop: Contender, clients: Clients, version: str, stop: threading.Event) -> None:
    """From the switch on, ends every process of the version's pods once a second."""
    while Revision(version, True) not in clients.spans and not stop.wait(0.2):
        pass
    while not stop.wait(1.0):
        for address in addresses(shop.bed, shop.namespace, version):
            request = urllib.request.Request(f"http://{address}:{PORT}/fault?crash=1", method="POST")
            with contextlib.suppress(OSError):  # it ends before it answers, or is not up
                urllib.request.urlopen(request, timeout=1).close()


@contextmanager
def contenders(bed: Bed, folder: Path) -> Iterator[dict[str, Callable[..., Contender]]]:
    """What makes a workload of each contender in a namespace of its own."""
    with ExitStack() as stack:
        stack.enter_context(running_adapter(bed, folder / "adapter", apis=CUSTOM_API_SERVICES, overlay="embedded"))
        prometheus = stack.enter_context(running_prometheus(bed, folder / "prometheus", scrape_s=SCRAPE_S))
        stack.enter_context(argo.running_argo(bed, folder / "argo.log"))

        def namespace(name: str) -> str:
            bed.create_namespace(name)
            stack.callback(bed.delete_namespace, name)
            return name

        def ours(name: str, *, blue_green: bool, small: bool) -> Ours:
            place = namespace(f"ours-{name}")
            weight, replicas = (50, 1) if small else (25, 3)
            canary = {"steps": [{"weight": weight, "pauseSeconds": STEP_S}]}
            made = {"blueGreen": {"previewSeconds": 1, "verifySeconds": STEP_S}} if blue_green else {"canary": canary}
            rate = HEALTHY_RATE if small else GOOD_RATE
            shop = Ours(bed, place, {**made, "gates": [GATE]}, replicas=replicas, ERROR_RATE=rate)
            stack.enter_context(running_controller(bed, place, folder / f"{place}.log"))
            shop.until("Idle")
            return shop

        def peer(name: str, *, blue_green: bool, small: bool) -> argo.ArgoShop:
            weight, replicas = (50, 2) if small else (25, 3 if blue_green else 4)
            strategy = argo.blue_green() if blue_green else argo.canary(weight, STEP_S)
            rate = HEALTHY_RATE if small else GOOD_RATE
            return argo.ArgoShop(
                bed, namespace(f"argo-{name}"), strategy, prometheus.url, replicas=replicas, ERROR_RATE=rate
            )

        yield {OURS: ours, PEER: peer}


def faults(made: dict[str, Callable[..., Contender]], times: int, say: Callable[[str], None]) -> list[Fault]:
    """Each fault so many times for both contenders, in turns: neither shares the machine with the other's."""
    results = []
    for strategy in (False, True):
        name = "blue-green" if strategy else "canary"
        for contender, make in made.items():
            shop = make(name, blue_green=strategy, small=False)
            with Clients(shop.address) as clients:
                time.sleep(30)  # both sources have seen the stable pods
                cases = [case for case in CASES if case.blue_green == strategy] * times
                for number, case in enumerate(cases, 2):
                    results.append(suffer(contender, shop, clients, case, str(number)))
                    say(" · ".join(map(str, results[-1])))
    return results


def healthy(
    made: dict[str, Callable[..., Contender]], lanes: int, each: int, say: Callable[[str], None]
) -> dict[str, int]:
    """How many of lanes × each healthy releases were rolled back, by contender."""

    def lane(contender: str, number: int) -> int:
        shop = made[contender](f"healthy-{number}", blue_green=False, small=True)
        back = 0
        with Clients(shop.address, clients=4, pause=0.5) as _:
            time.sleep(20)
            for place in range(each):
                shop.release(str(place + 2))
                outcome = shop.outcome(LONGEST)
                say(f"{contender}, healthy {number}/{place}: {outcome} ({shop.reason()})")
                back += outcome == "RolledBack"
        return back

    with ThreadPoolExecutor(2 * lanes) as pool:
        running = {contender: [pool.submit(lane, contender, number) for number in range(lanes)] for contender in made}
        return {contender: sum(one.result() for one in each) for contender, each in running.items()}


HEADINGS = ("fault", "controller", "outcome", "s from the fault to its last trace", "without an answer", "answers 500")


def rows(results: Sequence[Fault]) -> list[list[str]]:
    """One per fault and contender."""
    keys = sorted({(fault.case, fault.contender) for fault in results}, reverse=True)
    made = []
    for case, contender in keys:
        mine = [fault for fault in results if (fault.case, fault.contender) == (case, contender)]
        made.append([
            case, contender, ", ".join(sorted({fault.outcome for fault in mine})),
            f"{median(fault.seconds for fault in mine):.1f}", str(sum(fault.unanswered for fault in mine)),
            str(sum(fault.errors for fault in mine)),
        ])  # fmt: skip
    return made


def write_docs(results: Sequence[Fault], back: dict[str, int], number: int) -> None:
    """The figures of docs/rollouts.md between their marks."""
    text = DOCUMENT.read_text(encoding="utf-8")
    before, rest = text.split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    lines = [
        f"{datetime.now(UTC):%Y-%m-%d}, {description()}.",
        "",
        f"| {' | '.join(HEADINGS)} |",
        "|" + "---|" * len(HEADINGS),
        *(f"| {' | '.join(row)} |" for row in rows(results)),
        "",
        f"Healthy releases rolled back, of {number} each: "
        + ", ".join(f"{contender} {count}" for contender, count in back.items())
        + ".",
    ]
    DOCUMENT.write_text(f"{before}{MARKS[0]}\n" + "\n".join(lines) + f"\n{MARKS[1]}{after}", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """The program."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.rollout_peer", description=__doc__)
    parser.add_argument("--lanes", type=int, default=4, help="of healthy releases (default %(default)s)")
    parser.add_argument("--healthy", type=int, default=5, help="releases of each lane (default %(default)s)")
    parser.add_argument("--times", type=int, default=3, help="that each fault comes (default %(default)s)")
    parser.add_argument("--write-docs", action="store_true", help="rewrite the figures of docs/rollouts.md")
    given = parser.parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else 140)

    def say(text: str) -> None:
        console.print(text, highlight=False)

    try:
        with ahead("streamgate-rollouts"), tempfile.TemporaryDirectory(prefix="peer-") as name:
            bed = Bed.up(Options())
            try:
                with contenders(bed, Path(name)) as made:
                    results = faults(made, given.times, say)
                    back = healthy(made, given.lanes, given.healthy, say)
            finally:
                bed.down()
    except BedError as error:
        print(error, file=sys.stderr)
        return 1
    table = Table(*HEADINGS)
    for row in rows(results):
        table.add_row(*row)
    console.print(table)
    console.print(f"healthy releases rolled back, of {given.lanes * given.healthy} each: {back}", highlight=False)
    if given.write_docs:
        write_docs(results, back, given.lanes * given.healthy)
    return 0


if __name__ == "__main__":
    sys.exit(main())
