"""Pods that answer rubbish or never, rules that cannot be read, odd requests: on a cluster the rest keeps working."""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.adapter import (
    CUSTOM,
    CUSTOM_API_SERVICES,
    RunningAdapter,
    hpa,
    pods_metric,
    running_adapter,
    try_raw,
)
from tests.cluster.bed import Bed
from tests.cluster.images import SAMPLE
from tests.cluster.processes import wait_until
from tests.cluster.steady import METRIC, PERIOD, REPLICAS, Steady, quick_hpas, steady_deployment

Note = Callable[[str, object], None]
RULES = r"""
rules:
- seriesQuery: 'http_requests_total{namespace!="",pod!=""}'
  resources: {overrides: {namespace: {resource: namespace}, pod: {resource: pod}}}
  name: {matches: "^(.*)_total$", as: "${1}_per_second"}
  metricsQuery: sum(rate(<<.Series>>{<<.LabelMatchers>>}[1m])) by (<<.GroupBy>>)
  x-streamgate: {adaptive: true}
- seriesQuery: http_requests_total
  metricQuery: a typing mistake
- seriesQuery: http_requests_total
  name: {matches: "^(unclosed"}
  metricsQuery: sum(<<.Series>>)
- seriesQuery: http_requests_total
  metricsQuery: sum(<<.Serie>>)
"""
# What it says is its first argument; it runs in the sample's image, where only Python's own library is.
PROGRAM = r"""
import socketserver, sys, time
KIND = sys.argv[1]

class Handler(socketserver.StreamRequestHandler):
    scrapes = 0

    def handle(self):
        while self.rfile.readline().strip():
            pass
        Handler.scrapes += 1
        if KIND == "never":
            time.sleep(3600)
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n")
        for part in self.parts():
            self.wfile.write(part)

    def parts(self):
        while KIND == "endless":
            yield b"# nothing to see here\n" * 3000
        if KIND == "large":
            for part in range(3000):
                yield b"".join(b'large{n="%d"} 1\n' % (part * 250 + line) for line in range(250))
        if KIND == "labels":
            yield b"".join(b'bomb{n="%d-%d"} 1\n' % (Handler.scrapes, line) for line in range(20000))
        if KIND == "noise":
            yield b'\x00\xff{{{{"}} 1 2 3 4\nhttp_requests_total{pod=} x\n' * 500
        if KIND == "odd":
            yield b"http_requests_total NaN\n"
        if KIND == "liar":
            claim = "http_requests_total{namespace=\"%s\",pod=\"%s\"} %d\n"
            yield (claim % (sys.argv[2], sys.argv[3], 1e6 * time.monotonic())).encode()

class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address, daemon_threads = True, True

Server(("", 8080), Handler).serve_forever()
"""
SENTENCES = {
    "never": r"no complete answer within 4 s",
    "endless": r"the body has more than 10485760 bytes|no complete answer within 4 s",
    "large": r"the body has more than 10485760 bytes|no complete answer within 4 s",
}
REFUSED = r'no answer: \\"Cannot connect [^\n]*\\"'
"""What is said in their place, once, of a pod whose first scrape came before it listened."""


@pytest.fixture(scope="module")
def adapter(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAdapter]:
    folder = tmp_path_factory.mktemp("adapter")
    rules: Path = folder / "rules.yaml"
    rules.write_text(RULES)
    flags = (f"--config={rules}", "--max-series=40000")
    with running_adapter(bed, folder, *flags, apis=CUSTOM_API_SERVICES, overlay="embedded") as running:
        yield running


@pytest.fixture(scope="module")
def steady(bed: Bed, adapter: RunningAdapter) -> Iterator[Steady]:
    with quick_hpas(bed), steady_deployment(bed) as steady:
        yield steady


def rubbish(kind: str, namespace: str, labels: Mapping[str, str], port: str = "8080", *words: str) -> dict[str, Any]:
    """A ready pod that answers scrapes as PROGRAM does."""
    notes = {"prometheus.io/scrape": "true", "prometheus.io/port": port}
    container = {
        "name": "rubbish",
        "image": SAMPLE,
        "command": ["/usr/local/bin/python3", "-c", PROGRAM, kind, *words],
        "resources": {"limits": {"memory": "128Mi"}},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": kind, "namespace": namespace, "labels": dict(labels), "annotations": notes},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 0},
    }


