"""OTLP's data points as Prometheus' points: kinds, names, labels, deltas, rubbish."""

import json
import math
from collections.abc import Mapping
from itertools import accumulate
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1 import metrics_pb2 as pb

from adapter.metrics.labels import label_name
from adapter.metrics.otlp.decode import Decoder, from_json, from_protobuf
from adapter.metrics.otlp.distribution import MAX_BUCKETS, Exponential
from adapter.metrics.otlp.measure import OtlpError
from adapter.metrics.otlp.names import metric_name
from adapter.metrics.otlp.remembered import Remembered
from adapter.metrics.otlp.streams import IDLE_S
from adapter.metrics.sample import Series

NOW = 1_700_000_000.0
DELTA, CUMULATIVE = pb.AGGREGATION_TEMPORALITY_DELTA, pb.AGGREGATION_TEMPORALITY_CUMULATIVE
POD = {"k8s.namespace.name": "shop", "k8s.pod.name": "web-1", "service.name": "web"}


def ns(seconds: float) -> int:
    return round(seconds * 1e9)


def anything(value: object) -> AnyValue:
    kinds = {str: "string_value", bool: "bool_value", int: "int_value", float: "double_value", bytes: "bytes_value"}
    return AnyValue(**cast(Any, {kinds[type(value)]: value}))


def attributes(values: Mapping[str, object]) -> list[KeyValue]:
    return [
        KeyValue(key=key, value=value if isinstance(value, AnyValue) else anything(value))
        for key, value in values.items()
    ]


def request(*metrics: pb.Metric, resource: Mapping[str, object] = POD) -> ExportMetricsServiceRequest:
    message = ExportMetricsServiceRequest()
    block = message.resource_metrics.add()
    block.resource.attributes.extend(attributes(resource))
    block.scope_metrics.add().metrics.extend(metrics)
    return message


def number(value: float, *, at: float = NOW, since: float = 0.0, **labels: object) -> pb.NumberDataPoint:
    kind = {"as_int": value} if isinstance(value, int) else {"as_double": value}
    return pb.NumberDataPoint(
        attributes=attributes(labels), time_unix_nano=ns(at), start_time_unix_nano=ns(since), **kind
    )  # fmt: skip


def gauge(name: str, *points: pb.NumberDataPoint, unit: str = "") -> pb.Metric:
    return pb.Metric(name=name, unit=unit, gauge=pb.Gauge(data_points=points))


def counter(name: str, *points: pb.NumberDataPoint, temporality: Any = CUMULATIVE, monotonic: bool = True) -> pb.Metric:
    return pb.Metric(
        name=name, sum=pb.Sum(data_points=points, aggregation_temporality=temporality, is_monotonic=monotonic)
    )


def read(decoder: Decoder, *metrics: pb.Metric, now: float = NOW) -> list[tuple[str, dict[str, str], float, float]]:
    decoded = decoder.decode(request(*metrics), now)
    assert decoded.problems == []
    assert decoded.rejected == 0
    base = {"namespace": "shop", "pod": "web-1", "job": "web"}
    rows = []
    for series, value, at in decoded.points:
        labels = dict(series.labels)
        name = labels.pop("__name__")
        assert base.items() <= labels.items()
        rows.append((name, {k: v for k, v in labels.items() if k not in base}, value, at))
    return rows


def problem(*metrics: pb.Metric) -> str:
    decoded = Decoder().decode(request(*metrics), NOW)
    assert decoded.points == []
    assert decoded.rejected == 1
    (sentence,) = decoded.problems
    return sentence


