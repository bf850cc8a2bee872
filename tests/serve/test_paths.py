"""Whatever is asked, the answer is an object of the API: errors are a Status with its cause in words."""

import asyncio
import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from adapter.collect.answer import BadQuestion, CustomQuestion, Missing, Unanswerable, Unavailable
from adapter.kube.resources import GroupResource
from adapter.units.selector import Selector
from tests.serve.conftest import FakeAnswers, Running, running

C = "/apis/custom.metrics.k8s.io/v1beta2"
DEPTH = f"{C}/namespaces/bench-golden/pods/*/golden_depth"


class Panic(BaseException):
    """As a Rust extension's, which is no Exception."""


def is_status(body: bytes, code: int) -> bool:
    status = json.loads(body)
    return status["kind"] == "Status" and status["code"] == code and bool(status["message"]) and bool(status["reason"])


@pytest.mark.parametrize(
    ("method", "path", "user", "code"),
    [
        ("GET", "/nope", "admin", 404),
        ("GET", "//", "admin", 404),
        ("GET", "/apis/nope.example.com/v1/things", "admin", 404),
        ("GET", f"{C}/namespaces/bench-golden/%2e%2e/*/golden_depth", "admin", 404),
        ("GET", f"{C}/namespaces/bench-golden/pods/*/%00", "admin", 404),
        ("GET", f"{C}/namespaces/bench-golden/pods/*/%ff%fe", "admin", 404),
        ("GET", f"{C}/namespaces/bench-golden/pods/*/golden_depth?labelSelector=%ff", "admin", 400),
        ("GET", f"{DEPTH}?labelSelector=a%3Db%3Dc", "admin", 400),
        ("GET", f"{DEPTH}?fieldSelector=spec.nodeName%3Dx", "admin", 400),
        ("GET", f"{DEPTH}?metricLabelSelector=a%3E3", "admin", 400),
        ("GET", "/apis/metrics.k8s.io/v1beta1/widgets", "admin", 404),
        ("GET", "/apis/metrics.k8s.io/v1beta1/namespaces/ns/nodes", "admin", 404),
        ("GET", "/apis/metrics.k8s.io/v1beta1/pods?fieldSelector=nonsense", "admin", 400),
        ("POST", DEPTH, "admin", 405),
        ("POST", "/apis", "admin", 405),
        ("DELETE", "/version", "admin", 405),
        ("GET", DEPTH, "nobody", 403),
        ("GET", DEPTH, "wrong", 401),
        ("GET", "/openapi/v3/apis/nope/v1", "admin", 404),
        ("GET", "/explain", "admin", 404),
        ("GET", "/healthz/nope", "admin", 404),
    ],
)
async def test_errors_are_statuses(api: Running, method: str, path: str, user: str, code: int) -> None:
    answer = await api.send(path, method, user)
    assert answer.status == code, answer.body
    assert is_status(answer.body, code)


async def test_whatever_is_no_get_is_405(api: Running) -> None:
    for path in ("/healthz", "/livez", "/readyz", "/readyz/ping", "/metrics", "/version", DEPTH):
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
            answer = await api.send(path, method, "admin")
            assert (answer.status, answer.headers["Allow"]) == (405, "GET"), (method, path)
    for path in ("/healthz", "/metrics", "/version", "/", "/apis", "/openapi/v2", "/openapi/v3", DEPTH):
        assert (await api.head(path, "admin")).status == 405, path


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"nonsense\r\n\r\n",
        b"GET apis HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET http://elsewhere/apis HTTP/1.1\r\nHost: x\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /apis HTTP/1.1\r\nHost: x\r\nBad Header: 1\r\n\r\n",
        b"GET /" + b"a" * 70000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /apis HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 70000 + b"\r\n\r\n",
        b"GET /apis?" + b"a=1&" * 100 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
    ids=["no HTTP", "no slash", "absolute", "star", "bad header", "long line", "long header", "many parameters"],
)
async def test_what_is_no_proper_request_is_400(api: Running, request_bytes: bytes) -> None:
    answer = await api.raw(request_bytes)
    assert answer.status == 400
    assert is_status(answer.body, 400)


