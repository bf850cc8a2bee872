"""What is read besides files: metrics.k8s.io, and a real Prometheus that remembers pods, some of them gone."""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapter.units.quantity import Quantity
from tests.cluster.bed import Bed
from tests.cluster.processes import run
from tests.cluster.prometheus import RunningPrometheus
from tests.cluster.recommender import Program, Web, eventually

DAYS, STEP = 4, 60
MIB = 1024**2
USUAL, SPIKE = 300 * MIB, 700 * MIB
CORES = 0.5
JOB = "kubernetes-cadvisor"  # what VPA's flag has as its default


def past(now: float, namespace: str) -> str:
    """Two pods of the Deployment `web`, one after the other: the second came by a rollout half-way.

    Each day at 12:25 after the beginning, between two full hours, memory is at its peak for five minutes.
    """
    begin, life = now - DAYS * 86400, DAYS * 43200
    cpu, memory, owners, sets = [], [], [], []
    for born, pod in ((0, "web-7f9d8c6b5-aaaaa"), (life, "web-6d5f7c8b94-bbbbb")):
        labels = f'job="{JOB}",namespace="{namespace}",pod="{pod}",container="sample"'
        for age in range(0, life, STEP):
            at, in_day = begin + born + age, (born + age) % 86400
            used = SPIKE if 12 * 3600 + 1500 <= in_day < 12 * 3600 + 1800 else USUAL
            cpu.append(f"container_cpu_usage_seconds_total{{{labels}}} {CORES * age} {at:.0f}")
            memory.append(f"container_memory_working_set_bytes{{{labels}}} {used} {at:.0f}")
        last, replica_set = begin + born + life - STEP, pod.rpartition("-")[0]
        owner = f'pod="{pod}",owner_kind="ReplicaSet",owner_name="{replica_set}",owner_is_controller="true"'
        owners.append(f'kube_pod_owner{{namespace="{namespace}",{owner}}} 1 {last:.0f}')
        owner = f'replicaset="{replica_set}",owner_kind="Deployment",owner_name="web"'
        sets.append(f'kube_replicaset_owner{{namespace="{namespace}",{owner}}} 1 {last:.0f}')
    requests = [
        f'kube_pod_container_resource_requests{{{labels},resource="{resource}"}} {amount} {now - 1:.0f}'
        for resource, amount in (("cpu", 2), ("memory", 4096 * MIB))
    ]
    families = {
        "container_cpu_usage_seconds counter": cpu,
        "container_memory_working_set_bytes gauge": memory,
        "kube_pod_owner gauge": owners,
        "kube_replicaset_owner gauge": sets,
        "kube_pod_container_resource_requests gauge": requests,
    }
    return "".join(f"# TYPE {kind}\n" + "\n".join(lines) + "\n" for kind, lines in families.items()) + "# EOF\n"


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[RunningPrometheus]:
    running = RunningPrometheus(tmp_path, tmp_path / "targets.json")
    yield running
    running.end()


def test_a_report_reads_four_days_of_a_rollout_from_a_real_prometheus(prometheus: RunningPrometheus) -> None:
    """Half a core and 15 %, in buckets of 5 %; memory above the peak that no full hour has seen, with some room after
    only four days."""
    prometheus.fill(past(time.time(), "shop"))
    prometheus.start()
    command = [sys.executable, "-m", "recommender", "report", "--prometheus", prometheus.url]
    out = run([*command, "--history-length", f"{DAYS}d", "--output", "json"])
    (row,) = json.loads(out)
    assert row["container"] == "shop/Deployment/web/sample"
    assert 500 < row["target"]["cpu"] < 660
    assert SPIKE < row["target"]["memory"] < 2 * SPIKE
    assert row["request"] == {"cpu": 2000, "memory": 4096 * MIB}
    assert row["days_over"] == 0
    explained = run([*command[:3], "explain", "shop/Deployment/web", *command[4:], "--history-length", f"{DAYS}d"])
    assert "700.0 MiB" in explained


def test_a_report_watches_metrics_k8s_io(bed: Bed, web: Web) -> None:
    command = [sys.executable, "-m", "recommender", "report", "--metrics-api", "1s", "--namespace", web.namespace]

    def rows() -> list[dict[str, Any]]:
        out = run([*command, f"--kubeconfig={bed.kubeconfig}", "--output", "json"], check=False)
        return json.loads(out) if out else []

    eventually(rows, 60, "no usage of the new pod")
    (row,) = rows()
    assert row["container"] == f"{web.namespace}/Deployment/web/sample"
    assert row["request"] == {"cpu": 10, "memory": 32 * MIB}
    assert row["samples"] == 1


def test_a_recommender_starts_from_the_history_of_pods_that_are_gone(
    prometheus: RunningPrometheus, recommender: Program, web: Web
) -> None:
    web.watch(policy=None)
    prometheus.fill(past(time.time(), web.namespace))
    prometheus.start()
    recommender.start("--storage=prometheus", f"--prometheus-address={prometheus.url}", f"--history-length={DAYS}d")
    eventually(web.target, 60, "no recommendation")
    assert Quantity.parse(web.target()["memory"]).unit() > SPIKE
    assert web.conditions().get("FetchingHistory") != "True"
