"""Prometheus' HTTP API on the wire: answers decoded in slices, so that a large one does not hold the event loop.

An answer of 100,000 samples (10 MB) takes 200 ms to decode. Its array is split at element boundaries, each piece is
decoded on its own, and what remains around the array is decoded as the envelope.
"""

import math
import re
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import NamedTuple

import msgspec

from adapter.metrics.prometheus.source_clock import Asked
from adapter.metrics.sample import Sample
from adapter.metrics.slices import Slices
from adapter.metrics.source import SourceError, UnsupportedQuery

SLICE_BYTES = 131_072
"""About 1,300 samples, 4 ms."""

_BLANKS = rb"[ \t\r\n]*"
_BOUNDARY = re.compile(rb"\}" + _BLANKS + rb"," + _BLANKS + rb"(?=\{" + _BLANKS + rb'"[a-zA-Z_])')
"""The comma between two objects of an array. Inside a JSON text every quote follows a backslash, so that `{"` followed
by a letter only stands at an object's beginning; and the API has arrays of objects only where we split them. What
stands in between may have written the JSON anew, with blanks."""


class Envelope(msgspec.Struct):
    """Any answer of the API."""

    status: str = ""
    data: msgspec.Raw = msgspec.Raw(b"")
    """As it is written; empty where it is not there."""
    error_type: str = msgspec.field(default="", name="errorType")
    error: str = ""
    warnings: list[str] | None = None
    is_partial: bool | None = msgspec.field(default=None, name="isPartial")
    """VictoriaMetrics' own: whether a part of its storage did not answer. Others say it in a warning."""


class _Result(msgspec.Struct):
    result_type: str = msgspec.field(name="resultType")
    result: msgspec.Raw = msgspec.Raw(b"null")


class _Element(msgspec.Struct):
    metric: dict[str, str] | None = None
    value: tuple[float, str] | None = None
    """None where the sample is a native histogram."""


_envelope = msgspec.json.Decoder(Envelope)
_result = msgspec.json.Decoder(_Result)
# Go writes an empty list that it never made as null.
_elements: msgspec.json.Decoder[list[_Element] | None] = msgspec.json.Decoder(list[_Element] | None)
_scalar = msgspec.json.Decoder(tuple[float, str])
_texts: msgspec.json.Decoder[list[str] | None] = msgspec.json.Decoder(list[str] | None)
_label_sets = msgspec.json.Decoder(list[dict[str, str]] | None)

_NO_API = "the answer is no JSON of Prometheus' API; does the URL lead to Prometheus?"
_PARTIAL = "the answer is partial: a part of the storage did not answer"


def envelope(body: bytes | bytearray) -> Envelope:
    """Raises SourceError where the body is none."""
    try:
        return _envelope.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise SourceError(_NO_API) from None


def pieces(body: bytearray, key: bytes) -> Iterator[tuple[bytes, bool]]:
    """The array after `"key":` in parts of about SLICE_BYTES, each a JSON array; at last the rest, marked True.

    The rest is the whole document with only the array's last elements. A document without boundaries is all rest.
    """
    opening = re.search(b'"' + key + b'"' + _BLANKS + b":" + _BLANKS + rb"\[", body)
    if opening is None:
        yield bytes(body), True
        return
    position = start = opening.end()
    while boundary := _BOUNDARY.search(body, position + SLICE_BYTES):
        yield b"[" + body[position : boundary.start() + 1] + b"]", False
        position = boundary.end()
    yield bytes(body[:start] + body[position:]), True


class Clock(NamedTuple):
    """How the times of an answer are read."""

    asked: Asked | None = None
    """When it was asked by our clock: the time of its samples. None: the source's own is kept."""
    values: bool = False
    """Whether its values are times too, to be put from the source's clock into ours."""


MOST_ELEMENT = 2**20
"""Bytes of one element of an array, which cannot be read in slices."""