# -- names and labels --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "unit", "kind", "monotonic", "expected"),
    [
        ("http.server.requests", "", "sum", True, "http_server_requests_total"),
        ("http.server.requests", "{request}", "sum", True, "http_server_requests_total"),
        ("requests_total", "1", "sum", True, "requests_total"),
        ("total.requests", "1", "sum", True, "requests_total"),
        ("total", "", "sum", True, "total"),
        ("queue.size", "1", "sum", False, "queue_size"),
        ("system.memory.utilization", "1", "gauge", False, "system_memory_utilization_ratio"),
        ("http.server.duration", "ms", "histogram", False, "http_server_duration_milliseconds"),
        ("http_server_duration_seconds", "s", "histogram", False, "http_server_duration_seconds"),
        ("network.io", "By", "sum", True, "network_io_bytes_total"),
        ("speed", "By/s", "gauge", False, "speed_bytes_per_second"),
        ("rate", "{req}/min", "gauge", False, "rate_per_minute"),
        ("(lambda).function.executions(#)", "", "gauge", False, "lambda_function_executions"),
        ("5xx", "", "gauge", False, "_5xx"),
        ("a", "foo.bar", "gauge", False, "a_foo_bar"),
        ("...", "s", "gauge", False, ""),
    ],
)
def test_names_follow_the_rules_of_prometheus(name: str, unit: str, kind: str, monotonic: bool, expected: str) -> None:
    assert metric_name(name, unit=unit, kind=kind, monotonic=monotonic) == expected


def test_names_may_go_without_suffixes() -> None:
    assert metric_name("http.requests", unit="ms", kind="sum", monotonic=True, suffixes=False) == "http_requests"


@given(st.text(max_size=20), st.sampled_from(["", "s", "1", "By/s", "{x}"]), st.sampled_from(["gauge", "sum"]))
def test_a_name_is_valid_and_making_it_again_changes_nothing(name: str, unit: str, kind: str) -> None:
    made = metric_name(name, unit=unit, kind=kind, monotonic=kind == "sum")

    assert not made or (made.replace(":", "_").isidentifier() and made.isascii())
    assert metric_name(made, unit=unit, kind=kind, monotonic=kind == "sum").lstrip("_") == made.lstrip("_")


def test_label_names_are_made_valid() -> None:
    assert [label_name(key) for key in ("http.route", "2x", "a-b", "_c")] == ["http_route", "key_2x", "a_b", "_c"]


def test_resource_attributes_become_the_labels_that_rules_use() -> None:
    resource = {
        "k8s.namespace.name": "shop", "k8s.pod.name": "web-1", "k8s.container.name": "app", "k8s.node.name": "n1",
        "service.name": "web", "service.namespace": "team", "service.instance.id": "i-1", "host.name": "dropped",
    }  # fmt: skip

    (point,) = Decoder().decode(request(gauge("a", number(1)), resource=resource), NOW).points

    assert dict(point[0].labels) == {
        "__name__": "a", "namespace": "shop", "pod": "web-1", "container": "app", "node": "n1", "job": "team/web",
        "instance": "i-1",
    }  # fmt: skip


def test_the_resource_wins_over_a_point_that_claims_another_pod() -> None:
    ((_, labels, _, _),) = read(Decoder(), gauge("a", number(1, pod="web-2")))

    assert labels == {"exported_pod": "web-2"}


def test_attributes_of_all_kinds_become_text() -> None:
    nested = AnyValue()
    nested.array_value.values.add().string_value = "x"
    nested.array_value.values.add().int_value = 2
    values = {
        "s": "ü",
        "b": True,
        "i": 7,
        "d": 0.5,
        "e": 5.0,
        "y": b"\x00",
        "n": nested,
        "z": "",
        "a.b": "1",
        "a_b": "2",
    }

    ((_, labels, _, _),) = read(Decoder(), gauge("a", number(1, **cast(Any, values))))

    assert labels == {
        "s": "ü", "b": "true", "i": "7", "d": "0.5", "e": "5", "y": "AA==", "n": '["x",2]', "a_b": "1;2",
    }  # fmt: skip


# -- kinds -------------------------------------------------------------------------------------------------------------


