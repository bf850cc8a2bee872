"""Spans: whose child each is, which traces are sampled, and what a caller may decide."""

import asyncio
import string
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.spans import LONGEST, MILLION, MOST_A_SECOND, OFF, Parent, Span, Tracer, note, parent_of, span, traceparent

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Told:
    """A tracer whose spans are kept here; `now` is Unix s."""

    def __init__(self, per_million: int = MILLION, draw: Callable[[int], int] | None = None) -> None:
        self.now = 1000.0
        self.spans: list[Span] = []
        more = {} if draw is None else {"draw": draw}
        self.tracer = Tracer(self.spans.append, per_million, clock=lambda: self.now, **more)

    @property
    def names(self) -> list[str]:
        return [one.name for one in self.spans]


def test_what_runs_inside_is_the_child_of_what_runs_around_it() -> None:
    told = Told()
    with told.tracer.trace("loop"):
        told.now += 1
        with span("step", {"k8s.namespace.name": "shop"}):
            told.now += 2
            note({"http.response.status_code": 200})
    step, loop = told.spans
    assert (step.name, step.parent_id, step.trace_id) == ("step", loop.span_id, loop.trace_id)
    assert (step.start, step.end, loop.start, loop.end, loop.parent_id) == (1001, 1003, 1000, 1003, 0)
    assert step.attributes == {"k8s.namespace.name": "shop", "http.response.status_code": 200}


def test_a_failure_is_named_by_its_class_and_never_by_its_text() -> None:
    told = Told()
    with pytest.raises(KeyError), told.tracer.trace("loop"), span("step"):
        raise KeyError("a secret")
    assert [one.error for one in told.spans] == ["KeyError", "KeyError"]


def test_a_trace_inside_of_another_is_part_of_it() -> None:
    told = Told()
    with told.tracer.trace("request"), told.tracer.trace("evaluate"):
        pass
    evaluate, request = told.spans
    assert evaluate.parent_id == request.span_id


def test_without_a_trace_a_span_is_nothing() -> None:
    with span("step"):
        note({"a": 1})
        assert traceparent() == {}


async def test_a_task_that_outlives_its_span_adds_nothing_to_it() -> None:
    told = Told()
    ended = asyncio.Event()

    async def later() -> None:
        await ended.wait()
        with span("step"):
            assert traceparent() == {}
        with told.tracer.trace("round"):
            pass

    with told.tracer.trace("request"):
        task = asyncio.create_task(later())
    ended.set()
    await task
    request, of_its_own = told.spans
    assert told.names == ["request", "round"]
    assert of_its_own.trace_id != request.trace_id


@pytest.mark.parametrize(("rate", "low", "sampled"), [(0, 0, 0), (500_000, 2**63 - 1, 1), (500_000, 2**63, 0)])
def test_a_trace_is_sampled_by_its_id_as_the_sdks_do(rate: int, low: int, sampled: int) -> None:
    """Half of a million: the lower 64 bits without their last one, 63, lie below 2**62."""
    told = Told(rate, lambda bits: (5 << 64 | low) if bits == 128 else 7)
    with told.tracer.trace("loop"):
        pass
    assert len(told.spans) == sampled


@pytest.mark.parametrize("rate", [0, MILLION])
@pytest.mark.parametrize("sampled", [False, True])
def test_a_caller_s_decision_holds_whatever_the_rate(rate: int, sampled: bool) -> None:
    told = Told(rate)
    with told.tracer.trace("request", parent=Parent(3, 4, sampled)):
        pass
    assert [(one.trace_id, one.parent_id) for one in told.spans] == ([(3, 4)] if sampled else [])


def test_callers_begin_so_many_traces_a_second_and_no_more() -> None:
    told = Told()
    for second in range(2):
        told.now = 1000.0 + second
        for _ in range(3 * MOST_A_SECOND):
            with told.tracer.trace("request", parent=Parent(3, 4, True)):
                pass
    assert len(told.spans) == 2 * MOST_A_SECOND


def test_where_nothing_is_traced_no_caller_changes_that() -> None:
    with OFF.trace("request", parent=Parent(3, 4, True)):
        assert traceparent() == {}


def test_a_long_value_is_cut() -> None:
    told = Told()
    with told.tracer.trace("query", {"db.query.text": "x" * 10_000}):
        pass
    assert told.spans[0].attributes["db.query.text"] == "x" * LONGEST


def test_whom_we_ask_is_told_our_span() -> None:
    told = Told()
    with told.tracer.trace("request", parent=Parent(int(TRACE, 16), int(CALLER, 16), True)):
        header = traceparent()["traceparent"]
    assert parent_of(header) == Parent(int(TRACE, 16), told.spans[0].span_id, True)


@pytest.mark.parametrize(
    ("header", "sampled"),
    [
        (f"00-{TRACE}-{CALLER}-01", True),
        (f"00-{TRACE}-{CALLER}-00", False),
        (f"00-{TRACE}-{CALLER}-03", True),
        (f"cc-{TRACE}-{CALLER}-01-what-will-be", True),
    ],
)
def test_a_traceparent_is_read_as_w3c_has_it(header: str, sampled: bool) -> None:
    assert parent_of(header) == Parent(int(TRACE, 16), int(CALLER, 16), sampled)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        f"ff-{TRACE}-{CALLER}-01",
        f"00-{TRACE}-{CALLER}-01-more",
        f"00-{TRACE.upper()}-{CALLER}-01",
        f"00-{32 * '0'}-{CALLER}-01",
        f"00-{TRACE}-{16 * '0'}-01",
        f"00-{TRACE}-{CALLER}-01\n",
        f"00-{TRACE}-{CALLER}",
        f"cc-{TRACE}-{CALLER}-01-{151 * 'x'}",
    ],
)
def test_what_is_none_is_no_parent(header: str | None) -> None:
    assert parent_of(header) is None


@given(st.text(alphabet=string.hexdigits + "-\x00é", max_size=300))
def test_any_header_is_a_parent_or_none(header: str) -> None:
    parent = parent_of(header)
    assert parent is None or (0 < parent.trace_id < 2**128 and 0 < parent.span_id < 2**64)
