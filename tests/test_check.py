"""`streamgate-adapter check`: a rules file before it is used, with and without a Prometheus."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from adapter.__main__ import main

RULES = """
rules:
- seriesQuery: 'good_total'
  resources: {overrides: {namespace: {resource: namespace}, pod: {resource: pod}}}
  name: {matches: "^(.*)_total$", as: "${1}"}
  metricsQuery: 'sum(rate(<<.Series>>{<<.LabelMatchers>>}[1m])) by (<<.GroupBy>>)'
- seriesQuery: 'none'
  resources: {overrides: {pod: {resource: pod}}}
  metricsQuery: 'sum(<<.Series>>{<<.LabelMatchers>>}) by (<<.GroupBy>>)'
- seriesQuery: 'scalar'
  resources: {overrides: {namespace: {resource: namespace}, pod: {resource: pod}}}
  metricsQuery: 'scalar(sum(<<.Series>>{<<.LabelMatchers>>}))'
externalRules:
- seriesQuery: 'queue'
  resources: {namespaced: false}
  metricsQuery: 'max(<<.Series>>{<<.LabelMatchers>>}) by (queue)'
- seriesQuery: 'refused'
  metricsQuery: 'max(<<.Series>>{<<.LabelMatchers>>})'
"""
SERIES = {
    "good_total": [{"namespace": "shop", "pod": "web-1"}, {"job": "a"}],
    "scalar": [{"namespace": "shop", "pod": "web-1"}],
    "queue": [{"queue": "mail"}],
}


def prometheus_answer(path: str, form: dict[str, str]) -> dict[str, Any]:
    if path.endswith("/series"):
        if form["match[]"] == "refused":
            return {"status": "error", "errorType": "bad_data", "error": "no selector"}
        name = form["match[]"]
        return {"status": "success", "data": [{"__name__": name, **labels} for labels in SERIES.get(name, [])]}
    scalar = {"resultType": "scalar", "result": [1, "7"]}
    asked = form["query"]
    metric = {"queue": "mail"} if "queue" in asked else {"pod": "web-1"}
    vector = {"resultType": "vector", "result": [{"metric": metric, "value": [1, "1.5"]}]}
    return {"status": "success", "data": scalar if asked.startswith("scalar(") else vector}


@asynccontextmanager
async def server() -> AsyncIterator[str]:
    async def answer(request: web.Request) -> web.Response:
        body = prometheus_answer(request.path, {key: str(value) for key, value in (await request.post()).items()})
        return web.json_response(body, status=400 if body["status"] == "error" else 200)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.fixture
def rules(tmp_path: Path) -> Callable[[str], str]:
    def write_rules(text: str) -> str:
        (tmp_path / "rules.yaml").write_text(text)
        return f"--config={tmp_path / 'rules.yaml'}"

    return write_rules


async def test_each_rule_is_told_with_what_it_finds_and_what_its_query_gives(
    rules: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    async with server() as url:
        given = ["check", rules(RULES), f"--prometheus-url={url}", "--output=json", "--secure-port=6443", "--v=4"]
        assert await asyncio.to_thread(main, given) == 1
    good, none, scalar, queue, refused = json.loads(capsys.readouterr().out)
    assert good == {
        "rule": "rules[0], line 3",
        "seriesQuery": "good_total",
        "found": 2,
        "dropped": "1 by resources: no label names an object of the cluster",
        "metrics": "namespaces/good, pods/good",
        "query": "good of pods web-1: 1.5",
        "problem": "",
    }
    assert (none["found"], none["problem"]) == (0, "nothing is on offer")
    assert "gives one element without the label 'pod' (a scalar" in scalar["problem"]
    assert (queue["metrics"], queue["query"], queue["problem"]) == ("queue", "queue: 1.5", "")
    assert refused["problem"] == "Prometheus answered 400: bad_data: no selector"


USAGE = """
resourceRules:
  cpu:
    containerQuery: 'sum(container_cpu{<<.LabelMatchers>>}) by (<<.GroupBy>>)'
    nodeQuery: 'topk(1, sum(node_cpu{<<.LabelMatchers>>}) by (<<.GroupBy>>))'
    resources: {overrides: {namespace: {resource: namespace}, pod: {resource: pod}, node: {resource: node}}}
    containerLabel: container
  memory:
    containerQuery: 'sum(container_memory{<<.LabelMatchers>>}) by (<<.GroupBy>>)'
    nodeQuery: 'sum(node_memory{<<.LabelMatchers>>}) by (<<.GroupBy>>)'
    resources: {overrides: {namespace: {resource: namespace}, pod: {resource: pod}}}
    containerLabel: container
"""


async def test_the_queries_of_resource_rules_are_tried_and_what_is_wrong_is_said(
    rules: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    async with server() as url:
        given = ["check", rules(USAGE), f"--prometheus-url={url}", "--output=json"]
        assert await asyncio.to_thread(main, given) == 1
    cpu, node, _, no_label = json.loads(capsys.readouterr().out)
    assert (cpu["rule"], cpu["found"], cpu["query"]) == ("resourceRules.cpu, line 4: containerQuery", 1, "1.5")
    assert "gives 1 values without the label 'namespace', so nobody knows whose they are" in cpu["problem"]
    assert "its nodeQuery cannot be asked for all objects at once, because" in node["problem"]
    assert "resources: no label is given for nodes; right would be an override" in no_label["problem"]


def test_without_a_prometheus_only_the_file_is_read(
    rules: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", rules(RULES)]) == 0
    assert main(["check", rules(RULES + "- seriesQuery: ''\n")]) == 1
    assert "externalRules[2].seriesQuery, line 19: it is missing" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "code", "sentence"),
    [
        (["--config=/nowhere"], 1, "streamgate-adapter check: --config=/nowhere: No such file or directory"),
        (["--prometheus-url=p:9090"], 1, "streamgate-adapter check: --prometheus-url: 'p:9090' does not begin with"),
        (["rules.yaml"], 2, "streamgate-adapter check: 'rules.yaml' is no flag"),
        (["--output=xml"], 2, "streamgate-adapter check: --output=xml: one of table, json, csv is wanted"),
    ],
)
def test_what_cannot_be_checked_is_one_sentence(
    given: list[str], code: int, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", *given]) == code
    assert capsys.readouterr().err.startswith(sentence)