def test_gauges_and_cumulative_sums_are_taken_as_they_are() -> None:
    metrics = (
        gauge("g", number(-1.5, at=NOW - 3), number(math.nan, at=NOW - 2, x="y")),
        counter("c", number(7, at=NOW - 1)),
        counter("u", number(3, at=0), monotonic=False),
    )

    rows = read(Decoder(), *metrics)

    assert repr(rows) == repr(
        [
            ("g", {}, -1.5, NOW - 3),
            ("g", {"x": "y"}, math.nan, NOW - 2),
            ("c_total", {}, 7.0, NOW - 1),
            ("u", {}, 3.0, NOW),
        ]
    )


def test_a_point_without_a_recorded_value_says_nothing() -> None:
    assert read(Decoder(), gauge("g", pb.NumberDataPoint(flags=1, time_unix_nano=ns(NOW)))) == []


def test_an_explicit_histogram_becomes_cumulative_buckets() -> None:
    point = pb.HistogramDataPoint(
        time_unix_nano=ns(NOW), bucket_counts=[1, 2, 3], explicit_bounds=[0.5, 5], count=6, sum=20.5
    )

    rows = read(
        Decoder(),
        pb.Metric(name="h", unit="s", histogram=pb.Histogram(data_points=[point], aggregation_temporality=CUMULATIVE)),
    )

    assert [(name, labels.get("le"), value) for name, labels, value, _ in rows] == [
        ("h_seconds_bucket", "0.5", 1.0),
        ("h_seconds_bucket", "5", 3.0),  # 1 + 2
        ("h_seconds_bucket", "+Inf", 6.0),
        ("h_seconds_sum", None, 20.5),
        ("h_seconds_count", None, 6.0),
    ]


def test_a_histogram_without_buckets_or_sum_still_counts() -> None:
    point = pb.HistogramDataPoint(time_unix_nano=ns(NOW), count=6)

    rows = read(
        Decoder(), pb.Metric(name="h", histogram=pb.Histogram(data_points=[point], aggregation_temporality=CUMULATIVE))
    )

    assert [(name, value) for name, _, value, _ in rows] == [("h_bucket", 6.0), ("h_count", 6.0)]


def test_a_summary_keeps_its_quantiles() -> None:
    quantile = pb.SummaryDataPoint.ValueAtQuantile
    point = pb.SummaryDataPoint(
        time_unix_nano=ns(NOW),
        count=3,
        sum=6.0,
        quantile_values=[quantile(quantile=0.5, value=2), quantile(quantile=1, value=3)],
    )

    rows = read(Decoder(), pb.Metric(name="s", summary=pb.Summary(data_points=[point])))

    assert [(name, labels.get("quantile"), value) for name, labels, value, _ in rows] == [
        ("s", "0.5", 2.0), ("s", "1", 3.0), ("s_sum", None, 6.0), ("s_count", None, 3.0),
    ]  # fmt: skip


def histogram(counts: list[int], bounds: list[float]) -> pb.Metric:
    point = pb.HistogramDataPoint(bucket_counts=counts, explicit_bounds=bounds)
    return pb.Metric(name="h", histogram=pb.Histogram(data_points=[point], aggregation_temporality=CUMULATIVE))


def exponential(**arguments: Any) -> pb.Metric:
    point = pb.ExponentialHistogramDataPoint(time_unix_nano=ns(NOW), **arguments)
    return pb.Metric(
        name="e", exponential_histogram=pb.ExponentialHistogram(data_points=[point], aggregation_temporality=CUMULATIVE)
    )