@pytest.mark.parametrize(
    ("target", "header", "code"),
    [
        (b"/apis/custom.metrics.k8s.io/v1beta2/namespaces/\xff\xfe/pods/*/m", b"Bearer authorised", 404),
        (b"/\xc3\xa9t\xc3\xa9", b"Bearer authorised", 404),
        (b"/apis/metrics.k8s.io/v1beta1/pods?labelSelector=\xff", b"Bearer authorised", 400),
        (b"/apis", b"Bearer \xff\xfe", 401),
    ],
)
async def test_bytes_that_are_no_text_do_no_harm(api: Running, target: bytes, header: bytes, code: int) -> None:
    answer = await api.raw(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\nAuthorization: " + header + b"\r\n\r\n")
    assert answer.status in (code, 400)  # a stricter HTTP parser may refuse it before we see it
    assert is_status(answer.body, answer.status)


async def test_a_selector_of_60_kilobytes_is_read(api: Running) -> None:
    names = ",".join(f"v{number:05}" for number in range(8000))
    answer = await api.send(f"{DEPTH}?labelSelector=app+in+(golden,{names})")
    assert answer.status == 200
    assert len(answer.json["items"]) == 3


async def test_the_question_is_what_the_path_and_the_parameters_say(api: Running) -> None:
    await api.send(f"{C}/namespaces/ns/deployments.apps/web/lag?metricLabelSelector=verb%3DGET&labelSelector=a")
    question = CustomQuestion(
        resource=GroupResource("apps", "deployments"),
        namespace="ns",
        name="web",
        metric="lag",
        selector=Selector.parse("a"),
        metric_selector=Selector.parse("verb=GET"),
        user="bench-metrics-reader",
    )
    assert api.answers.asked == [question]


async def test_a_metric_selector_may_be_a_regular_expression(api: Running) -> None:
    await api.send(f"{DEPTH}?metricLabelSelector=path+in+(%2Fapi%2F.*)")
    (question,) = api.answers.asked
    assert question.metric_selector.requirements[0].values == ("/api/.*",)


@pytest.mark.parametrize(
    ("problem", "code", "says"),
    [
        (
            Missing("no rule names it"),
            404,
            "the server could not find the metric golden_depth for pods: no rule names it",
        ),
        (Unavailable("Prometheus has been silent for 30 s"), 503, "Prometheus has been silent for 30 s"),
        (Unavailable("ask again", soon=True), 503, "ask again"),
        (BadQuestion("'k8s-app' is no label"), 400, "'k8s-app' is no label"),
        (Unanswerable("it is no PromQL"), 500, "Internal error occurred: it is no PromQL"),
        (RuntimeError("password=hunter2"), 500, "Internal error occurred: the adapter's log tells more"),
        (TimeoutError("a source's own"), 500, "Internal error occurred: the adapter's log tells more"),
        (RecursionError(), 500, "Internal error occurred: the adapter's log tells more"),
        (Panic(), 500, "Internal error occurred: the adapter's log tells more"),
    ],
)
async def test_what_the_values_say_is_what_the_client_reads(
    api: Running, problem: BaseException, code: int, says: str
) -> None:
    api.answers.problem = problem
    with capture_logs() as logs:
        answer = await api.send(DEPTH)
    assert is_status(answer.body, code)
    assert answer.json["message"] == says
    assert ("Retry-After" in answer.headers) is (says == "ask again")  # what an HPA's worker would sleep for
    assert [line["log_level"] for line in logs] == (["error"] if "the adapter's log" in says else [])


async def test_lines_about_a_request_bear_the_name_that_the_api_server_gave_it(api: Running) -> None:
    api.answers.problem = RuntimeError("a fault")
    given = "5e0c1b6a-8d8f-4a9e-9a51-1f4b6c7d8e9f"
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as logs:
        for name in (given, "x" * 65, 'a"b', ""):
            await api.send(DEPTH, Audit_ID=name)
    first, *others = [line["request"] for line in logs]
    assert first == given
    assert len({uuid.UUID(each) for each in others}) == 3  # what is no name gets one of ours


async def test_a_group_that_is_not_served_is_not_there(start: Callable[..., Any]) -> None:
    async with start(FakeAnswers(serves_external=False, serves_resource=False)) as api:
        groups = [group["name"] for group in (await api.send("/apis")).json["groups"]]
        assert groups == ["custom.metrics.k8s.io"]
        assert (await api.send("/apis/metrics.k8s.io/v1beta1")).status == 404
        assert (await api.send("/apis/metrics.k8s.io/v1beta1/nodes")).status == 404
        assert list((await api.send("/openapi/v3")).json["paths"]) == [
            f"apis/custom.metrics.k8s.io/{v}" for v in ("v1beta2", "v1beta1")
        ]


async def test_explain_asks_the_same_question(api: Running) -> None:
    answer = await api.send("/explain/namespaces/bench-golden/pods/*/golden_depth?labelSelector=app%3Dgolden")
    assert answer.json == {"metric": "golden_depth", "resource": "pods", "value": "1500m"}
    (question,) = api.answers.asked
    assert (question.namespace, question.name, str(question.selector)) == ("bench-golden", "*", "app=golden")
    assert (await api.send("/explain/namespaces/bench-golden/pods/*/golden_depth", user="nobody")).status == 403


async def test_explain_of_an_hpa_tells_what_it_will_do(api: Running) -> None:
    path = "/explain/namespaces/shop/horizontalpodautoscalers/web"
    assert (await api.send(path)).json == {"hpa": "shop/web", "desired": 3}
    assert api.answers.asked == [("shop", "web")]
    assert (await api.send(path, user="nobody")).status == 403
    assert (await api.send("/explain/horizontalpodautoscalers/web")).status == 404
    api.answers.problem = Missing("no HorizontalPodAutoscaler shop/web is known here")
    answer = await api.send(path)
    assert is_status(answer.body, 404)
    assert answer.json["message"] == str(api.answers.problem)


@pytest.mark.parametrize(("problem", "code"), [(Missing("no rule names it"), 404), (Unavailable("not yet"), 503)])
async def test_explain_fails_in_the_same_words(api: Running, problem: BaseException, code: int) -> None:
    api.answers.problem = problem
    answer = await api.send("/explain/nodes/n1/golden_heat")
    assert is_status(answer.body, code)
    assert str(problem) in answer.json["message"]


SEGMENTS = st.one_of(
    st.sampled_from(
        ["apis", "custom.metrics.k8s.io", "external.metrics.k8s.io", "metrics.k8s.io", "v1beta1", "v1beta2"]
    ),
    st.sampled_from(
        ["namespaces", "pods", "nodes", "metrics", "*", "%2A", "..", "%2F", "openapi", "v2", "v3", "explain"]
    ),
    st.sampled_from(["readyz", "healthz", "version", "", "golden_depth", "bench-golden", "queue_odd", "%zz", "%C3%28"]),
    st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="#?"), max_size=8),
)
QUERIES = st.lists(
    st.tuples(
        st.sampled_from(
            ["labelSelector", "metricLabelSelector", "fieldSelector", "watch", "limit", "pretty", "x", "exclude"]
        ),
        st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="#&"), max_size=20),
    ),
    max_size=3,
)


def test_no_path_is_too_odd() -> None:
    """Never a 5xx, and every error a Status; one server and one event loop for all examples."""

    @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.lists(SEGMENTS, max_size=9), QUERIES)
    def ask(segments: list[str], query: list[tuple[str, str]]) -> None:
        target = "/" + "/".join(segments) + ("?" + "&".join(f"{key}={value}" for key, value in query) if query else "")
        answer = runner.run(api.send(target, user="admin"))
        assert answer.status < 500
        if answer.status >= 400:
            assert is_status(answer.body, answer.status)

    with asyncio.Runner() as runner:
        context = running()
        api = runner.run(context.__aenter__())
        ask()
        runner.run(context.__aexit__(None, None, None))
