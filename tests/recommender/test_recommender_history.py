"""History from Prometheus, and the other live sources of a report."""

import itertools
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from inspect import signature
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import numpy as np
import pytest
import stamina
import yaml
from hypothesis import given
from hypothesis import strategies as st

from adapter.kube.autoscaling import CrossVersionObjectReference
from adapter.kube.client import Client
from adapter.kube.fake.server import FakeCluster
from adapter.kube.objects import ObjectMeta, OwnerReference
from adapter.kube.resources import PODS
from adapter.units.selector import Selector
from recommender.__main__ import main
from recommender.config import history, mode
from recommender.estimate.recommend import Mode
from recommender.input.backfill import load_history
from recommender.input.history import MAX_POINTS, HistoryError, chunks
from recommender.input.owners import normalise_label
from recommender.model.cluster import ClusterState
from recommender.model.containers import Model
from recommender.model.workloads import Workload, of_metrics, of_name, of_owner, of_pod
from recommender.objects import POD_METRICS, Pod, PodContainer, PodSpec, PodStatus, Vpa, VpaSpec
from recommender.offline.report_sources import watch
from recommender.settings import parse

NOW = 1767830400.0
DAY = 86400.0
GB = 10**9


class FakePrometheus:
    """Answers range queries for one pod: 0.1 cores and 1 GB, 2 GB on the last day; counts what it is asked."""

    def __init__(self, namespace: str = "shop", pod: str = "web-6d4cf56db6-x2x2x", broken: int = 0) -> None:
        self.namespace, self.pod, self.broken = namespace, pod, broken
        self.asked: list[Any] = []

    def ranges(self, query: str, start: float, end: float, step: float) -> list[Any]:
        self.asked.append((query, start, end, step))
        if self.broken:
            self.broken -= 1
            raise HistoryError("prometheus: away")
        times = np.arange(start, end + 1, step)
        labels = {"namespace": self.namespace, "pod": self.pod, "container": "app"}
        if "rate" in query:
            return [{"metric": labels, "values": [[at, "0.1"] for at in times]}]
        return [{"metric": labels, "values": [[at, str(2 * GB if at > NOW - DAY else GB)] for at in times]}]

    def instant(self, query: str) -> list[Any]:
        if query.startswith("count"):
            return [{"metric": {"namespace": self.namespace}, "value": [0, "1"]}]
        if query.startswith("kube_pod_container_resource_requests"):
            labels = {"pod": self.pod, "container": "app"}
            return [
                {"metric": {**labels, "resource": "memory"}, "value": [0, str(8 * GB)]},
                {"metric": {**labels, "resource": "cpu"}, "value": [0, "2"]},
                {"metric": {**labels, "resource": "nvidia_com_gpu"}, "value": [0, "1"]},
                {"metric": {**labels, "resource": "cpu"}, "value": [0, "NaN"]},
                {"metric": {**labels, "resource": "cpu"}},
            ]
        return []


def cluster_of(chosen: Mode, pod: str = "web-6d4cf56db6-x2x2x") -> ClusterState:
    cluster = ClusterState(Model(chosen.aggregation))
    meta = ObjectMeta(name="web", namespace="shop")
    cluster.serve([Vpa(metadata=meta)])
    own = Pod(
        metadata=ObjectMeta(name=pod, namespace="shop", uid="u"),
        spec=PodSpec(containers=(PodContainer(name="app"),)),
        status=PodStatus(phase="Running"),
    )
    cluster.follow({("shop", "web"): [own]}, NOW)
    return cluster


async def test_history_fills_the_state_as_live_samples_would_have() -> None:
    settings = parse(["--history-length=8d", "--history-resolution=1h"]).settings
    cluster = cluster_of(mode(settings))
    count = await load_history(cluster, history(settings), NOW, FakePrometheus())
    row = cluster.vpas["shop", "web"].containers["app"]
    assert count == 8 * 24
    assert cluster.model.states.samples[row] == 8 * 24
    assert cluster.model.states.peaks.recent(np.array([row]), 2)[0, 0] == pytest.approx(2 * GB, rel=0.001)


class Remembered(FakePrometheus):
    """Knows of a pod that is gone what `told` says: its owner, or its labels."""

    def __init__(self, told: str, **labels: str) -> None:
        super().__init__(pod=labels["pod"])
        self.told, self.labels = told, labels

    def instant(self, query: str) -> list[Any]:
        self.asked.append(query)
        return [{"metric": self.labels, "value": [0, "1"]}] if query.startswith(self.told) else []


