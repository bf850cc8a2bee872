"""Exposition text: what it means, with prometheus_client's parsers as the oracle; and what rubbish costs."""

import math
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_oracle
from prometheus_client.parser import text_string_to_metric_families as text_oracle

from adapter.metrics import series_text
from adapter.metrics.sample import Point, Series
from adapter.metrics.scrape.exposition import ASK_AGAIN_S, SLICE_BYTES, Limits, Parser
from adapter.metrics.scrape.lines import Allowance
from adapter.metrics.series_text import LabelLimits

NOW = 1_700_000_000.0


def labels_of(point: Point) -> dict[str, str]:
    return dict(point[0].labels)


def parse(text: str, *, openmetrics: bool = False, **arguments: object) -> list[tuple[dict[str, str], float, float]]:
    parsed = Parser(**arguments).parse(text.encode(), NOW, openmetrics)  # type: ignore[arg-type]
    assert parsed.problems == []
    return [(labels_of(point), *point[1:]) for point in parsed.points]


def problem(text: str | bytes, *, openmetrics: bool = False, limits: Limits | None = None) -> str:
    body = text.encode() if isinstance(text, str) else text
    parsed = Parser(limits=limits or Limits()).parse(body, NOW, openmetrics)
    (sentence,) = parsed.problems
    return sentence


# -- what lines mean ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "labels", "value", "at"),
    [
        ("a 1", {"__name__": "a"}, 1.0, NOW),
        ("a{} 1", {"__name__": "a"}, 1.0, NOW),
        ("a 1 1699999999500", {"__name__": "a"}, 1.0, NOW - 0.5),
        ('a{b="c"} -1.5e3', {"__name__": "a", "b": "c"}, -1500.0, NOW),
        ('a{b="c"}1', {"__name__": "a", "b": "c"}, 1.0, NOW),
        (' a { b = "c" , d = "" , } \t+Inf \t 1699999999500 \t', {"__name__": "a", "b": "c"}, math.inf, NOW - 0.5),
        ('a{b="x,y}z{ #\\"\\\\\\n\\q"} 1\r', {"__name__": "a", "b": 'x,y}z{ #"\\\n\\q'}, 1.0, NOW),
        ('a{b="",c="d"} 1', {"__name__": "a", "c": "d"}, 1.0, NOW),
        ('a{b="ключ"} 1', {"__name__": "a", "b": "ключ"}, 1.0, NOW),
        ('a:b{c="} 2"} 1', {"__name__": "a:b", "c": "} 2"}, 1.0, NOW),
        ('{"a.b","c.d"="e",f="g"} 1', {"__name__": "a.b", "c.d": "e", "f": "g"}, 1.0, NOW),
        ('{"a.b"} 1', {"__name__": "a.b"}, 1.0, NOW),
    ],
)  # fmt: skip
def test_a_line_of_text_is_read(line: str, labels: dict[str, str], value: float, at: float) -> None:
    assert parse(line) == [(labels, value, at)]
    assert parse(f"# HELP a b }} c\n\n{line}\n  # comment\n") == [(labels, value, at)]


@pytest.mark.parametrize(
    ("line", "labels", "at"),
    [
        ('a_bucket{le="1"} 1 # {trace_id="x}y"} 0.5 1.5', {"__name__": "a_bucket", "le": "1"}, NOW),
        ('a_total 1 1699999999.5 # {trace_id="x"} 0.5', {"__name__": "a_total"}, NOW - 0.5),
        ('a{b="# {c=\\"d\\"} 5"} 1 1699999999.5', {"__name__": "a", "b": '# {c="d"} 5'}, NOW - 0.5),
        ("a 1 # {} 1", {"__name__": "a"}, NOW),
    ],
)
def test_a_line_of_openmetrics_is_read_without_its_exemplar(line: str, labels: dict[str, str], at: float) -> None:
    assert parse(f"{line}\n# EOF\n", openmetrics=True) == [(labels, 1.0, at)]


