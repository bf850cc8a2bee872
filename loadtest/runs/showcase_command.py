"""`make demo`: on the test bed, or with --hpa in a cluster of yours where the sample service, HPA and canary run.

There, `kubectl apply -f manifests/samples/{app,hpa-pods,canary-setup}.yaml` with adapter and rollout controller
installed are what it needs; it edits the Deployment's POD_VERSION and ERROR_RATE.
"""

import argparse
import shutil
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from loadtest.runs.arguments import check_host, check_out
from loadtest.runs.cluster import Place
from loadtest.runs.command import Where, finish, run_until_told, run_verb, watch_with_progress, world_at
from loadtest.runs.generator import too_busy
from loadtest.runs.on_bed import bed_up
from loadtest.runs.report import Report
from loadtest.runs.showcase import SCENARIO, Showcase, Stage, on_bed
from loadtest.runs.watching import Plan, check
from loadtest.runs.world import WorldError
from tests.cluster.kubectl import Kubectl
from tests.cluster.processes import run


async def perform(where: Where, stage: Stage, console: Console) -> tuple[Report | str, list[str]]:
    """The run or why it does not count, and what did not go as it should."""
    began = time.monotonic()

    def say(text: str) -> None:
        console.print(f"[bold]{time.monotonic() - began:4.0f} s[/]  {text}", highlight=False)

    async with world_at(where) as world:
        plan = Plan(SCENARIO, SCENARIO.seconds)
        if problem := check(plan, world):
            return problem, []
        showcase = Showcase(stage, world, say)
        seen = await watch_with_progress(plan, world, console, "the load", beside=showcase.run)
    return too_busy(seen.locust_cpu) or Report(seen), showcase.failed


class MyKubectl(Kubectl):
    """kubectl in a cluster of the user's: only its environment can name several kubeconfigs, joined by ':'."""

    def __init__(self, program: Path, kubeconfigs: str) -> None:
        """Without `kubeconfigs` they are kubectl's own, which a run reads, too: $KUBECONFIG, ~/.kube/config."""
        super().__init__(program, Path(kubeconfigs))
        self._environ = {"KUBECONFIG": kubeconfigs} if kubeconfigs else {}

    def kubectl(self, *arguments: str, stdin: str | None = None, seconds: float = 120.0) -> str:
        """See Kubectl."""
        return run([self.program, *arguments], stdin=stdin, seconds=seconds, environ=self._environ)


def _mine(given: argparse.Namespace) -> tuple[Where, Stage]:
    """A cluster of the user's. Raises WorldError."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        raise WorldError("there is no kubectl on PATH, which a release in your cluster is made with")
    place = Place(given.namespace, given.hpa, given.host)
    stage = Stage(MyKubectl(Path(kubectl), given.kubeconfig), given.namespace, given.deployment, given.policy)
    return Where(place, given.kubeconfig), stage


def _demo(given: argparse.Namespace, console: Console) -> int:
    with ExitStack() as stack:
        if given.hpa:
            where, stage = _mine(given)
        else:
            console.print("starting a cluster, the adapter, the rollout controller and the sample service")
            bed = stack.enter_context(bed_up(reuse=given.reuse_bed))
            place, stage = stack.enter_context(on_bed(bed))
            where = Where(place, str(bed.kubeconfig))
        outcome, failed = run_until_told(perform(where, stage, console))
    if isinstance(outcome, str):
        print(outcome, file=sys.stderr)
        return 1
    finish(outcome, given.out, console)
    for text in failed:
        print(text, file=sys.stderr)
    return 1 if failed else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; 1 where something did not go as it should."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.runs.showcase_command", description=__doc__)
    parser.add_argument("--reuse-bed", action="store_true", help="on the bed that is up, which is left up")
    parser.add_argument("--out", type=Path, help="folder of the report")
    mine = parser.add_argument_group("a cluster of yours")
    mine.add_argument("--hpa", metavar="NAME", help="the sample service's HPA, with a Pods metric")
    mine.add_argument("--host", metavar="URL", help="of the sample service, as this machine reaches it")
    mine.add_argument("--namespace", default="default", help="(default %(default)s)")
    mine.add_argument("--deployment", default="sample", help="(default %(default)s)")
    mine.add_argument("--policy", default="sample", help="the RolloutPolicy (default %(default)s)")
    mine.add_argument("--kubeconfig", default="", help="(default: $KUBECONFIG, ~/.kube/config)")
    given = parser.parse_args(arguments)
    check_host(parser, given.host, given.hpa)
    check_out(parser, given.out)
    return run_verb(_demo, given, Console(width=None if sys.stdout.isatty() else 150))


if __name__ == "__main__":
    sys.exit(main())
