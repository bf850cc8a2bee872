"""Time against size of everything that reads bytes from outside: each row should grow as its input does.

A figure over 4 for an input four times as long tells of a loop within a loop. Run: make bench-parsers
"""

import contextlib
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from adapter.metrics.matching import full_match
from adapter.metrics.otlp.decode import from_json, from_protobuf
from adapter.metrics.otlp.measure import OtlpError
from adapter.metrics.prometheus import wire
from adapter.metrics.promql.read import PromQLError, parse
from adapter.metrics.scrape.exposition import Parser
from adapter.metrics.slices import run
from adapter.metrics.source import SourceError
from adapter.rules.config import load
from adapter.rules.go.lex import Lexer
from adapter.rules.go.regexp import Regexp
from adapter.rules.go.render import TemplateError
from adapter.units.nesting import prune
from adapter.units.quantity import Quantity, QuantityError
from adapter.units.selector import Selector, SelectorError
from recommender.checkpoint.codec import CheckpointError, restore_extra
from recommender.input.usage_file import COLUMNS, UsageError, read_usage
from recommender.model.containers import Aggregation, States

SIZES = (10_000, 40_000, 160_000)
"""Bytes, about."""
REFUSALS = (
    CheckpointError,
    OtlpError,
    PromQLError,
    SourceError,
    QuantityError,
    SelectorError,
    TemplateError,
    UsageError,
)
"""Some of the inputs are none: how long it takes to say so counts, too."""


HEADER = ",".join(COLUMNS) + "\n"


class Case(NamedTuple):
    """An input of any length, and who reads it."""

    name: str
    read: Callable[[str], object]
    piece: str
    """Repeated until the size is reached."""
    begin: str = ""
    end: str = ""

    def input(self, size: int) -> str:
        """The input of about `size` characters."""
        return self.begin + self.piece * (size // len(self.piece)) + self.end


def _text(body: str) -> object:
    return Parser().parse(body.encode(), 1.0)


def _openmetrics(body: str) -> object:
    return Parser().parse(body.encode(), 1.0, openmetrics=True)


def _read(reader: wire.Reader, body: str) -> object:
    """As it comes, in chunks of 64 KiB."""
    text = body.encode()
    for start in range(0, len(text), 65_536):
        run(reader.feed(text[start : start + 65_536]))
    reader.end([])
    return reader


def _prometheus(body: str) -> object:
    return _read(wire.LabelSets(), body)


def _samples(body: str) -> object:
    return _read(wire.Vector(), body)


def _usage(body: str) -> object:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "usage.csv"
        file.write_text(body)
        return read_usage([file])


def _template(body: str) -> object:
    lexer = Lexer(body)
    while not lexer.at_end:
        lexer.text()
        if not lexer.at_end:
            lexer.action()
    return lexer


def _checkpoint(body: str) -> None:
    restore_extra(States(Aggregation()), 0, body)


CASES = [
    Case("text: short lines", _text, 'x{a="b"} 1\n'),
    Case("text: one line of labels", _text, 'a="b",', begin="x{", end="} 1"),
    Case("text: blanks", _text, " ", end="x"),
    Case("text: escapes", _text, '\\"', begin='x{a="'),
    Case("OpenMetrics: blanks", _openmetrics, " ", end="x"),
    Case("OpenMetrics: tabs in braces", _openmetrics, "\t", begin="x{", end="# {"),
    Case("OpenMetrics: lines of blanks", _openmetrics, " " * 15_000 + "x\n"),
    Case("OpenMetrics: quotes", _openmetrics, '""', begin="x{"),
    Case("OpenMetrics: ends", _openmetrics, "\n# EO"),
    Case(
        "OTLP in JSON: attributes",
        lambda body: from_json(body.encode()),
        '{"a":1},',
        begin='{"resourceMetrics":[',
        end="{}]}",
    ),
    Case("OTLP in JSON: depth", lambda body: from_json(body.encode()), "[", begin='{"resourceMetrics":'),
    Case("OTLP in protobuf: empty resources", lambda body: from_protobuf(body.encode()), "\n\0"),
    Case("OTLP in protobuf: depth", lambda body: from_protobuf(body.encode()), "\n"),
    Case(
        "Prometheus: series",
        _prometheus,
        '{"__name__":"x"},',
        begin='{"status":"success","data":[',
        end='{"__name__":"y"}]}',
    ),
    Case("Prometheus: depth", _prometheus, "[", begin='{"status":"success","data":['),
    Case("Prometheus: boundaries", _samples, '},{"a', begin='{"status":"success","data":{"result":['),
    Case("nested JSON", lambda body: prune(body.encode()), '{"a":['),
    Case("selector: requirements", lambda body: Selector.parse(body, strict_values=False), "a=b,", end="c"),
    Case("selector: blanks", lambda body: Selector.parse(body, strict_values=False), " ", begin="a", end="b"),
    Case("selector: brackets", lambda body: Selector.parse(body, strict_values=False), "(", begin="a in "),
    Case("quantity", Quantity.parse, "1"),
    Case("query: matchers", parse, 'a="b",', begin="x{", end="}"),
    Case("query: a list of pods", parse, "web-1|", begin='x{pod=~"', end='"}'),
    Case("query: backslashes", parse, "\\\\", begin='x{pod="', end='"}'),
    Case("matching (a+)+!", full_match("(a+)+!").matches, "a"),
    Case("matching .*.*.*!", full_match(".*.*.*!").matches, "a"),
    Case("rules: (a+)+$", Regexp("(a+)+$").search, "a", end="!"),
    Case("rules file: rules", lambda body: load(body, "c"), "- {seriesQuery: x}\n", begin="rules:\n"),
    Case("template: a comment with many ends", _template, "*/ ", begin="<</*"),
    Case("template: comments", _template, "<</* a */>>"),
    Case("template: blanks before a comment", _template, " ", begin="<<", end="/* a */>>"),
    Case("template: actions", _template, "<<.Series>>"),
    Case("usage file: rows", _usage, "web,60,5,7\n", begin=HEADER),
    Case("usage file: one line", _usage, '"",', begin=HEADER),
    Case("checkpoint's annotation", _checkpoint, "1,", begin='{"peaks":[', end="1]}"),
    Case("checkpoint's annotation: depth", _checkpoint, "[", begin='{"peaks":'),
]


def seconds(case: Case, size: int) -> float:
    """The best of three, of inputs that differ: some readers remember what they have read."""
    best = float("inf")
    for attempt in range(3):
        text = case.input(size + attempt * len(case.piece))
        began = time.perf_counter()
        with contextlib.suppress(*REFUSALS):
            case.read(text)
        best = min(best, time.perf_counter() - began)
    return best


def main() -> None:
    """Print the table."""
    print(f"{'input':40}" + "".join(f"{size // 1000:>9} kB" for size in SIZES) + "   last / one before")
    for case in CASES:
        took = [seconds(case, size) for size in SIZES]
        figures = "".join(f"{1000 * one:9.2f} ms" for one in took)
        print(f"{case.name:40}{figures}{took[-1] / took[-2]:9.1f}")


if __name__ == "__main__":
    main()