def test_nothing_after_the_end_of_openmetrics_is_read_and_a_missing_end_is_told() -> None:
    assert parse("a 1\n# EOF\nb 2\n", openmetrics=True) == [({"__name__": "a"}, 1.0, NOW)]
    assert parse("# EOF", openmetrics=True) == []
    assert problem("a 1\n", openmetrics=True) == "line 1: the body ends without '# EOF': it may be cut short"


def test_types_are_told() -> None:
    parsed = Parser().parse(b'# TYPE a counter\n# HELP a counts\n# UNIT a s\n#TYPE b gauge\n# TYPE "c.d" gauge\n', NOW)

    assert (parsed.points, parsed.kinds) == ([], {"a": "counter", "c.d": "gauge"})


def test_the_targets_labels_win_and_the_scraped_ones_are_kept() -> None:
    extra = {"pod": "p", "exported_job": "x", "job": "j", "node": ""}

    for first in ('a{pod="q",job="k",node="n"} 1', 'a{pod="\\n",job="k",node="n"} 1'):
        parser = Parser(extra)
        scraped = "q" if "q" in first else "\n"
        for _ in range(2):
            (point,) = parser.parse(first.encode(), NOW).points
            assert labels_of(point) == {
                "__name__": "a", "pod": "p", "exported_pod": scraped, "job": "j", "exported_exported_job": "k",
                "exported_job": "x", "node": "n",
            }  # fmt: skip
    assert parse("a 1", extra=extra)[0][0] == {"__name__": "a", "pod": "p", "job": "j", "exported_job": "x"}


def test_labels_come_sorted_so_that_a_series_equals_itself_however_it_is_written() -> None:
    parser = Parser({"m": "1"})
    points = parser.parse(b'a{z="1",b="2"} 1\na{b="2",z="1"} 1\na{ b = "2",z="1",} 1\n', NOW).points

    assert {point[0] for point in points} == {Series.of("a", {"b": "2", "z": "1", "m": "1"})}


def test_only_wanted_metrics_are_kept() -> None:
    body = 'a 1\nab{x="y"} 2\nb_x 3\nb_y{c="d"} 4\n{"a"} 5\n{"c"} 6\n# TYPE c gauge\n'
    parser = Parser(names=["a", "b_*"])

    for _ in range(2):
        parsed = parser.parse(body.encode(), NOW)
        assert [(point[0].name, point[1]) for point in parsed.points] == [("a", 1), ("b_x", 3), ("b_y", 4), ("a", 5)]
        assert parsed.kinds == {"c": "gauge"}


def test_a_repeated_scrape_gives_the_same_series_objects() -> None:
    parser = Parser({"pod": "p"})
    body = b"".join(b'a{i="%d"} %d\n' % (i, i) for i in range(100))

    first, second = parser.parse(body, NOW), parser.parse(body, NOW + 5)

    assert all(one[0] is other[0] for one, other in zip(first.points, second.points, strict=True))
    assert second.points[7] == (Series.of("a", {"i": "7", "pod": "p"}), 7.0, NOW + 5)


# -- against the oracle ------------------------------------------------------------------------------------------------

NAMES = st.from_regex(r"\A[a-zA-Z_:][a-zA-Z0-9_:]{0,8}\Z", fullmatch=True)
LABEL_NAMES = st.from_regex(r"\A[a-zA-Z][a-zA-Z0-9_]{0,8}\Z", fullmatch=True)
TEXTS = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp", "Zs"], include_characters=' {},="\\#\n'), max_size=12
)
NUMBERS = st.one_of(st.floats().map(repr), st.sampled_from(["NaN", "+Inf", "-Inf", "1e3", "0"]), st.integers().map(str))
BLANKS = st.sampled_from([" ", "  ", "\t", " \t "])


def escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


@st.composite
def lines(draw: st.DrawFn, blanks: st.SearchStrategy[str], stamps: st.SearchStrategy[str]) -> str:
    labels = draw(st.dictionaries(LABEL_NAMES, TEXTS, max_size=4))
    block = ",".join(f'{key}="{escape(value)}"' for key, value in labels.items())
    braces = f"{{{block}}}" if labels else ""
    stamp = draw(st.just("") | stamps)
    return f"{draw(NAMES)}{braces}{draw(blanks)}{draw(NUMBERS)}{draw(blanks) + stamp if stamp else ''}"