def test_pods_that_answer_rubbish_or_never_move_nothing_and_hold_nobody_up(
    bed: Bed, adapter: RunningAdapter, steady: Steady, record_property: Note
) -> None:
    """Five of them are the HPA's own pods by its selector; one claims to be another pod; one has no port."""
    victim = min(steady.served_items())
    pods = [rubbish(kind, steady.namespace, {"app": "web"}) for kind in ("never", "endless", "large", "noise", "odd")]
    pods += [rubbish("labels", steady.namespace, {"app": "labels"}), rubbish("portless", steady.namespace, {}, "http")]
    pods += [rubbish("liar", steady.namespace, {"app": "liar"}, "8080", steady.namespace, victim)]
    with steady.undisturbed():
        bed.apply(pods)
        for pod in pods:
            bed.wait(f"pod/{pod['metadata']['name']}", "condition=Ready", 60, steady.namespace)
        ages, values = [], []
        for _ in range(8 * PERIOD):
            served = steady.served_items()
            assert len(served) == REPLICAS, served  # neither fewer nor the odd one
            ages.append(
                time.time() - min(datetime.fromisoformat(item["timestamp"]).timestamp() for item in served.values())
            )
            values.append(steady.total())
            time.sleep(1)
        record_property("oldest_s", max(ages))
        record_property("total", (min(values), max(values)))
        # Nobody waits for pods that give no value: one scrape interval of 5 s, the second that metav1.Time cuts off,
        # and some load.
        assert max(ages) < 5 + 5
        bed.kubectl(
            "delete", "pods", "-n", steady.namespace, "--wait=false", *(pod["metadata"]["name"] for pod in pods)
        )
    said = adapter.log.read_text()
    for kind, sentence in SENTENCES.items():
        assert re.search(rf'"pod/{steady.namespace}/{kind}", "error": "({sentence}|{REFUSED})"', said), said[-3000:]
    assert f"{steady.namespace}/labels has 10000 series, a single one's limit" in said
    assert f"pod {steady.namespace}/portless: annotation prometheus.io/port is 'http'" in said
    assert re.search(rf'"pod/{steady.namespace}/noise", "problems": \["line 1: ', said)


def test_rules_that_cannot_be_read_are_one_sentence_each_and_the_others_work(
    adapter: RunningAdapter, steady: Steady
) -> None:
    said = adapter.log.read_text()
    for sentence in (
        "rules[1], line 8: 'metricQuery' is no field there",
        "rules[2].name.matches, line 11: '^(unclosed' does not compile",
        "rules[3].metricsQuery, line 14: the template does not work",
    ):
        assert said.count(sentence) == 1, said
    assert len(steady.served_items()) == REPLICAS


def test_an_hpa_on_a_metric_that_nobody_has_is_told_so_and_holds(bed: Bed, steady: Steady, namespace: str) -> None:
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "idle", "namespace": namespace},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "idle"}},
            "template": {
                "metadata": {"labels": {"app": "idle"}},
                "spec": {"containers": [{"name": "idle", "image": SAMPLE, "imagePullPolicy": "Never"}]},
            },
        },
    }
    bed.apply([deployment, hpa("idle", namespace, pods_metric("no_such_metric", "1"))])

    def condition() -> dict[str, str]:
        status = bed.get("hpa", "idle", "-n", namespace).get("status", {})
        return next((one for one in status.get("conditions", ()) if one["type"] == "ScalingActive"), {})

    assert wait_until(lambda: condition().get("reason") == "FailedGetPodsMetric", 60, every=0.5), condition()
    assert "no_such_metric" in condition()["message"]
    assert bed.get("deployment", "idle", "-n", namespace)["spec"]["replicas"] == 2


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (f"namespaces/default/pods/*/{METRIC}?labelSelector=a%3D%3D%3Db", "BadRequest"),
        (f"namespaces/default/pods/*/{METRIC}?labelSelector=app%3Dnobody", "NotFound"),
        (f"namespaces/default/unicorns/*/{METRIC}", "NotFound"),
        (f"namespaces/default/pods/*/{METRIC}/deeper", "NotFound"),
        ("namespaces/%ff/pods/*/x", "NotFound"),
    ],
)
def test_odd_requests_through_the_aggregator_get_words(
    bed: Bed, adapter: RunningAdapter, steady: Steady, path: str, words: str
) -> None:
    said = try_raw(bed, f"{CUSTOM}/{path}")
    assert isinstance(said, str)
    assert f"({words})" in said
    assert "the server is currently unable" not in said
    assert not adapter.ended