def test_an_exponential_histogram_becomes_explicit_buckets() -> None:
    side = pb.ExponentialHistogramDataPoint.Buckets
    metric = exponential(
        scale=0, count=11, sum=9.0, zero_count=2, positive=side(offset=-1, bucket_counts=[1, 0, 3]),
        negative=side(offset=0, bucket_counts=[4, 1]),
    )  # fmt: skip

    rows = read(Decoder(), metric)

    # Base 2: negative index 1 is [-4,-2), 0 is [-2,-1); zero; positive -1 is (0.5,1], 0 is (1,2], 1 is (2,4].
    assert [(labels.get("le"), value) for name, labels, value, _ in rows if name == "e_bucket"] == [
        ("-2", 1.0), ("-1", 5.0), ("0", 7.0), ("1", 8.0), ("2", 8.0), ("4", 11.0), ("+Inf", 11.0),
    ]  # fmt: skip


def test_a_fine_exponential_histogram_is_brought_to_the_grid() -> None:
    side = pb.ExponentialHistogramDataPoint.Buckets
    rows = read(Decoder(), exponential(scale=4, count=16, positive=side(offset=0, bucket_counts=[1] * 16)))

    # Scale 4 has 16 buckets from 1 to 2; at scale 2 each four become one, with bounds 2^(1/4), 2^(2/4), 2^(3/4), 2.
    buckets = [(float(labels["le"]), value) for name, labels, value, _ in rows if name == "e_bucket"]
    assert buckets == [(2**0.25, 4), (2**0.5, 8), (2**0.75, 12), (2, 16), (math.inf, 16)]