def read_by_oracle(oracle: object, body: str) -> list[tuple[Series, str, float]]:
    return sorted(
        (
            (Series.of(sample.name, sample.labels), repr(float(sample.value)), float(sample.timestamp or NOW))
            for family in oracle(body)  # type: ignore[operator]
            for sample in family.samples
        ),
        key=lambda sample: (sample[0].labels, sample[1], sample[2]),
    )


def read(body: str, openmetrics: bool) -> list[tuple[Series, str, float]]:
    parser = Parser()
    first = parser.parse(body.encode(), NOW, openmetrics)
    again = parser.parse(body.encode(), NOW, openmetrics)
    assert first.problems == []
    assert [point[0] for point in again.points] == [point[0] for point in first.points]
    return sorted(((s, repr(v), t) for s, v, t in first.points), key=lambda p: (p[0].labels, p[1], p[2]))


@given(st.lists(lines(BLANKS, st.integers(1, int(NOW * 1000)).map(str)), max_size=5))
def test_text_means_what_the_oracle_says(drawn: list[str]) -> None:
    body = "# TYPE zzz gauge\n" + "".join(f"{line}\n" for line in drawn)

    assert read(body, openmetrics=False) == read_by_oracle(text_oracle, body)


@given(
    st.lists(
        lines(st.just(" "), st.integers(1, int(NOW)).map(lambda s: f"{s}.5")),
        max_size=5,
        unique_by=lambda line: line.partition("{")[0].partition(" ")[0],  # of two of one name the oracle drops one
    )
)
def test_openmetrics_means_what_the_oracle_says(drawn: list[str]) -> None:
    body = "".join(f"{line}\n" for line in drawn) + "# EOF\n"
    try:
        expected = read_by_oracle(openmetrics_oracle, body)
    except ValueError:  # stricter: it refuses names that repeat, clash or interleave
        return

    assert read(body, openmetrics=True) == expected


@given(st.binary(max_size=200) | st.text('a{}="\\,1 \t\n#', max_size=60).map(str.encode), st.booleans())
def test_any_bytes_are_read_or_told_of(body: bytes, openmetrics: bool) -> None:
    parser = Parser()
    first, second = parser.parse(body, NOW, openmetrics), parser.parse(body, NOW, openmetrics)

    assert repr(first) == repr(second)
    for series, _, at in first.points:
        assert series.name
        assert list(series.labels) == sorted(set(series.labels))
        assert 0 <= at <= NOW + 600


@given(st.lists(lines(BLANKS, st.integers(1, int(NOW * 1000)).map(str)), max_size=20), st.integers(1, 7))
def test_slices_add_up_to_the_whole(drawn: list[str], size: int) -> None:
    body = "".join(f"{line}\n" for line in [*drawn, "x{ 1", "y z"]).encode()

    whole = Parser().parse(body, NOW)
    slices = list(Parser().parse_chunks(body, NOW, lines_per_slice=size))

    assert repr([point for part in slices for point in part.points]) == repr(whole.points)
    assert [sentence for part in slices for sentence in part.problems] == whole.problems
    assert all(len(part.points) <= size for part in slices)


def test_a_slice_is_bounded_in_bytes_too() -> None:
    """500 lines of 16 kB with 1,900 escapes each took 0.2 s of the event loop."""
    line = b'a{b="' + b"\\n" * 1900 + b'"} 1\n'
    slices = list(Parser().parse_chunks(line * 500, NOW))
    assert max(len(part.points) for part in slices) <= SLICE_BYTES // len(line) + 1
    assert sum(len(part.points) for part in slices) == 500


