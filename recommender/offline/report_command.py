"""`report`: what each workload could save and what it risks."""

import argparse
import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from adapter.program import tables
from adapter.program.flags import SettingsError
from adapter.units import duration
from recommender.config import history, idle, mode, post_processor
from recommender.estimate.recommend import Mode
from recommender.input.usage_file import read_requests, read_usage
from recommender.model.containers import Model
from recommender.offline import doubts, patches
from recommender.offline.checkpoint_files import read_checkpoints, resume
from recommender.offline.entry import Entry, Request
from recommender.offline.page import Basis, page
from recommender.offline.replay import Replay
from recommender.offline.report import entries, failures, totals
from recommender.offline.report_sources import SAMPLE_EVERY, Known, from_metrics, from_prometheus
from recommender.offline.score import Prices
from recommender.settings import FLAGS, Settings, parse

FAILED: Final = 3
"""The exit code where a --fail-on gate does not hold."""
_GATE: Final = re.compile(r"(over|under):(\d+(?:\.\d+)?)", re.ASCII)


def run(arguments: Sequence[str]) -> int:
    """Runs the verb; returns the exit code."""
    flags, others = FLAGS.split(arguments)
    given, unknown = parser().parse_known_args(others)
    settings = parse([*flags, *unknown]).settings
    for line in idle(settings):
        tables.say(line)
    chosen = mode(settings)
    gates = _gates(given.fail_on)
    prices = Prices(given.price_core, given.price_gib) if given.price_core or given.price_gib else None
    known = load(given, settings)
    listed = requests_of(given.requests, known.names, known.used) if given.requests else {}
    all_entries = entries(
        known.model,
        known.rows,
        known.names,
        known.now,
        chosen=chosen,
        post=post_processor(settings),
        requests={**known.requests, **listed},
        hpas=known.hpas,
        kind=given.kind,
        prices=prices,
    )
    _show(all_entries, given, Basis(chosen.policy.ceiling if chosen.policy else None, known.now))
    if given.patches:
        _write_patches(all_entries, given.patches, given.kind, known.init)
    if gates and not any(entry.counts and entry.pairs for entry in all_entries):
        tables.say("--fail-on judged nothing: no container has a request, samples, and a day of history")
    failed = failures(all_entries, gates)
    for line in failed:
        tables.say(line)
    return FAILED if failed else 0


def parser() -> argparse.ArgumentParser:
    """The verb's arguments; the recommender's own flags are understood besides."""
    made = argparse.ArgumentParser("streamgate-recommender report", description=__doc__, allow_abbrev=False)
    sources(made)
    made.add_argument("--requests", type=Path, help="csv: container,cpu_millicores,memory_bytes in force")
    made.add_argument("--price-core", type=tables.price, default=0.0, help="money per core and hour")
    made.add_argument("--price-gib", type=tables.price, default=0.0, help="money per GiB and hour")
    made.add_argument("--currency", default="$")
    made.add_argument("--output", choices=(*tables.FORMATS, "markdown"), default="table")
    made.add_argument("--html", type=Path, help="write one self-contained page as well")
    made.add_argument("--title", default="What workloads ask for, and what they need")
    made.add_argument("--patches", type=Path, help="write patches for kubectl and kustomize into this folder")
    made.add_argument("--kind", default="Deployment", help="of containers named namespace/name/container")
    made.add_argument(
        "--fail-on",
        action="append",
        default=[],
        metavar="over:X|under:X",
        help="exit with 3 if a request is over, or under, X times its target",
    )
    return made


def sources(made: argparse.ArgumentParser) -> None:
    """The arguments that say what to read."""
    made.add_argument(
        "usage", type=Path, nargs="*", help="csv or csv.gz: container,epoch_s,cpu_millicores,memory_bytes"
    )
    made.add_argument("--checkpoints", type=Path, help="what `kubectl get vpacheckpoint -A -o json` (or yaml) wrote")
    made.add_argument("--prometheus", metavar="URL", help="read --history-length from a Prometheus")
    made.add_argument(
        "--metrics-api", type=_seconds, metavar="DURATION", help="watch metrics.k8s.io for so long, e.g. 10m"
    )
    made.add_argument(
        "--namespace", action="append", default=[], help="only this one, with --prometheus or --metrics-api"
    )