@given(
    scale=st.integers(-4, 12),
    positive=st.dictionaries(st.floats(-1000, 999), st.integers(1, 9), max_size=12),
    negative=st.dictionaries(st.floats(-1000, 999), st.integers(1, 9), max_size=4),
    zero=st.integers(0, 5),
)
def test_every_bound_of_an_exponential_histogram_counts_exactly_what_lies_below(
    scale: int, positive: dict[float, int], negative: dict[float, int], zero: int
) -> None:
    def by_index(powers: dict[float, int]) -> dict[int, float]:
        return {int(power * 2.0**scale // 1): float(count) for power, count in powers.items()}

    def middle(index: int) -> float:
        return math.pow(2.0, max(min((index + 0.5) / 2.0**scale, 1023.9), -1073.0))

    up, down = by_index(positive), by_index(negative)
    seen = [(middle(index), count) for index, count in up.items()]
    seen += [(-middle(index), count) for index, count in down.items()] + [(0.0, float(zero))]
    value = Exponential(
        scale=scale,
        positive=up,
        negative=down,
        zero=zero,
        zero_threshold=0.0,
        count=sum(count for _, count in seen),
        sum=None,
    )

    buckets = value.buckets()

    assert list(buckets.bounds) == sorted(set(buckets.bounds))
    assert len(buckets.bounds) <= MAX_BUCKETS + 1
    for bound, total in zip(buckets.bounds, accumulate(buckets.counts), strict=False):
        assert total == sum(count for observed, count in seen if observed <= bound)


@given(
    st.lists(
        st.dictionaries(st.integers(-500, 500), st.integers(1, 9), min_size=1, max_size=6), min_size=1, max_size=5
    ),
    st.data(),
)
def test_adding_exponential_histograms_of_any_scale_adds_their_counts(
    drawn: list[dict[int, int]], data: st.DataObject
) -> None:
    values = [
        Exponential(
            scale=data.draw(st.integers(-3, 8)),
            positive=positive,
            negative={},
            zero=1,
            zero_threshold=0.0,
            count=sum(positive.values()) + 1,
            sum=1.0,
        )
        for positive in drawn
    ]
    total = values[0]
    for value in values[1:]:
        total = total.plus(value)

    assert sum(total.positive.values()) == sum(sum(positive.values()) for positive in drawn)
    assert (total.zero, total.sum) == (len(drawn), float(len(drawn)))
    assert total.scale <= min(value.scale for value in values)


# -- deltas and restarts -----------------------------------------------------------------------------------------------


def test_deltas_become_a_running_total_that_was_zero_at_their_first_start() -> None:
    decoder = Decoder()
    steps = [(NOW - 20, NOW - 10, 5), (NOW - 10, NOW, 3), (NOW + 5, NOW + 15, 2)]  # the last after a gap

    rows = [
        [
            (name, value, at)
            for name, _, value, at in read(decoder, counter("c", number(value, since=since, at=at), temporality=DELTA))
        ]
        for since, at, value in steps
    ]

    assert rows == [
        [("c_total", 0.0, NOW - 20), ("c_total", 5.0, NOW - 10)],
        [("c_total", 8.0, NOW)],
        [("c_total", 10.0, NOW + 15)],
    ]


@pytest.mark.parametrize(
    ("since", "at", "reason"),
    [
        (NOW - 10, NOW, "counted already"),
        (NOW - 30, NOW - 20, "comes late"),
        (NOW - 5, NOW + 5, "overlaps the one before by 5.000 s"),
    ],
)
def test_a_delta_is_never_counted_twice(since: float, at: float, reason: str) -> None:
    decoder = Decoder()
    read(decoder, counter("c", number(5, since=NOW - 10, at=NOW), temporality=DELTA))

    decoded = decoder.decode(request(counter("c", number(7, since=since, at=at), temporality=DELTA)), NOW)

    assert (decoded.points, decoded.rejected) == ([], 1)
    assert reason in decoded.problems[0]
    ((_, _, value, _),) = read(decoder, counter("c", number(1, since=NOW, at=NOW + 10), temporality=DELTA))
    assert value == 6.0  # 5 + 1


def test_delta_histograms_add_up_bucket_by_bucket() -> None:
    decoder = Decoder()

    def delta(since: float, at: float, counts: list[int], bounds: list[float]) -> pb.Metric:
        point = pb.HistogramDataPoint(
            start_time_unix_nano=ns(since), time_unix_nano=ns(at), bucket_counts=counts, explicit_bounds=bounds,
            count=sum(counts), sum=1.0,
        )  # fmt: skip
        return pb.Metric(name="h", histogram=pb.Histogram(data_points=[point], aggregation_temporality=DELTA))

    first = read(decoder, delta(NOW - 10, NOW, [1, 2], [1]))
    second = read(decoder, delta(NOW, NOW + 10, [3, 0], [1]))
    third = read(decoder, delta(NOW + 10, NOW + 20, [1, 1], [2]))

    assert [value for *_, value, at in first if at == NOW - 10] == [0.0] * 4
    assert [value for *_, value, at in first if at == NOW] == [1.0, 3.0, 1.0, 3.0]
    assert [value for *_, value, _ in second] == [4.0, 6.0, 2.0, 6.0]
    assert [(labels.get("le"), value) for _, labels, value, _ in third][:2] == [("2", 1.0), ("+Inf", 2.0)]  # new bounds


def test_a_cumulative_stream_that_starts_anew_was_zero_then() -> None:
    decoder = Decoder()
    read(decoder, counter("c", number(100, since=NOW - 100, at=NOW - 20)))

    same = read(decoder, counter("c", number(110, since=NOW - 100, at=NOW - 10)))
    anew = read(decoder, counter("c", number(120, since=NOW - 5, at=NOW)))
    unknown = read(decoder, counter("c", number(130, since=NOW + 10, at=NOW + 10)))

    assert [row[2:] for row in same] == [(110.0, NOW - 10)]
    assert [row[2:] for row in anew] == [(0.0, NOW - 5), (120.0, NOW)]
    assert [row[2:] for row in unknown] == [(130.0, NOW + 10)]  # a start at the point's own time means: not known


def test_streams_are_bounded_and_idle_ones_forgotten() -> None:
    decoder = Decoder(limit=2)
    points = [number(1, since=NOW - 1, at=NOW, i=i) for i in range(3)]
    decoded = decoder.decode(request(counter("c", *points, temporality=DELTA)), NOW)
    later = NOW + IDLE_S + 1
    again = decoder.decode(
        request(counter("c", *[number(1, since=later - 1, at=later, i=i) for i in (2, 3)], temporality=DELTA)), later
    )

    assert decoded.rejected == 1
    assert "there are 2 streams already" in decoded.problems[0]
    assert again.rejected == 0
    assert len(decoder._streams) == 2


def test_what_a_decoder_remembers_of_series_is_bounded() -> None:
    decoder = Decoder(limit=10)
    for start in range(0, 100, 25):
        points = [number(1, i=str(start + i)) for i in range(25)] + [number(1, x="v" * 2000, i=str(start))]
        assert len(read(decoder, gauge("a", *points))) == 26

    assert len(decoder._remembered) <= 10
    assert all(len(str(key)) < 2000 for key in decoder._remembered._series)


def of_pod(pod: str, number: int) -> Series:
    return Series.of("a", {"namespace": "shop", "pod": pod, f"attribute_{number}": "v" * 100})


def test_who_pushes_new_attributes_each_time_is_remembered_within_a_share_and_drives_nobody_out() -> None:
    """One weighs 256 + 72 + 4 labels x 112 + about 170 characters of texts: a quarter of 40,000 has room for 10."""
    remembered = Remembered(limit=1000, most=40_000)
    steady = of_pod("steady", 0)
    remembered.begin(NOW)
    remembered.put("steady", steady)
    for number in range(100):
        remembered.put(number, of_pod("new", number), 1)
        assert remembered.get("steady") is steady
        assert remembered.weight <= 40_000 / 4 + 1000
    assert 9 <= len(remembered) - 1 <= 11
    remembered.begin(NOW + 59)
    assert len(remembered) > 1
    remembered.begin(NOW + 119)  # what was new then may be old by now
    assert (len(remembered), remembered.weight) == (0, 0)


def test_where_all_find_room_nothing_is_forgotten() -> None:
    remembered = Remembered(limit=1000)
    for minute in range(100):
        remembered.begin(NOW + 60 * minute)
        for number in range(100):
            if remembered.get(number) is None:
                assert minute == 0
                remembered.put(number, of_pod("web", number), 1)


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(0, 1000)), min_size=1, max_size=30), st.randoms())
def test_whatever_the_order_the_total_is_the_sum_of_what_was_taken(steps: list[tuple[int, int]], random: Any) -> None:
    decoder, at, sent = Decoder(), NOW - 10_000, []
    for length, value in steps:
        sent.append((at, at + length, value))
        at += length
    random.shuffle(sent)
    taken, last = 0, 0.0
    for since, until, value in sent:
        decoded = decoder.decode(request(counter("c", number(value, since=since, at=until), temporality=DELTA)), NOW)
        if decoded.rejected:
            continue
        taken += value
        assert decoded.points[-1][1] == taken
        assert until > last
        last = until