# -- rubbish in --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("a", "must end in a number"),
        ("a x", "must end in a number"),
        ("a 1_000", "must end in a number"),
        ("a 0x1p3", "must end in a number"),
        ("a 1 2 3", "must end in a number"),
        ("a 1 1.5", "must end in a number"),
        ("a 1 1699999999500_", "must end in a number"),
        ("a 1 -5", "lies before 1970"),
        ("a 1 1700000601000", "over 600 s ahead"),
        (f"a 1 {'9' * 400}", "must end in a number"),
        ("1a 1", "not a metric's name"),
        ("a} 1", "not a metric's name"),
        ("{} 1", "the metric has no name"),
        ('{""} 1', "the metric has no name"),
        ('{b="c"} 1', "the metric has no name"),
        ('a{b="c"', "must follow"),
        ('a{b="c} 1', "must follow"),
        ('a{b=c} 1', "must follow"),
        ("a{b} 1", "has no value"),
        ('a{"b"} 1', "has no value"),
        ('a{b="c" d="e"} 1', "must follow"),
        ('a{b="c"}} 1', "must follow"),
        ('a{,b="c"} 1', "must follow"),
        ('a{b="c",b="d"} 1', "'b' is there twice"),
        ('a{__name__="c"} 1', "'__name__' is there twice"),
        ('a{""="c"} 1', "a label has no name"),
        ('a{1b="c"} 1', "must follow"),
        (f'a{{{"x" * 513}="c"}} 1', "at most 512 characters in a name"),
        (f'a{{b="{"x" * 4097}"}} 1', "4096 in a value"),
        ("a{" + ",".join(f'l{i}="v"' for i in range(65)) + "} 1", "more than 64 labels"),
        (f'a{{b="{"x" * 20_000}"}} 1', "bytes; at most 16384 are read"),
        ("# TYPE a", "TYPE line must have"),
    ],
)  # fmt: skip
def test_a_bad_line_is_told_with_its_number_and_the_others_are_kept(line: str, reason: str) -> None:
    parser = Parser()
    for _ in range(2):  # the second time from the cache
        parsed = parser.parse(f"x 1\n{line}\ny 2\n".encode(), NOW)
        assert [point[0].name for point in parsed.points] == ["x", "y"]
        (sentence,) = parsed.problems
        assert sentence.startswith("line 2: ")
        assert reason in sentence
        assert len(sentence) < 300


def test_what_is_no_utf8_is_told() -> None:
    assert "is not UTF-8" in problem(b'a{b="\xff"} 1')


def test_a_reading_that_was_given_up_leaves_nothing_to_the_next() -> None:
    parser = Parser()
    next(parser.parse_chunks(b"bad\n" * 10, NOW, lines_per_slice=5))

    assert parser.parse(b"a 1\n", NOW).problems == []


def test_problems_are_bounded() -> None:
    parsed = Parser().parse(b"a\n" * 1000, NOW)

    assert len(parsed.problems) == 11
    assert parsed.problems[-1] == "and 990 more"


def test_a_body_is_bounded_in_bytes_lines_samples_and_types() -> None:
    limits = Limits(body_bytes=1000, lines=50, samples=20, kinds=2)
    parser = Parser(limits=limits)

    assert problem("a 1\n" * 500, limits=limits) == "the body has 2000 bytes; at most 1000 are read"
    assert problem("\n" * 60, limits=limits) == "line 60: more than 50 lines; the rest is left out"
    many = parser.parse(b"a 1\n" * 60, NOW)
    assert len(many.points) == 20
    assert many.problems == ["line 60: more than 20 samples; the rest is left out"]
    assert len(parser.parse(b"".join(b"# TYPE a%d gauge\n" % i for i in range(9)), NOW).kinds) == 2


def test_a_label_bomb_does_not_fill_the_memory_of_the_parser() -> None:
    parser = Parser(cache_lines=100, limits=Limits(label=LabelLimits(labels=8)))
    for scrape in range(20):
        body = "".join(f'a{{i="{scrape}-{i}",pad="{"x" * 900}"}} 1\n' for i in range(200))
        parsed = parser.parse(body.encode(), NOW)
        assert (len(parsed.points), parsed.problems) == (200, [])

    entries = parser._cache.entries
    assert len(entries) <= 100
    assert parser._cache.weight <= 100 * 640


def test_lines_of_many_short_labels_are_remembered_by_what_their_series_take() -> None:
    """Of 64 labels one is some 8.2 kB: 100 lines of 640 bytes on average are 7 such."""
    parser = Parser(cache_lines=100)
    labels = ",".join(f'l{place}="1"' for place in range(64))
    parser.parse("".join(f"a{number}{{{labels}}} 1\n" for number in range(100)).encode(), NOW)
    assert len(parser._cache.entries) == 7
    assert parser._cache.weight <= 100 * 640


