"""Prometheus' HTTP API on the wire: answers decoded piece by piece as they come.

So a large one (100,000 samples have 10 to 50 MB) neither holds the event loop nor is ever held as a whole. Its array is
split at element boundaries, each piece is decoded on its own, and what remains around the array is the envelope.
"""

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from typing import NamedTuple

import msgspec

from adapter.metrics.prometheus.source_clock import Asked
from adapter.metrics.sample import Sample
from adapter.metrics.slices import Slices
from adapter.metrics.source import SourceError, UnsupportedQuery

SLICE_BYTES = 131_072
"""About 1,300 samples, 4 ms."""

MOST_ELEMENT = 2**20
"""Bytes of one element of an array, which cannot be read in slices."""
MOST_ELEMENTS = 50_000
"""Of an answer: a query is planned for 2,000 results."""
MOST_LABELS = 16 * 2**20
"""Characters of all labels of an answer that is held with all of them."""
OVERLAP = 256
"""Bytes at the end that are looked at again with what follows: a boundary may be cut."""
AT_ONCE = 5000
"""Samples whose times are told in one slice: some 3 ms."""

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

_MALFORMED = (msgspec.MsgspecError, UnicodeDecodeError, ValueError, RecursionError)
_NO_API = "the answer is no JSON of Prometheus' API; does the URL lead to Prometheus?"
_PARTIAL = "the answer is partial: a part of the storage did not answer"


def envelope(body: bytes | bytearray) -> Envelope:
    """Raises SourceError where the body is none."""
    try:
        return _envelope.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise SourceError(_NO_API) from None


class Reader(ABC):
    """An answer whose array of objects is read as it comes: what it says is kept, its bytes are not.

    The array is the one after `"key":`. A document without boundaries between objects is all rest.
    """

    def __init__(self, key: bytes) -> None:
        self._opening = re.compile(b'"' + key + b'"' + _BLANKS + b":" + _BLANKS + rb"\[")
        self.rest = bytearray()
        """What is not read yet; at the end the whole document with only the array's last elements."""
        self._start = -1
        """Where in it the array's elements begin."""
        self._looked = 0
        """Up to where there is no further boundary."""

    @property
    def stuck(self) -> bool:
        """Whether more is not worth reading: what is there cannot be read in pieces."""
        return len(self.rest) > SLICE_BYTES + MOST_ELEMENT

    def feed(self, chunk: bytes) -> Slices[None]:
        """Some more bytes, some 100 kB at a time. Raises SourceError."""
        self.rest += chunk
        if self._start < 0:
            opening = self._opening.search(self.rest, self._looked)
            self._looked = max(len(self.rest) - OVERLAP, 0)
            if opening is None:
                return
            self._start = self._looked = opening.end()
        while boundary := _BOUNDARY.search(self.rest, max(self._start + SLICE_BYTES, self._looked)):
            piece = b"[" + self.rest[self._start : boundary.start() + 1] + b"]"
            del self.rest[self._start : boundary.end()]
            self._looked = 0
            self._take(piece)
            yield
        self._looked = len(self.rest) - OVERLAP

    @abstractmethod
    def _take(self, piece: bytes) -> None:
        """A JSON array of elements. Raises SourceError."""

    @abstractmethod
    def end(self, warnings: list[str]) -> None:
        """All is here; `warnings` is extended by those of the answer. Raises SourceError."""

    def _read_rest(self) -> bytes:
        if self.stuck:
            raise SourceError(
                f"a part of the answer that cannot be read in pieces has over {MOST_ELEMENT} bytes; at most as many are"
                " read"
            )
        return bytes(self.rest)


class Clock(NamedTuple):
    """How the times of an answer are read."""

    asked: Asked | None = None
    """When it was asked by our clock: the time of its samples. None: the source's own is kept."""
    values: bool = False
    """Whether its values are times too, to be put from the source's clock into ours."""