# -- rubbish in --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metric", "reason"),
    [
        (gauge("a", pb.NumberDataPoint(time_unix_nano=ns(NOW))), "it has no value"),
        (gauge("a", number(1, at=NOW + 700)), "lies over 600 s ahead"),
        (gauge("...", number(1)), "its name must have"),
        (gauge("a" * 600, number(1)), "its name must have"),
        (gauge("a", number(1, **cast(Any, {f"l{i}": "v" for i in range(65)}))), "at most 64 are read"),
        (gauge("a", number(1, x="v" * 5000)), "'x' is too long"),
        (gauge("a", number(1, x="v" * 3000, y="v" * 3000)), "its labels have 6029 characters; at most 4096 are read"),
        (counter("a", number(1), temporality=0), "temporality must be delta or cumulative"),
        (counter("a", number(-1), temporality=DELTA), "must not be negative"),
        (counter("a", number(math.nan), temporality=DELTA), "must be finite"),
        (exponential(scale=21), "its scale is 21"),
        (exponential(zero_threshold=math.nan), "zero threshold"),
        (
            exponential(positive=pb.ExponentialHistogramDataPoint.Buckets(bucket_counts=[1] * 600)),
            "600 buckets or quantiles; at most 512",
        ),
        (histogram([1], [1]), "must be one more"),
        (histogram([1, 1, 1], [2, 2]), "bounds must increase"),
    ],
)  # fmt: skip
def test_a_bad_data_point_is_rejected_with_its_metric(metric: pb.Metric, reason: str) -> None:
    sentence = problem(metric)

    assert sentence.startswith("metric '")
    assert reason in sentence
    assert len(sentence) < 300


