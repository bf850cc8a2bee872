"""The dashboards HPAs, Cost and Rollouts of a test bed that is up, for docs/img: run it beside a load that moves.

    python -m loadtest.monitoring.on_bed [--seconds 600] [--controller 127.0.0.1:8944] [--into docs/img]

A real Prometheus scrapes the kubelets' own page (metrics/resource) and rollout controllers (`--controller`, as often as
there are some). kube-state-metrics is not to be had here: a page of the few of its metrics that the dashboards ask for,
by the same names, is made of the API server's answers. It ends by itself.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Final, TypeAlias

import yaml

from adapter.units.quantity import NANO, Quantity, QuantityError
from loadtest.monitoring.__main__ import COMPONENTS
from loadtest.monitoring.pictures import asking, boards, save
from tests.cluster.bed import Bed, BedError
from tests.cluster.processes import CommandError
from tests.cluster.prometheus import RunningPrometheus

EVERY_S: Final = 5
BOARDS: Final = ("hpas", "cost", "rollouts")
Line: TypeAlias = tuple[str, Mapping[str, str], float]
"""Metric, labels, value."""


def of_hpa(hpa: Mapping[str, Any]) -> Iterator[Line]:
    """What kube-state-metrics says of an HPA (its docs/metrics/workload/horizontalpodautoscaler-metrics.md)."""
    meta, spec, status = hpa["metadata"], hpa["spec"], hpa.get("status", {})
    labels = {"namespace": meta["namespace"], "horizontalpodautoscaler": meta["name"]}
    sizes = {
        "spec_min_replicas": spec.get("minReplicas", 1),
        "spec_max_replicas": spec["maxReplicas"],
        "status_current_replicas": status.get("currentReplicas", 0),
        "status_desired_replicas": status.get("desiredReplicas", 0),
    }
    for metric, value in sizes.items():
        yield metric, labels, value
    for metric, entries in (
        ("spec_target_metric", targets(spec.get("metrics"), "target")),
        ("status_target_metric", targets(status.get("currentMetrics"), "current")),
    ):
        for name, kind, value in entries:
            yield metric, labels | {"metric_name": name, "metric_target_type": kind}, value
    for condition in status.get("conditions") or ():
        for said in ("true", "false", "unknown"):
            held = float(condition["status"].lower() == said)
            yield "status_condition", labels | {"condition": condition["type"], "status": said}, held


def targets(metrics: Sequence[Mapping[str, Any]] | None, side: str) -> Iterator[tuple[str, str, float]]:
    """Name, type of target and value of each metric of an HPA's spec (`target`) or status (`current`)."""
    for metric in metrics or ():
        kind = metric["type"]
        source = metric.get(kind[:1].lower() + kind[1:]) or {}
        name = source.get("name") or source.get("metric", {}).get("name", "")
        for key, called in (("averageValue", "average"), ("value", "value"), ("averageUtilization", "utilization")):
            if (text := source.get(side, {}).get(key)) is not None:
                yield name, called, number(str(text))


def number(quantity: str) -> float:
    """Raises QuantityError."""
    return Quantity.parse(quantity).nano / NANO


def of_pod(pod: Mapping[str, Any]) -> Iterator[Line]:
    """The same of a pod: its phase, and what its containers ask for, in cores and bytes."""
    labels = {"namespace": pod["metadata"]["namespace"], "pod": pod["metadata"]["name"]}
    yield "kube_pod_status_phase", labels | {"phase": pod["status"]["phase"]}, 1
    for container in pod["spec"]["containers"]:
        for resource, text in container.get("resources", {}).get("requests", {}).items():
            own = labels | {"container": container["name"], "resource": resource}
            yield "kube_pod_container_resource_requests", own, number(text)


def page(bed: Bed) -> str:
    """The bed's state now, and the kubelets' own pages after it. Raises CommandError."""
    lines: list[Line] = []
    for hpa in bed.get("hpa", "-A")["items"]:
        lines += [(f"kube_horizontalpodautoscaler_{name}", labels, value) for name, labels, value in of_hpa(hpa)]
    for pod in bed.get("pods", "-A")["items"]:
        lines += of_pod(pod)
    text = "".join(f"{name}{{{_labels(labels)}}} {value}\n" for name, labels, value in lines)
    nodes = [node["metadata"]["name"] for node in bed.get("nodes")["items"]]
    return text + "".join(bed.kubectl("get", "--raw", f"/api/v1/nodes/{node}/proxy/metrics/resource") for node in nodes)


def _labels(labels: Mapping[str, str]) -> str:
    return ",".join(f"{name}={json.dumps(value)}" for name, value in labels.items())


@contextmanager
def serve_page(bed: Bed) -> Iterator[str]:
    """HOST:PORT at which `page` answers; what cannot be had is 503."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                status, body = 200, page(bed)
            except (CommandError, QuantityError, KeyError) as error:
                status, body = 503, f"{type(error).__name__}: {error}\n"
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def scraping(state: str, controllers: Sequence[str]) -> dict[str, Any]:
    """Prometheus' configuration, with our recording rules."""
    jobs = [{"job_name": "cluster", "honor_labels": True, "static_configs": [{"targets": [state]}]}]
    jobs += [{"job_name": "streamgate-rollout", "honor_labels": True, "static_configs": [{"targets": [*controllers]}]}]
    every = {
        "scrape_interval": f"{EVERY_S}s",
        "scrape_timeout": f"{EVERY_S - 1}s",
        "evaluation_interval": f"{EVERY_S}s",
    }
    return {"global": every, "rule_files": [str(COMPONENTS / "alerts" / "rules.yaml")], "scrape_configs": jobs}


def watch(bed: Bed, seconds: float, controllers: Sequence[str], into: Path) -> None:
    """Scrape for so long, then draw what there is."""
    with tempfile.TemporaryDirectory(prefix="streamgate-") as name, serve_page(bed) as state:
        folder = Path(name)
        prometheus = RunningPrometheus(folder, folder / "targets.json", EVERY_S)
        (folder / "prometheus.yml").write_text(yaml.safe_dump(scraping(state, controllers)))
        try:
            prometheus.start()
            time.sleep(seconds)
            ask = asking(prometheus.url, time.time(), span=seconds)
            for board in BOARDS if controllers else BOARDS[:-1]:
                save(into / f"dashboard-{board}.png", boards()[board], ask)
        finally:
            prometheus.end()


def main() -> int:
    """Run it; 1 where there is no bed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600.0, help="of looking on")
    parser.add_argument("--controller", action="append", default=[], metavar="HOST:PORT", help="a rollout controller's")
    parser.add_argument("--into", type=Path, default=Path("docs/img"), help="the folder")
    given = parser.parse_args()
    try:
        watch(Bed.attach(), given.seconds, given.controller, given.into)
    except BedError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