class Vector(Reader):
    """The answer of /api/v1/query."""

    def __init__(self, labels: Collection[str] | None = None, most: int = MOST_ELEMENTS) -> None:
        """Of `labels` alone; None: with all of them. `most`: elements."""
        super().__init__(b"result")
        self._labels = labels
        self._most = most
        self._found: list[Sample] = []
        """With the source's times."""
        self._histograms = 0
        self._characters = 0
        """Of labels, where all are held."""

    def _take(self, piece: bytes) -> None:
        try:
            self._add(_elements.decode(piece))
        except _MALFORMED as error:
            raise _not_as_told("answer to the query", error) from None

    def _add(self, elements: list[_Element] | None) -> None:
        """Raises SourceError."""
        for metric, value in ((one.metric or {}, one.value) for one in elements or ()):
            if value is None:
                self._histograms += 1
            else:
                self._found.append(Sample(self._select_labels(metric), _number(value[1]), value[0]))
        if self._characters > MOST_LABELS:
            raise SourceError(
                f"the labels of the answer have over {MOST_LABELS} characters; aggregate in the query or select less"
            )
        if len(self._found) + self._histograms > self._most:
            raise SourceError(
                f"the answer has over {self._most} elements; aggregate in the query, `by (<<.GroupBy>>)`, or select"
                " less"
            )

    def _select_labels(self, labels: dict[str, str]) -> dict[str, str]:
        if self._labels is None:
            self._characters += sum(map(len, labels)) + sum(map(len, labels.values()))
            return labels
        return {name: labels[name] for name in self._labels if name in labels}

    def end(self, warnings: list[str]) -> None:
        """As `Reader`. Raises SourceError; UnsupportedQuery for matrices, strings and native histograms."""
        try:
            self._add(_rest(self._read_rest(), warnings))
        except _MALFORMED as error:
            raise _not_as_told("answer to the query", error) from None
        if self._histograms and not self._found:
            raise UnsupportedQuery(
                "the query gives native histograms; a metric needs numbers,"
                " such as histogram_quantile(0.9, sum(rate(x[1m])))"
            )
        if self._histograms:
            warnings.append("some of a result are native histograms, which are left out; a metric needs numbers")

    def samples(self, clock: Clock = Clock()) -> Slices[list[Sample]]:  # noqa: B008 - immutable
        """The samples by `clock`."""
        asked = clock.asked
        if asked is None or not self._found:
            return self._found
        asked.note_evaluation(self._found[0].time)
        at, timed = asked.ours(self._found[0].time), list[Sample]()
        for start in range(0, len(self._found), AT_ONCE):
            for labels, value, *_ in self._found[start : start + AT_ONCE]:
                timed.append(Sample(labels, asked.ours(value) if clock.values else value, at))
            yield
        return timed


def _rest(piece: bytes, warnings: list[str]) -> list[_Element] | None:
    answer = _require_success(piece, warnings)
    result = _result.decode(answer.data)
    if result.result_type == "vector":
        return _elements.decode(result.result)
    if result.result_type == "scalar":
        return [_Element({}, _scalar.decode(result.result))]
    raise UnsupportedQuery(
        f"the query gives a {result.result_type}; a metric needs an instant vector or a scalar,"
        " such as sum(rate(x[1m]))"
    )


def _number(text: str) -> float:
    """NaN where it is none, which costs that element alone."""
    try:
        return float(text)
    except ValueError:
        return math.nan


class LabelSets(Reader):
    """The answer of /api/v1/series."""

    def __init__(self, most: int = MOST_ELEMENTS) -> None:
        """`most`: of more than so many no more are read."""
        super().__init__(b"data")
        self._most = most
        self.found: list[Mapping[str, str]] = []

    @property
    def stuck(self) -> bool:
        """As `Reader`."""
        return super().stuck or self.full

    @property
    def full(self) -> bool:
        """Whether there are more than anybody wants; the rest may be unread."""
        return len(self.found) > self._most

    def _take(self, piece: bytes) -> None:
        try:
            self.found += _label_sets.decode(piece) or []
        except _MALFORMED as error:
            raise _not_as_told("list of series", error) from None

    def end(self, warnings: list[str]) -> None:
        """As `Reader`."""
        if not self.full:
            self._take(_require_success(self._read_rest(), warnings).data)


def texts(body: bytearray) -> list[str]:
    """The answer of /api/v1/labels and of /api/v1/label/…/values. Raises SourceError."""
    try:
        return _texts.decode(_require_success(bytes(body), []).data) or []
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise SourceError(f"the list of labels is not as Prometheus' API says: {error}") from None


def _not_as_told(what: str, error: Exception) -> SourceError:
    return SourceError(f"the {what} is not as Prometheus' API says: {error}")


def _require_success(piece: bytes, warnings: list[str]) -> Envelope:
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