def load(given: argparse.Namespace, settings: Settings) -> Known:
    """The model of whatever source the arguments name. Raises UsageError, SettingsError."""
    wanted = [bool(given.usage), bool(given.checkpoints), bool(given.prometheus), given.metrics_api is not None]
    if sum(wanted) != 1:
        raise SettingsError("one source is wanted: usage files, --checkpoints, --prometheus or --metrics-api")
    if given.namespace and not given.prometheus and given.metrics_api is None:
        raise SettingsError("--namespace goes with --prometheus or --metrics-api; files are read whole")
    chosen = mode(settings)
    if given.checkpoints:
        return _load_checkpoints(given.checkpoints, chosen)
    if given.usage:
        return _load_usage(given.usage, chosen)
    model = Model(chosen.aggregation)
    with ExitStack() as stack:
        if given.prometheus:
            source = history(replace(settings, prometheus=given.prometheus))
            return from_prometheus(model, source, given.namespace, time.time(), partial(_bar, stack))
        if len(given.namespace) > 1:
            raise SettingsError("--metrics-api takes one --namespace, or none for all")
        told = _bar(stack, "looks", max(round(given.metrics_api / SAMPLE_EVERY), 1))
        return from_metrics(model, settings.kubeconfig, "".join(given.namespace), given.metrics_api, told)


def _bar(stack: ExitStack, what: str, total: int) -> Callable[[int], None]:
    return stack.enter_context(tables.progress(what, total))


def _load_checkpoints(path: Path, chosen: Mode) -> Known:
    now = time.time()
    checkpoints, problems = read_checkpoints(path, now)
    tables.complain(problems, "checkpoints were left out")
    model, names, problems = resume(checkpoints, chosen)
    tables.complain(problems, "annotations were left out")
    return Known(model=model, rows=model.live_states(), names=names, now=now)


def _load_usage(paths: Sequence[Path], chosen: Mode) -> Known:
    usage = read_usage(paths)
    tables.complain(usage.problems)
    now = time.time()
    usage = doubts.without_strays(usage, now)
    for line in (*doubts.of_age(usage, now), *doubts.order(usage), *doubts.of_usage(usage)):
        tables.say(line)
    replay = Replay(Model(chosen.aggregation), usage, by_time=True)
    replay.run_all()
    now, used = float(usage.time.max()), doubts.largest(usage)
    return Known(model=replay.model, rows=replay.rows, names=usage.names, now=now, used=used)


def _seconds(text: str) -> float:
    try:
        return duration.parse_go(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}; 10m is one") from error


def requests_of(path: Path, names: Sequence[str], used: Mapping[str, Request]) -> dict[str, Request]:
    """Requests in force by container, from a file; what is doubtful beside containers of these names is said.

    `used`: the most that a container used, of those of which it is known.
    """
    by_container, problems = read_requests(path)
    tables.complain(problems, "bad rows of requests were left out")
    if not by_container:
        tables.say(f"{path}: no container with requests in it")
    requests = {name: Request(*amounts) for name, amounts in by_container.items()}
    for line in (*doubts.of_requests(requests, set(names)), *doubts.beside_requests(used, requests)):
        tables.say(line)
    return requests


def _show(all_entries: Sequence[Entry], given: argparse.Namespace, basis: Basis) -> None:
    records = [entry.record() for entry in all_entries]
    tables.write(records, given.output, given.title)
    sums = totals(all_entries)
    if given.output == "table":
        tables.write([sums], "table", "In all")
    if given.html:
        given.html.write_text(
            page(all_entries, sums, basis, title=given.title, currency=given.currency), encoding="utf-8"
        )


def _write_patches(all_entries: Sequence[Entry], directory: Path, kind: str, init: Collection[str]) -> None:
    made, left_out = patches.patches(all_entries, kind, init)
    for line in left_out[:20]:
        tables.say(f"no patch for {line}")
    if len(left_out) > 20:
        tables.say(f"no patch for {len(left_out) - 20} more")
    patches.write(directory, made)
    tables.say(f"{len(made)} patches in {directory}")


def _gates(texts: Sequence[str]) -> dict[str, float]:
    gates = {}
    for text in texts:
        match = _GATE.fullmatch(text)
        if not match:
            raise SettingsError(f"--fail-on {text!r}: over:X or under:X is wanted, X a multiple of the target")
        if match[1] in gates:
            raise SettingsError(f"--fail-on {text!r}: {match[1]} is there twice; one is wanted")
        gates[match[1]] = float(match[2])
    return gates