def samples(body: bytearray, warnings: list[str], clock: Clock = Clock()) -> Slices[list[Sample]]:  # noqa: B008 - immutable
    """The answer of /api/v1/query; `warnings` is extended by those of the answer.

    Raises SourceError; UnsupportedQuery for matrices, strings and native histograms.
    """
    found: list[Sample] = []
    histograms = 0
    try:
        for piece, is_rest in pieces(body, b"result"):
            _check_size(piece)
            elements = (_rest(piece, warnings) if is_rest else _elements.decode(piece)) or []
            histograms += sum(one.value is None for one in elements)
            found += _vector(elements, clock)
            yield
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise SourceError(f"the answer to the query is not as Prometheus' API says: {error}") from None
    if histograms and not found:
        raise UnsupportedQuery(
            "the query gives native histograms; a metric needs numbers,"
            " such as histogram_quantile(0.9, sum(rate(x[1m])))"
        )
    if histograms:
        warnings.append("some of a result are native histograms, which are left out; a metric needs numbers")
    return found


def _rest(piece: bytes, warnings: list[str]) -> list[_Element] | None:
    answer = _accepted(piece, warnings)
    result = _result.decode(answer.data)
    if result.result_type == "vector":
        return _elements.decode(result.result)
    if result.result_type == "scalar":
        return [_Element({}, _scalar.decode(result.result))]
    raise UnsupportedQuery(
        f"the query gives a {result.result_type}; a metric needs an instant vector or a scalar,"
        " such as sum(rate(x[1m]))"
    )


def _vector(elements: list[_Element], clock: Clock) -> list[Sample]:
    found = [(one.metric or {}, _number(one.value[1]), one.value[0]) for one in elements if one.value]
    if clock.asked is None or not found:
        return [Sample(labels, value, time) for labels, value, time in found]
    clock.asked.heard(found[0][2])
    at = clock.asked.ours(found[0][2])
    if clock.values:
        return [Sample(labels, clock.asked.ours(value), at) for labels, value, _ in found]
    return [Sample(labels, value, at) for labels, value, _ in found]


def seconds_ahead(date: str, now: float) -> float:
    """By how much whoever sent this header Date is ahead of `now`, Unix s; 0 where it is none."""
    try:
        return parsedate_to_datetime(date).timestamp() - now
    except (ValueError, OverflowError):
        return 0.0


def _check_size(piece: bytes) -> None:
    if len(piece) > SLICE_BYTES + MOST_ELEMENT:
        raise SourceError(
            f"a part of the answer that cannot be read in pieces has {len(piece)} bytes;"
            f" at most {MOST_ELEMENT} are read"
        )


def _number(text: str) -> float:
    """NaN where it is none, which costs that element alone."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def label_sets(body: bytearray, warnings: list[str]) -> Slices[list[Mapping[str, str]]]:
    """The answer of /api/v1/series; `warnings` is extended by those of the answer. Raises SourceError."""
    found: list[Mapping[str, str]] = []
    try:
        for piece, is_rest in pieces(body, b"data"):
            _check_size(piece)
            found += _label_sets.decode(_accepted(piece, warnings).data if is_rest else piece) or []
            yield
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise SourceError(f"the list of series is not as Prometheus' API says: {error}") from None
    return found


def texts(body: bytearray) -> list[str]:
    """The answer of /api/v1/labels and of /api/v1/label/…/values. Raises SourceError."""
    try:
        return _texts.decode(_accepted(bytes(body), []).data) or []
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise SourceError(f"the list of labels is not as Prometheus' API says: {error}") from None


def _accepted(piece: bytes, warnings: list[str]) -> Envelope:
    answer = envelope(piece)
    if answer.status != "success":
        raise SourceError(refusal(answer) if answer.status else _NO_API)
    warnings += answer.warnings or ()
    warnings += [_PARTIAL] if answer.is_partial else []
    return answer


def refusal(answer: Envelope) -> str:
    """What Prometheus says, bounded: it may repeat a long query."""
    text = f"{answer.error_type or 'error'}: {answer.error or 'no cause given'}"
    return text if len(text) <= 500 else text[:497] + "..."
