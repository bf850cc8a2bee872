"""`python -m tests.cluster up|down|status`: the test bed from the command line."""

# ruff: noqa: T201 - this is a command-line program

import argparse
import sys
import tempfile
from pathlib import Path

from tests.cluster import image
from tests.cluster.bed import Bed, BedError, Options
from tests.cluster.binaries import MissingError
from tests.cluster.network import MOST_NODES, NetworkError
from tests.cluster.state import default_folder


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    folder = (options.folder or default_folder()).absolute()
    try:
        return {"up": _up, "down": _down, "status": _status}[options.command](folder, options)
    except (BedError, MissingError, NetworkError) as error:
        print(error, file=sys.stderr)
        return 1


def _up(folder: Path, options: argparse.Namespace) -> int:
    flags: dict[str, list[str]] = {}
    for text in options.flag:
        program, _, flag = text.partition("=")
        flags.setdefault(program, []).append(flag)
    for name, value in (
        ("sync-period", options.hpa_sync_period),
        ("downscale-stabilization", options.hpa_stabilization),
    ):
        if value:
            flags.setdefault("kube-controller-manager", []).append(f"--horizontal-pod-autoscaler-{name}={value}")
    nodes = 0 if options.no_node else options.nodes
    bed = Bed.up(Options(nodes, options.fake_nodes, flags, options.kubernetes), folder)
    if options.images:
        with tempfile.TemporaryDirectory() as archives:
            image.install(bed, Path(archives))
    print(f"\nexport KUBECONFIG={bed.kubeconfig}")
    print(f"{bed.program} get nodes\nlogs: {bed.logs}\ntake it down: python -m tests.cluster down")
    return 0


def _down(folder: Path, options: argparse.Namespace) -> int:
    if not (folder / "state.json").exists():
        print(f"no bed is up in {folder}")
        return 0
    Bed(folder).down(options.keep_logs, force=options.force)
    print("the bed is down")
    return 0


def _status(folder: Path, options: argparse.Namespace) -> int:
    bed = Bed(folder)
    for name, state in bed.status().items():
        print(f"{name:26}{state}")
    print(f"\nexport KUBECONFIG={bed.kubeconfig}\nlogs: {bed.logs}")
    return 0 if all(state != "ended" for state in bed.status().values()) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description="a real Kubernetes for tests")
    parser.add_argument("command", choices=("up", "down", "status"))
    parser.add_argument("--folder", type=Path, help="where the bed's files stand (default: below the cache)")
    parser.add_argument("--no-node", action="store_true", help="only the control plane")
    parser.add_argument(
        "--nodes", type=int, default=1, choices=range(1, MOST_NODES + 1), metavar="N", help="real nodes (1)"
    )
    parser.add_argument("--images", action="store_true", help="the images of the Dockerfile on its nodes, by buildah")
    parser.add_argument("--fake-nodes", type=int, default=0, metavar="N", help="nodes that kwok plays")
    parser.add_argument("--kubernetes", default="", metavar="VERSION", help="another version, such as 1.30.14")
    parser.add_argument("--hpa-sync-period", metavar="DURATION", help="how often the HPA controller looks, such as 5s")
    parser.add_argument("--hpa-stabilization", metavar="DURATION", help="how long it waits before it scales down")
    parser.add_argument(
        "--flag", action="append", default=[], metavar="PROGRAM=--FLAG=VALUE", help="an extra flag of one program"
    )
    parser.add_argument("--keep-logs", action="store_true", help="down: keep the logs")
    parser.add_argument("--force", action="store_true", help="down: even while a test session uses the bed")
    return parser


if __name__ == "__main__":
    sys.exit(main())
