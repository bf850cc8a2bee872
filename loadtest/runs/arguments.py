"""What `python -m loadtest` can be told."""

import argparse
import json
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from adapter.metrics.series_text import cut
from loadtest.runs.record import MAX_HEADROOM
from loadtest.runs.scenarios import SCENARIOS

DESCRIPTION = "Run a scenario and report, compare two reports, show what there is."
OUT = Path("build") / "loadtest"
SHORTEST, LONGEST = 30.0, 86_400.0
"""s, of a run."""
MOST_WORK_MS = 60_000.0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse and check the command line; a mistake ends the program with a sentence."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.verb == "run":
        _check(parser, given)
    return given


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m loadtest", description=DESCRIPTION)
    verbs = parser.add_subparsers(dest="verb", required=True)
    run = verbs.add_parser("run", help="one scenario, and its report")
    run.add_argument("scenario", choices=list(SCENARIOS))
    run.add_argument("--seconds", type=float, help="stretch or squeeze the scenario to so long")
    run.add_argument("--fixed", action="store_true", help="then the same load on a fleet fixed at the peak")
    run.add_argument("--web", action="store_true", help="with Locust's own page")
    run.add_argument("--path", default="/", help="what is asked for (default %(default)s)")
    run.add_argument("--out", type=Path, help=f"folder of the report (default: one below {OUT})")
    _places(run)
    compare = verbs.add_parser("compare", help="two reports side by side")
    compare.add_argument("reports", nargs=2, type=Path, metavar="REPORT", help="a report's folder, or its report.json")
    compare.add_argument("--out", type=Path, help="write a page there")
    verbs.add_parser("scenarios", help="what there is")
    pictures = verbs.add_parser("picture", help="a report's page as pictures, by chromium")
    pictures.add_argument("report", type=Path, metavar="REPORT", help="a report's folder, which gets them")
    publication = verbs.add_parser("publish", help="a report into docs/, with a picture and its figures in loadtest.md")
    publication.add_argument("report", type=Path, metavar="REPORT", help="a report's folder, or its report.json")
    publication.add_argument("--figures", action="store_true", help="only its figures")
    publication.add_argument("--as", dest="part", default="", help="the part of the page (default: its scenario)")
    return parser


def _places(run: argparse.ArgumentParser) -> None:
    places = run.add_argument_group("where (default: this machine, without a cluster)")
    places.add_argument("--bed", action="store_true", help="on the test bed; needs root")
    places.add_argument("--reuse-bed", action="store_true", help="on the bed that is up, which is left up")
    places.add_argument(
        "--reflex", action="store_true", help="there with the adapter's --reflex, and an HPA that agrees"
    )
    places.add_argument(
        "--behavior",
        type=_behavior,
        metavar="JSON",
        help="there in place of the scale-down window: spec.behavior of the HPA",
    )
    places.add_argument("--host", metavar="URL", help="of your service, as this machine reaches it")
    places.add_argument("--namespace", default="default", help="of your HPA (default %(default)s)")
    places.add_argument("--hpa", metavar="NAME", help="your HPA, with a Pods metric of requests per second")
    places.add_argument(
        "--work-ms", type=float, default=0.0, help="the sample service answers there, and works so long on a request"
    )
    places.add_argument("--kubeconfig", default="", help="of your cluster (default: $KUBECONFIG, ~/.kube/config)")
    places.add_argument(
        "--headroom",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="by which the HPA's target is below what a pod bears, in which loads and the fixed fleet are told",
    )


def _check(parser: argparse.ArgumentParser, given: argparse.Namespace) -> None:
    if given.seconds is not None and not SHORTEST <= given.seconds <= LONGEST:
        parser.error(f"--seconds: {given.seconds:g} is not within {SHORTEST:g} to {LONGEST:g}")
    check_host(parser, given.host, given.hpa)
    if given.hpa and (given.bed or given.reuse_bed):
        parser.error("--hpa is for a cluster of yours, --bed and --reuse-bed bring a service of their own")
    if (given.reflex or given.behavior is not None) and not (given.bed or given.reuse_bed):
        parser.error("--reflex and --behavior are for --bed and --reuse-bed: an HPA of yours says both itself")
    if not 0 <= given.headroom <= MAX_HEADROOM:
        parser.error(f"--headroom: {given.headroom:g} is not within 0 to {MAX_HEADROOM:g}; 0.25 is a quarter")
    if not 0 <= given.work_ms <= MOST_WORK_MS:
        parser.error(f"--work-ms: {given.work_ms:g} is not within 0 to {MOST_WORK_MS:g}")
    if not given.path.startswith("/"):
        parser.error(f"--path: {cut(given.path)} does not begin with /; /{given.path[:40]} would be right")
    check_out(parser, given.out)


def check_host(parser: argparse.ArgumentParser, host: str | None, hpa: str | None) -> None:
    """Of a cluster of the user's: both or neither, and a URL."""
    if bool(host) != bool(hpa):
        parser.error("--host and --hpa belong together: where requests go, and what scales what answers them")
    if host and not host.startswith(("http://", "https://")):
        parser.error(f"--host: {host!r} is no URL; http://… or https://… would be right")


def check_out(parser: argparse.ArgumentParser, out: Path | None) -> None:
    """A folder for reports, which may have to be made: tried before the load, whose only record it takes."""
    folder = out or OUT
    missing: list[Path] = []
    try:
        missing += [place for place in (folder, *folder.parents) if not place.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        parser.error(f"--out: {folder}: {error.strerror}; a folder that can be made or written to would be right")
    finally:
        for place in missing:
            with suppress(OSError):
                place.rmdir()


def _behavior(text: str) -> dict[str, Any]:
    """An argument's JSON; the API server says what of it is wrong. Raises ArgumentTypeError."""
    with suppress(ValueError, RecursionError):
        if isinstance(behavior := json.loads(text), dict):
            return behavior
    raise argparse.ArgumentTypeError(
        f'{cut(text)} is no JSON object; {{"scaleUp": {{"tolerance": "0"}}}} would be right'
    )