def test_the_extreme_exponential_histogram_is_bounded() -> None:
    side = pb.ExponentialHistogramDataPoint.Buckets
    metric = exponential(
        scale=-10,
        count=4,
        positive=side(offset=2**31 - 3, bucket_counts=[1, 1]),
        negative=side(offset=-(2**31), bucket_counts=[1, 1]),
    )

    rows = read(Decoder(), metric)

    assert len(rows) < 10
    assert all(not math.isnan(value) for *_, value, _ in rows)


def test_good_points_beside_bad_ones_are_kept_and_the_slices_add_up() -> None:
    points = [number(1, i=i) if i % 3 else pb.NumberDataPoint() for i in range(90)]
    parts = list(Decoder().decode_chunks(request(gauge("a", *points)), NOW, points_per_slice=10))

    assert sum(len(part.points) for part in parts) == 60
    assert max(len(part.points) for part in parts) <= 10
    assert sum(part.rejected for part in parts) == 30
    assert [part.problems for part in parts[:-1]] == [[]] * (len(parts) - 1)
    assert len(parts[-1].problems) == 11


@given(st.binary(max_size=300))
def test_any_bytes_are_decoded_or_refused(body: bytes) -> None:
    for reader in (from_protobuf, from_json):
        try:
            message = reader(body)
        except OtlpError as error:
            assert len(str(error)) < 400  # noqa: PT017
        else:
            Decoder().decode(message, NOW)


def test_json_says_the_same_as_protobuf() -> None:
    document = {
        "resourceMetrics": [
            {
                "resource": {"attributes": [{"key": "k8s.pod.name", "value": {"stringValue": "web-1"}}]},
                "scopeMetrics": [
                    {
                        "scope": {"name": "x"},
                        "metrics": [
                            {
                                "name": "c",
                                "unknownField": 1,
                                "sum": {
                                    "aggregationTemporality": 2,
                                    "isMonotonic": True,
                                    "dataPoints": [
                                        {
                                            "asInt": "7",
                                            "timeUnixNano": str(ns(NOW)),
                                            "exemplars": [
                                                {
                                                    "traceId": "5b8efff798038103d269b633813fc60c",
                                                    "spanId": "eee19b7ec3c1b174x",
                                                }
                                            ],
                                        }
                                    ],
                                },
                            },
                            {"name": "g", "gauge": {"dataPoints": [{"asDouble": "NaN", "timeUnixNano": str(ns(NOW))}]}},
                        ],
                    }
                ],
            }
        ]
    }

    message = from_json(json.dumps(document).encode())

    expected = request(counter("c", number(7)), gauge("g", number(math.nan)), resource={"k8s.pod.name": "web-1"})
    expected.resource_metrics[0].scope_metrics[0].scope.name = "x"
    assert repr(Decoder().decode(message, NOW)) == repr(Decoder().decode(expected, NOW))
    assert from_protobuf(message.SerializeToString()) == message


@pytest.mark.parametrize(
    "body", [b"[]", b"1", b"{", b"[" * 100_000, b'{"resourceMetrics": {}}', b'{"resourceMetrics": [1]}', b"\xff"]
)
def test_bad_json_is_refused_in_one_sentence(body: bytes) -> None:
    with pytest.raises(OtlpError, match=r"^the body is not an ExportMetricsServiceRequest in JSON: .{1,200}$"):
        from_json(body)
