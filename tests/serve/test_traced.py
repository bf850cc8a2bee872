"""Spans of requests: who may say whose child they are, and what they tell."""

import pytest

from adapter.spans import MILLION, Kind, Span, Tracer
from tests.serve.conftest import FakeAnswers, Running, running

METRIC = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/bench-golden/pods/*/golden_depth"
PARENT = f"00-{7:032x}-{9:016x}-01"


async def request_spans(path: str, per_million: int = 0, answers: FakeAnswers | None = None, **sent: str) -> list[Span]:
    """The spans of one request."""
    spans: list[Span] = []
    async with running(answers, tracer=Tracer(spans.append, per_million)) as api:
        await api.send(path, **sent)
    return spans


async def test_a_request_is_a_span_of_its_caller_s_trace() -> None:
    (span,) = await request_spans(METRIC + "?metricLabelSelector=verb%3DGET", traceparent=PARENT)
    assert (span.name, span.kind) == ("GET /apis/custom.metrics.k8s.io", Kind.SERVER)
    assert (span.trace_id, span.parent_id) == (7, 9)
    assert span.attributes == {
        "http.request.method": "GET",
        "url.path": METRIC,
        "url.scheme": "https",
        "k8s.namespace.name": "bench-golden",
        "http.response.status_code": 200,
    }
    assert not span.error


async def test_a_stranger_cannot_have_himself_traced() -> None:
    assert await request_spans(METRIC, user="anonymous", traceparent=PARENT) == []
    (by_chance,) = await request_spans("/version", MILLION, user="anonymous", traceparent=PARENT)
    assert (by_chance.trace_id == 7, by_chance.parent_id) == (False, 0)


async def test_a_token_that_nobody_knows_begins_no_span() -> None:
    assert await request_spans(METRIC, MILLION, user="unheard-of", traceparent=PARENT) == []


async def test_of_two_parents_neither_counts() -> None:
    spans: list[Span] = []
    async with running(tracer=Tracer(spans.append, 0)) as api:
        twice = f"traceparent: {PARENT}\r\n" * 2
        await api.raw(f"GET {METRIC} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer authorised\r\n{twice}\r\n".encode())
    assert spans == []


@pytest.mark.parametrize("path", ["/healthz", "/readyz/source", "/livez"])
async def test_probes_are_not_traced(path: str) -> None:
    assert await request_spans(path, MILLION, traceparent=PARENT) == []


@pytest.mark.parametrize(
    ("problem", "code", "error"), [(None, 404, ""), (RuntimeError("a secret"), None, "RuntimeError")]
)
async def test_a_failure_of_the_server_s_own_is_one_and_a_caller_s_is_not(
    problem: Exception | None, code: int | None, error: str
) -> None:
    answers = FakeAnswers(problem=problem)
    (span,) = await request_spans(METRIC.replace("golden_depth", "nobodys"), answers=answers, traceparent=PARENT)
    assert (span.attributes.get("http.response.status_code"), span.error) == (code, error)


async def test_what_the_source_cannot_say_is_a_failure(unavailable: Exception) -> None:
    (span,) = await request_spans(METRIC, answers=FakeAnswers(problem=unavailable), traceparent=PARENT)
    assert (span.attributes["http.response.status_code"], span.error) == (503, "503")


async def test_names_are_few_whatever_callers_make_up() -> None:
    (made_up,) = await request_spans(f"/apis/made-up-{'x' * 400}/v1/pods", method="PROPFIND", traceparent=PARENT)
    assert made_up.name == "HTTP"
    assert made_up.attributes["http.request.method"] == "_OTHER"
    assert len(str(made_up.attributes["url.path"])) == 256


async def test_a_request_that_is_traced_changes_no_answer(api: Running) -> None:
    async with running(tracer=Tracer(lambda _: None, MILLION)) as other:
        assert (await other.send(METRIC, traceparent=PARENT)).body == (await api.send(METRIC)).body