@pytest.mark.parametrize(
    ("source", "flags"),
    [
        (FakePrometheus(pod="web-7f9d8c6b5-zzzzz"), ()),  # by the form of its name
        (Remembered("last_over_time(kube_pod_owner{", pod="x", owner_kind="Deployment", owner_name="web"), ()),
        (Remembered("last_over_time(kube_pod_labels[691200s])", namespace="shop", pod="x", label_app="web"), ()),
        (
            Remembered("last_over_time(up{job='pods'}[8d])", ns="shop", name="x", pod="x", my_app="web"),
            ("--metric-for-pod-labels=up{job='pods'}[8d]", "--pod-label-prefix=my_", "--pod-namespace-label=ns",
             "--pod-name-label=name"),
        ),
    ],
)  # fmt: skip
async def test_what_pods_used_that_are_gone_counts_for_their_workload(
    source: FakePrometheus | Remembered, flags: tuple[Any, ...]
) -> None:
    """A rollout an hour ago must not cost eight days of history."""
    settings = parse(list(flags)).settings
    cluster = cluster_of(mode(settings))
    tracked = cluster.vpas["shop", "web"]
    tracked.vpa = Vpa(
        metadata=tracked.vpa.metadata,
        spec=VpaSpec(target_ref=CrossVersionObjectReference("apps/v1", "Deployment", "web")),
    )
    tracked.selector = Selector.parse("app=web")
    assert await load_history(cluster, history(settings), NOW, source) == 8 * 24
    assert cluster.model.states.samples[tracked.containers["app"]] == 8 * 24
    assert len(cluster.model.instances) == 1, "the instance of the pod that is gone is gone too"


def test_labels_have_one_spelling_in_metrics() -> None:
    assert normalise_label("app.kubernetes.io/part-of") == normalise_label("app_kubernetes_io_part_of")
    assert normalise_label("ownerTeam") == "owner_team"


async def test_history_of_other_peoples_pods_is_left_alone() -> None:
    settings = parse([]).settings
    cluster = cluster_of(mode(settings))
    other = Remembered("last_over_time(kube_pod_labels", namespace="shop", pod="web-7f9d8c6b5-zzzzz", label_app="api")
    cluster.vpas["shop", "web"].selector = Selector.parse("app=web")
    assert await load_history(cluster, history(settings), NOW, other) == 0


async def test_a_namespace_that_cannot_be_had_is_left_out_and_the_program_goes_on() -> None:
    settings = parse([]).settings
    cluster = cluster_of(mode(settings))
    assert await load_history(cluster, history(settings), NOW, FakePrometheus(broken=1)) == 0


def test_label_names_are_the_modern_ones_unless_named_otherwise_or_in_mode_vpa() -> None:
    query = history(parse([]).settings).queries("shop")[1]
    assert 'pod=~".+"' in query
    assert 'container!="POD"' in query
    assert 'pod_name=~".+"' in history(parse(["--mode=vpa"]).settings).queries("shop")[1]
    assert 'my_pod=~".+"' in history(parse(["--container-pod-name-label=my_pod"]).settings).queries("shop")[1]


def test_memory_between_two_points_counts_but_not_in_mode_vpa() -> None:
    assert "(max_over_time(container_memory_working_set_bytes{" in history(parse([]).settings).queries("shop")[1]
    assert "max_over_time" not in history(parse(["--mode=vpa"]).settings).queries("shop")[1]


def test_a_rate_sees_several_scrapes_of_a_minute_apart_however_fine_the_resolution() -> None:
    """At 60 s there is one sample in a minute, and no rate; VPA's query stays as it is."""
    assert history(parse(["--history-resolution=1m"]).settings).queries("shop")[0].endswith("[300s])))")
    assert history(parse(["--history-resolution=1h"]).settings).queries("shop")[0].endswith("[3600s])))")
    assert history(parse(["--history-resolution=1m", "--mode=vpa"]).settings).queries("shop")[0].endswith("[60s]))")


@given(st.floats(60, 90 * DAY), st.floats(1, 7200))
def test_queries_cover_the_time_in_parts_below_the_servers_limits(length: float, step: float) -> None:
    parts = list(chunks(0.0, length, step))
    assert parts[0][0] == 0.0
    assert parts[-1][1] <= length
    for (_, end), (following, _) in itertools.pairwise(parts):
        assert following == pytest.approx(end + step)
    for begin, end in parts:
        assert (end - begin) / step <= MAX_POINTS
        assert end - begin <= DAY