def test_what_all_targets_remember_is_bounded_too_and_one_namespace_has_half() -> None:
    """A tenant may run many pods: 20 of 5 lines of some 680 bytes each would be 68,000."""
    allowance = Allowance(20_000)
    body = "".join(f'a{{i="{i}"}} 1\n' for i in range(5)).encode()
    parsers = [Parser({"namespace": "hostile", "pod": str(i)}, allowance=allowance) for i in range(20)]
    for parser in parsers:
        assert len(parser.parse(body, NOW).points) == 5
    assert 8_000 < allowance.weight <= 10_000
    other = Parser({"namespace": "shop", "pod": "web"}, allowance=allowance)
    other.parse(body, NOW)
    assert len(other._cache.entries) == 5
    for parser in parsers:
        parser.close()
    assert allowance.weight == other._cache.weight


def test_lines_of_series_that_were_refused_bring_nothing_and_cost_little_until_they_are_asked_for_again() -> None:
    allowance = Allowance()
    parser = Parser({"namespace": "shop", "pod": "web"}, allowance=allowance)
    body = b'a{i="1"} 1\na{i="2"} 2\n'

    def read(now: float, refuse: Callable[[Series], bool]) -> tuple[list[float], int]:
        values, left_out = [], 0
        for part in parser.parse_chunks(body, now):
            values += [value for _, value, _ in part.points]
            left_out += part.left_out
            parser.leave_out([series for series, _, _ in part.points if refuse(series)])
        return values, left_out

    assert read(NOW, lambda _: False) == ([1, 2], 0)
    whole = allowance.weight
    assert read(NOW + ASK_AGAIN_S + 1, lambda series: ("i", "2") in series.labels) == ([1, 2], 0), "not new: it is kept"
    parser.close()
    assert allowance.weight == 0

    parser = Parser({"namespace": "shop", "pod": "web"}, allowance=allowance)
    assert read(NOW, lambda series: ("i", "2") in series.labels) == ([1, 2], 0)
    assert allowance.weight < whole
    assert read(NOW + ASK_AGAIN_S - 1, lambda _: False) == ([1], 1)
    assert read(NOW + ASK_AGAIN_S, lambda _: False) == ([1, 2], 0)
    assert allowance.weight == whole
    parser.close()
    assert allowance.weight == 0


@given(st.lists(st.lists(st.tuples(st.integers(0, 30), st.booleans()), max_size=40), max_size=6), st.integers(1, 20))
def test_whatever_is_refused_the_memory_that_is_counted_is_given_back(
    pages: list[list[tuple[int, bool]]], lines: int
) -> None:
    allowance = Allowance(6_000)
    parser = Parser({"namespace": "shop"}, lines, allowance=allowance)
    for number, page in enumerate(pages):
        refused = {f"a{name}" for name, is_refused in page if is_refused}
        body = "".join(f"a{name} 1\n" for name, _ in page).encode()
        for part in parser.parse_chunks(body, NOW + 20 * number, lines_per_slice=7):
            parser.leave_out([series for series, _, _ in part.points if series.name in refused])
        assert 0 <= parser._cache.weight == allowance.weight <= 6_000
    parser.close()
    assert allowance.weight == 0


def test_the_shapes_that_a_target_has_are_bounded_in_bytes() -> None:
    """1,000 names of labels of some 500 characters: 600 + 3 x 180 + 4 x 510 bytes by estimate, 330 are a MiB."""
    parser = Parser()
    for number in range(1000):
        label = f"{'n' * 500}{number}"
        page = f'a{{pod="a",{label}="1"}} 1\na{{pod="b",{label}="1"}} 1\n'
        assert len(parser.parse(page.encode(), NOW).points) == 2
    assert 300 < len(parser._reader._shapes) < 400


def test_a_shape_is_remembered_once_a_second_series_has_it() -> None:
    parser = Parser()
    parser.parse(b'a{path="/"} 1\nb{path="/"} 1\n', NOW)
    assert not parser._reader._shapes
    parser.parse(b'a{path="/x"} 1\n', NOW)
    assert len(parser._reader._shapes) == 1


