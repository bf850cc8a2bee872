"""What a client of HTTP/2 sends is let through whole and unchanged, within bounds. Frames are written by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.inbound.http2 import ANSWER, CREDIT, HEAD_BYTES, Answers, Gate, RefusedError, goodbye
from tests import frames
from tests.frames import CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PREFACE, frame

LARGE = 1000


def feed(gate: Gate, data: bytes, size: int = 10**9) -> bytes:
    return b"".join(gate.feed(data[at : at + size]) for at in range(0, len(data), size))


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("head"), st.integers(0, 3000), st.integers(1, 500)),
            st.tuples(st.just("other"), st.sampled_from([DATA, PING, 2, 8, 0x42]), st.integers(0, 3000)),
        ),
        max_size=30,
    ),
    st.integers(1, 5000),
)
def test_whole_frames_come_through_as_they_were_however_they_are_cut(parts: list[tuple], size: int) -> None:
    sent = PREFACE
    for number, (what, first, second) in enumerate(parts):
        stream = 2 * number + 1
        if what == "head":
            sent += frames.head(stream, b"h" * max(first, 1), size=second)
        else:
            sent += frame(first, 0, stream, b"d" * second)
    gate = Gate()
    assert feed(gate, sent, size) == sent
    assert (gate.held, gate.heads) == (0, sum(what == "head" for what, *_ in parts))


@given(st.integers(0, 3000), st.integers(1, 700))
def test_of_a_head_nothing_comes_through_before_its_last_byte(count: int, size: int) -> None:
    head = frames.head(1, b"h" * (count + 1), size=1000)
    gate = Gate()
    gate.feed(PREFACE)
    for at in range(0, len(head) - 1, size):
        assert gate.feed(head[at : min(at + size, len(head) - 1)]) == b""
    assert gate.held == len(head) - 1
    assert gate.feed(head[-1:]) == head


def test_the_preface_opens_and_anything_else_is_refused() -> None:
    gate = Gate()
    assert gate.feed(PREFACE[:10]) == b""
    assert not gate.begun
    assert gate.feed(PREFACE[10:]) == PREFACE
    assert gate.begun
    for other in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01", b"PRI * HTTP/2.1"):
        with pytest.raises(RefusedError, match="this is no HTTP/2; OTLP over HTTP has another port"):
            Gate().feed(other)


def test_the_largest_head_comes_through_and_one_byte_more_is_refused_before_it_is_there() -> None:
    """A frame's header has 9 bytes; the second head is refused by its length, 1 byte over what is left."""
    largest = frame(HEADERS, 0, 1, b"h" * 1000) + frame(CONTINUATION, END_HEADERS, 1, b"h" * (HEAD_BYTES - 1018))
    assert feed(Gate(), PREFACE + largest) == PREFACE + largest
    gate = Gate()
    gate.feed(PREFACE + frame(HEADERS, 0, 1, b"h" * 1000))
    with pytest.raises(RefusedError, match=f"a head has more than {HEAD_BYTES} bytes"):
        gate.feed(frame(CONTINUATION, END_HEADERS, 1, b"h" * (HEAD_BYTES - 1017))[:9])


def test_frames_of_a_head_without_bytes_count_too() -> None:
    gate = Gate()
    gate.feed(PREFACE + frame(HEADERS, 0, 1, b"h"))
    with pytest.raises(RefusedError, match="a head has more than"):
        gate.feed(frame(CONTINUATION, 0, 1) * (HEAD_BYTES // 9))


@pytest.mark.parametrize(
    "wrong",
    [
        frame(HEADERS, 0, 1, b"h") + frame(DATA, 0, 1, b"d"),
        frame(HEADERS, 0, 1, b"h") + frame(HEADERS, END_HEADERS, 3, b"h"),
        frame(CONTINUATION, END_HEADERS, 1, b"h"),
    ],
)
def test_what_stands_between_the_frames_of_a_head_is_refused(wrong: bytes) -> None:
    with pytest.raises(RefusedError, match="a head must be HEADERS, then CONTINUATION without other frames"):
        Gate().feed(PREFACE + wrong)


@pytest.mark.parametrize(
    ("each", "cost"),
    [
        (frame(PING, 0, 0, bytes(8)), 1),
        (frames.data(1, b""), 1),
        (frames.head(1, b"h"), 8),
        (frames.head(1, b"h") + frame(frames.RST_STREAM, 0, 1, frames.CANCEL), 9),
    ],
)
def test_what_brings_nothing_is_let_through_so_often_and_oftener_where_requests_are_answered(
    each: bytes, cost: int
) -> None:
    """PREFACE has a frame of SETTINGS."""
    gate, often = Gate(), (CREDIT - 1) // cost
    feed(gate, PREFACE + each * often)
    gate.count_answer()
    feed(gate, each * (ANSWER // cost))
    with pytest.raises(RefusedError, match="too many requests or other frames without an answer"):
        feed(gate, each * 2)


def test_a_sender_that_is_answered_goes_on_for_ever_and_messages_cost_nothing() -> None:
    gate = Gate()
    gate.feed(PREFACE)
    for stream in range(1, 20_001, 2):
        gate.feed(frames.head(stream, b"h") + frames.data(stream, b"m" * LARGE) + frame(PING, 0, 0, bytes(8)))
        gate.count_answer()
    feed(gate, frames.data(1, b"m") * (CREDIT + 1))


@given(st.integers(1, 50))
def test_answers_are_counted_however_they_are_cut(size: int) -> None:
    """A message with its trailers, a refusal without a message, a ping."""
    sent = frames.head(1, b"h") + frames.data(1, b"message") + frame(HEADERS, END_HEADERS | END_STREAM, 1, b"t")
    sent += frame(HEADERS, END_HEADERS | END_STREAM, 3, b"refused") + frame(PING, END_STREAM, 0, bytes(8))
    answers = Answers()
    counts = [answers.feed(sent[at : at + size]) for at in range(0, len(sent), size)]
    assert [sum(each) for each in zip(*counts, strict=True)] == [2, 1]


def test_a_goodbye_is_a_frame_that_says_why() -> None:
    assert goodbye("why") == frame(GOAWAY, 0, 0, bytes(4) + (11).to_bytes(4, "big") + b"why")