@contextmanager
def server(answer: Callable[..., Any]) -> Iterator[Any]:
    """A Prometheus on loopback: `answer(path, parameters)`, or with the headers besides, gives (status, JSON)."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlparse(self.path)
            given = {key: values[0] for key, values in parse_qs(url.query).items()}
            wants_headers = len(signature(answer).parameters) == 3
            code, body = answer(url.path, given, self.headers) if wants_headers else answer(url.path, given)
            self.send_response(code)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_: str) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{made.server_port}"
        finally:
            made.shutdown()
            thread.join()


def answers_of(fake: FakePrometheus, failures: int = 0) -> Callable[..., Any]:
    """`fake` as a server that first fails a few times."""
    left = failures

    def answer(path: str, given: dict[str, str]) -> tuple[Any, ...]:
        nonlocal left
        if left:
            left -= 1
            return 503, {"status": "error", "error": "overloaded"}
        if path.endswith("query_range"):
            series = fake.ranges(given["query"], float(given["start"]), float(given["end"]), float(given["step"]))
        else:
            series = fake.instant(given["query"])
        return 200, {"status": "success", "data": {"resultType": "matrix", "result": series}}

    return answer


@pytest.fixture
def at_once() -> Iterator[None]:
    """A query is tried as often as ever, without a pause."""
    with stamina.set_testing(True, attempts=100, cap=True):
        yield


@pytest.mark.usefixtures("at_once")
def test_a_report_from_prometheus_names_workloads_and_knows_requests(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", lambda: NOW)
    fake = FakePrometheus()
    with server(answers_of(fake, failures=2)) as url:
        assert main(["report", "--prometheus", url, "--history-length", "3d", "--output=json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["container"] == "shop/Deployment/web/app"
    assert row["request"] == {"cpu": 2000, "memory": 8 * GB}
    assert row["samples"] == 72
    assert row["target"]["memory"] > 2 * GB


class Several(FakePrometheus):
    """One that an HPA at 80 % CPU is known to as well, and that is scraped by the job "kubelet" alone."""

    def instant(self, query: str) -> list[Any]:
        if query.startswith("count by (job)"):
            return [{"metric": {"job": "kubelet"}, "value": [0, "9"]}]
        if query.startswith("count") and 'job="kubernetes-cadvisor"' in query:
            return []
        if query.startswith("count by (namespace) (count by"):
            return [{"metric": {"namespace": "shop"}, "value": [0, "3"]}]
        hpa = {"horizontalpodautoscaler": "web", "namespace": "shop"}
        if query.startswith("kube_horizontalpodautoscaler_info"):
            target = {"scaletargetref_kind": "Deployment", "scaletargetref_name": "web"}
            return [{"metric": {**hpa, **target}, "value": [0, "1"]}]
        if query.startswith("kube_horizontalpodautoscaler_spec_target_metric"):
            return [{"metric": {**hpa, "metric_name": "cpu"}, "value": [0, "80"]}]
        return super().instant(query)


REPORT = ("report", "--history-length=3d", "--output=json")


def test_the_job_that_a_prometheus_has_is_hinted_at_before_any_history_is_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", lambda: NOW)
    fake = Several()
    with server(answers_of(fake)) as url:
        assert main([*REPORT, "--prometheus", url]) == 1
        said = capsys.readouterr().err
        assert "it has kubelet: --prometheus-cadvisor-job-name=kubelet" in said
        assert fake.asked == []
        assert main([*REPORT, "--prometheus", url, "--prometheus-cadvisor-job-name=kubelet"]) == 0


def test_what_an_hpa_counts_on_stays_in_a_report_and_its_patches(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """2 cores are requested and 0.1 used; the HPA holds 80 % of the request. Memory is none of its business."""
    monkeypatch.setattr("time.time", lambda: NOW)
    with server(answers_of(Several())) as url:
        patches = ("--patches", str(tmp_path), "--prometheus-cadvisor-job-name=")
        assert main([*REPORT, "--prometheus", url, *patches]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["target"]["cpu"] == 2000
    assert row["target"]["memory"] < 8 * GB
    assert row["note"].startswith("cpu stays at its request, an HPA holds it at 80 % of that")
    (container,) = yaml.safe_load((tmp_path / "shop-deployment-web.yaml").read_text())["spec"]["template"]["spec"][
        "containers"
    ]
    assert container["resources"]["requests"]["cpu"] == "2000m"


def test_matchers_are_in_every_query_and_headers_at_every_request(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", lambda: NOW)
    fake, queries, tenants = FakePrometheus(), [], []
    plain = answers_of(fake)

    def answer(path: str, given: dict[str, str], headers: Any) -> tuple[Any, ...]:
        queries.append(given["query"])
        tenants.append(headers.get("X-Scope-OrgID"))
        reply: tuple[Any, ...] = plain(path, given)
        return reply

    with server(answer) as url:
        more = (
            "--prometheus-matcher=cluster=eu",
            '--prometheus-matcher=zone=~"a|b"',
            "--prometheus-header=X-Scope-OrgID: me",
        )
        assert main([*REPORT, "--prometheus", url, *more]) == 0
    capsys.readouterr()
    assert len(queries) > 8
    assert all('cluster="eu", zone=~"a|b"}' in query for query in queries)
    assert set(tenants) == {"me"}


@pytest.mark.parametrize(
    ("metric", "asked"),
    [
        ("", 'kube_pod_labels{cluster="eu"}[259200s]'),
        ('up{job="pods"}', 'up{job="pods", cluster="eu"}[259200s]'),
        ('up{job="pods",}[8d]', 'up{job="pods", cluster="eu"}[8d]'),
        ('up{path=~"[0-9]{2}"}', 'up{path=~"[0-9]{2}", cluster="eu"}[259200s]'),
        ("up[8d]", 'up{cluster="eu"}[8d]'),
    ],
)
async def test_matchers_and_headers_hold_for_the_loops_history_as_well(metric: str, asked: str) -> None:
    flags = [f"--metric-for-pod-labels={metric}"] if metric else []
    more = ["--prometheus-matcher=cluster=eu", "--prometheus-header=X-Scope-OrgID: me", "--history-length=3d"]
    settings = parse([*flags, *more, "--prometheus-bearer-token=secret"]).settings
    where, fake, queries = history(settings), FakePrometheus(), []

    def instant(query: str) -> list[Any]:
        queries.append(query)
        return []

    fake.instant = instant  # type: ignore[method-assign]
    await load_history(cluster_of(mode(settings)), where, NOW, fake)
    queries += [query for query, *_ in fake.asked]
    assert queries[0] == f"last_over_time({asked})"
    assert len(queries) > 8
    assert all('cluster="eu"}' in query for query in queries)
    assert where.headers == {"Authorization": "Bearer secret", "X-Scope-OrgID": "me"}


def test_one_container_from_two_instances_at_once_is_doubted_and_not_added_up(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", lambda: NOW)
    with server(answers_of(Several())) as url:
        assert main([*REPORT, "--prometheus", url, "--prometheus-cadvisor-job-name="]) == 0
    assert "namespace shop: 3 containers are reported by more than one instance" in capsys.readouterr().err
    cpu, memory = history(parse([]).settings).queries("shop")
    assert cpu.startswith("max by (namespace, pod, container) (sum by (namespace, pod, container, job, instance) (")
    assert memory.startswith("max by (namespace, pod, container) (")


class Beside(FakePrometheus):
    """One whose container is a sidecar, so an init container."""

    def instant(self, query: str) -> list[Any]:
        if query.startswith("kube_pod_init_container_info"):
            return [{"metric": {"pod": self.pod, "container": "app"}, "value": [0, "1"]}]
        return super().instant(query)


def test_a_sidecar_is_patched_where_it_stands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Under `containers` it would be a container without an image, which the server refuses."""
    monkeypatch.setattr("time.time", lambda: NOW)
    with server(answers_of(Beside())) as url:
        assert main([*REPORT, "--prometheus", url, "--patches", str(tmp_path)]) == 0
    spec = yaml.safe_load((tmp_path / "shop-deployment-web.yaml").read_text())["spec"]["template"]["spec"]
    assert list(spec) == ["initContainers"]
    assert spec["initContainers"][0]["name"] == "app"