def test_layouts_that_one_series_each_had_are_forgotten_in_the_end() -> None:
    parser = Parser()
    parser.parse("".join(f"metric_{number} 1\n" for number in range(1200)).encode(), NOW)
    assert len(parser._reader._seen_once) == 200  # 500 and 500 were forgotten
    assert not parser._reader._shapes


def test_series_of_a_target_share_its_labels_in_memory() -> None:
    """Read slowly (the first), read while its shape is learnt (the second), or by its shape (the others)."""
    page = "".join(f'a{{path="{number}"}} 1\n' for number in range(4)) + 'b{pod="its own"} 1\n'
    points = Parser({"pod": "web", "namespace": "shop"}).parse(page.encode(), NOW).points
    pairs = [{pair[0]: pair for pair in series.labels} for series, _, _ in points]
    assert all(by_name["namespace"] is pairs[0]["namespace"] for by_name in pairs)
    assert all(by_name["pod"] is pairs[0]["pod"] for by_name in pairs)
    assert pairs[2]["__name__"] is pairs[3]["__name__"]
    assert pairs[4]["exported_pod"] == ("exported_pod", "its own")


def test_series_that_went_away_make_room_for_those_that_came() -> None:
    parser = Parser(cache_lines=100)
    old = "".join(f'a{{pod="old-{i}"}} 1\n' for i in range(100)).encode()
    new = "".join(f'a{{pod="new-{i}"}} 1\n' for i in range(100)).encode()
    for body in (old, new, new):
        parser.parse(body, NOW)

    first, second = parser.parse(new, NOW), parser.parse(new, NOW)

    assert all(one[0] is other[0] for one, other in zip(first.points, second.points, strict=True))


def test_of_a_body_larger_than_the_cache_a_part_stays_known() -> None:
    parser = Parser(cache_lines=100)
    body = "".join(f'a{{pod="{i}"}} 1\n' for i in range(300)).encode()
    first, second = parser.parse(body, NOW), parser.parse(body, NOW)

    known = [one[0] is other[0] for one, other in zip(first.points, second.points, strict=True)]
    assert known == [True] * 100 + [False] * 200


def test_ten_megabytes_of_rubbish_are_read_in_short_slices() -> None:
    start = time.process_time()
    for body in (b"\0\xff" * 5_000_000, b"{" * 10_000_000, b'a{b="' * 2_000_000, b'a{b="\\"' * 1_400_000 + b"} 1"):
        parsed = Parser().parse(body, NOW)
        assert parsed.points == []
        assert len(parsed.problems) == 1
    assert time.process_time() - start < 20  # a guard against quadratic work, not a measurement


BLANK_LINES = [b" " * 16_000 + b"x", b"\t" * 16_000, b"x" + b" " * 16_000 + b"y", b"x{" + b" " * 16_000]


@pytest.mark.parametrize("line", BLANK_LINES)
def test_no_line_of_blanks_is_read_twice(line: bytes) -> None:
    """16 MB: with time that grows with the square of a line's length this would take minutes."""
    assert Parser().parse((line + b"\n") * 1000, 1.0, openmetrics=True).points == []


def test_a_line_is_measured_before_it_is_looked_at() -> None:
    page = Parser().parse(b" " * 2**20 + b"x\na 1\n# EOF\n", 1.0, openmetrics=True)
    assert len(page.points) == 1
    assert len(page.problems) == 1
    assert page.problems[0].endswith("has 1048578 bytes; at most 16384 are read")


def test_names_of_labels_are_shared_in_a_bounded_room() -> None:
    first = Parser({"pod": "a"}).parse(b'depth{one_label="1",other="2"} 1\n', 0.0).points[0][0]
    second = Parser({"pod": "b"}).parse(b'depth{one_label="3",other="4"} 1\n', 0.0).points[0][0]
    assert all(one[0] is other[0] for one, other in zip(first.labels, second.labels, strict=True))
    for number in range(series_text.MAX_NAMES + 100):
        series_text.intern_name(f"name_{number}")
    assert len(series_text._names) <= series_text.MAX_NAMES