class Uneven(FakePrometheus):
    """Twenty pods: web-7 uses 2 cores, the others a tenth of one."""

    def ranges(self, query: str, start: float, end: float, step: float) -> list[Any]:
        times = np.arange(start, end + 1, step)
        series = []
        for number in range(20):
            used = str(GB) if "rate" not in query else "2" if number == 7 else "0.1"
            metric = {"namespace": "shop", "pod": f"web-{number}", "container": "app"}
            series.append({"metric": metric, "values": [[at, used] for at in times]})
        return series


def test_explain_lists_the_pods_the_busiest_first(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", lambda: NOW)
    with server(answers_of(Uneven())) as url:
        assert main(["explain", "shop/StatefulSet/web/app", "--prometheus", url, "--history-length=1d"]) == 0
    lines = capsys.readouterr().out.splitlines()
    at = lines.index("  20 pods; CPU about the mean of each one's last hour, memory the peak of its last day:")
    assert lines[at + 1].startswith("    web-7: 2.0 cores, ")
    assert lines[at + 2].startswith("    web-9: 100 m, ")
    assert len([line for line in lines if line.startswith("    web-")]) == 10


@pytest.mark.parametrize(
    "flag",
    ["--prometheus-matcher=eu", "--prometheus-matcher=9a=b", "--prometheus-header=X", "--prometheus-header=a b:c"],
)
def test_a_matcher_or_header_without_use_is_refused(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    """By the loop before it connects to anything, with no word of what may be a secret."""
    for arguments in ([*REPORT, "--prometheus", "http://127.0.0.1:9", flag], ["--storage=prometheus", flag]):
        assert main(arguments) == 2
        said = capsys.readouterr().err
        assert "is wanted" in said
        assert "b:c" not in said


@pytest.mark.usefixtures("at_once")
def test_a_prometheus_that_is_away_is_said_in_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    asked = []

    def away(path: str, given: object) -> tuple[int, object]:
        asked.append(path)
        return 503, {"what": "a\nlong\nstory"}

    with server(away) as url:
        assert main(["report", "--prometheus", url, "--namespace=shop"]) == 1
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("streamgate-recommender: http://127.0.0.1")
    assert "503" in said
    assert len(asked) == 3
    assert main(["report", "--prometheus", "http://127.0.0.1:9"]) == 1
    assert capsys.readouterr().err.endswith(
        "http://127.0.0.1:9: Failed to establish a new connection: [Errno 111] Connection refused\n"
    )


async def test_a_report_from_metrics_k8s_io_follows_owners() -> None:
    async with FakeCluster() as cluster, Client(cluster.connection) as client:
        await cluster.put(PODS, {
            "metadata": {"name": "web-abc-x", "namespace": "shop", "labels": {"pod-template-hash": "abc"},
                         "ownerReferences": [{"kind": "ReplicaSet", "name": "web-abc", "controller": True}]},
            "spec": {"containers": [{"name": "app", "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}}}]},
        })  # fmt: skip
        await cluster.put(POD_METRICS, {
            "metadata": {"name": "web-abc-x", "namespace": "shop"}, "timestamp": "2026-01-08T00:00:00Z",
            "containers": [{"name": "app", "usage": {"cpu": "100m", "memory": "300Mi"}}],
        })  # fmt: skip
        known = await watch(Model(mode(parse([]).settings).aggregation), client, "", 1.0, lambda _: None)
    assert known.names == ["shop/Deployment/web/app"]
    assert known.requests["shop/Deployment/web/app"] == (500, 2**30)
    assert known.model.states.samples[known.rows].tolist() == [1]


@pytest.mark.parametrize(
    ("pod", "workload"),
    [
        ("web-6d4cf56db6-x2x2x", ("Deployment", "web")),
        ("db-0", ("StatefulSet", "db")),
        ("agent-x2x4z", ("DaemonSet", "agent")),
        ("lonely", ("Pod", "lonely")),
    ],
)
def test_a_pods_name_tells_its_workload_where_nothing_else_does(pod: str, workload: tuple[str, str]) -> None:
    assert of_name(pod) == workload


def test_owners_tell_better_than_names() -> None:
    assert of_owner("Job", "nightly-29131200") == ("CronJob", "nightly")
    assert of_owner("Job", "once") == ("Job", "once")
    owner = OwnerReference(kind="StatefulSet", name="db", controller=True)
    assert of_pod(ObjectMeta(name="db-0", owner_references=(owner,))) == ("StatefulSet", "db")
    assert of_pod(ObjectMeta(name="bare")) == ("Pod", "bare")
    assert of_metrics("p", {"p": Workload("ReplicaSet", "web-1")}, {"web-1": "web"}) == ("Deployment", "web")
