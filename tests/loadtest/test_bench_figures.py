"""What the comparison with prometheus-adapter counts: audit lines, intervals, CPU, memory, ratios."""

import json
import math
from typing import Any

import pytest

from loadtest.adapter_bench import direct, driven, report, series
from loadtest.adapter_bench.field import Size
from loadtest.adapter_bench.figures import (
    HPA_USER,
    TICKS,
    Event,
    cpu_seconds,
    events,
    intervals,
    metric_requests,
    milliseconds,
    pod_lists,
    quantiles,
    resident_mib,
    total,
)
from loadtest.adapter_bench.meters import Spent

LINE = {
    "user": {"username": HPA_USER},
    "verb": "get",
    "requestURI": "/apis/custom.metrics.k8s.io/v1beta2/namespaces/a/pods/%2A/m?labelSelector=app%3Dweb",
    "objectRef": {"resource": "pods", "namespace": "a", "name": "*", "apiGroup": "custom.metrics.k8s.io"},
    "responseStatus": {"code": 200},
    "requestReceivedTimestamp": "2026-01-02T00:00:01.000000Z",
    "stageTimestamp": "2026-01-02T00:00:01.250000Z",
}


def hpa_request(uri: str, at: float, code: int = 200, ms: float = 10.0, user: str = HPA_USER) -> Event:
    return Event(user, "get", "pods.custom.metrics.k8s.io", "*", uri, at, at + ms / 1e3, code)


def list_request(user: str) -> Event:
    return Event(user, "list", "pods", "", "/api/v1/namespaces/a/pods", 0.0, 0.1, 200)


def test_a_line_of_the_audit_log_is_a_request_with_its_duration() -> None:
    [event] = events([json.dumps(LINE) + "\n"])
    assert (event.user, event.resource, event.name, event.code) == (HPA_USER, "pods.custom.metrics.k8s.io", "*", 200)
    assert milliseconds([event]) == [pytest.approx(250)]
    assert metric_requests([event]) == [event]


def test_a_line_cut_off_in_the_middle_is_left_for_later() -> None:
    text = json.dumps(LINE)
    assert len(list(events([text + "\n", text[:50]]))) == 1


def test_only_the_hpa_controllers_requests_for_metrics_count_as_such() -> None:
    assert metric_requests([hpa_request("a", 0.0, user="someone"), list_request(HPA_USER)]) == []


def test_only_an_adapters_own_lists_of_pods_are_its() -> None:
    assert (
        pod_lists([list_request("a"), list_request("b"), list_request("a"), hpa_request("u", 0.0, user="a")], "a") == 2
    )


def test_intervals_are_between_requests_of_one_hpa_in_order_of_time() -> None:
    requests = [
        hpa_request("a", 30.0),
        hpa_request("b", 16.0),
        hpa_request("a", 0.0),
        hpa_request("a", 15.0),
        hpa_request("c", 1.0),
    ]
    assert intervals(requests) == [15.0, 15.0]  # b and c were looked at once


def test_quantiles_occurred_and_are_unknown_of_nothing() -> None:
    assert quantiles([3.0, 1.0, 2.0], (0.5, 1.0)) == (2.0, 3.0)
    assert all(map(math.isnan, quantiles([])))


def test_a_total_is_over_the_samples_with_these_labels_only() -> None:
    text = (
        "# TYPE http_requests_total counter\n"
        'http_requests_total{handler="/q",code="200"} 3\nhttp_requests_total{handler="/q",code="400"} 2\n'
        'http_requests_total{handler="/s",code="200"} 7\nhttp_requests_total_other{handler="/q"} 9\n'
    )
    assert total(text, "http_requests_total", handler="/q") == 5
    assert total(text, "http_requests_total") == 12
    assert total(text, "absent") == 0


def test_cpu_is_user_and_system_time_whatever_the_program_is_called() -> None:
    before = " ".join(str(number) for number in range(4, 14))  # fields 4 to 13; 14 is utime, 15 stime
    assert cpu_seconds(f"1 (a) b (c) S {before} {3 * TICKS} {TICKS} 0 0") == 4.0


def test_memory_is_in_mib() -> None:
    assert resident_mib("Name:\tx\nVmHWM:\t  4096 kB\nVmRSS:\t  2048 kB\n") == 2.0
    assert resident_mib("Name:\tx\nVmHWM:\t  4096 kB\nVmRSS:\t  2048 kB\n", "VmHWM") == 4.0


@pytest.mark.parametrize(
    ("ours", "peer", "less", "said"),
    [
        (10.0, 40.0, True, "4.00× better"),
        (40.0, 10.0, True, "4.00× WORSE"),
        (40.0, 10.0, False, "4.00× better"),
        (10.0, 25.0, False, "2.50× WORSE"),
        (5.0, 5.0, True, "same"),
        (1.04, 1.0, True, "alike"),  # 3.8 % more
        (0.0, 5.0, True, "ours: none"),
        (5.0, 0.0, True, "peer: none"),
        (1.0, math.nan, True, ""),
        (1.0, 2.0, None, ""),
    ],
)
def test_a_ratio_says_who_is_better(ours: float, peer: float, less: bool | None, said: str) -> None:
    assert report.ratio(ours, peer, less) == said


def test_numbers_keep_three_digits_that_count() -> None:
    assert [report.number(value) for value in (0, 1234.5, 12.345, 0.012345, math.nan)] == [
        *("0", "1234", "12.3", "0.0123", "–")
    ]


def make_spent(requests: list[Event]) -> Spent:
    cpu = {"adapter": 1.0, "prometheus": 2.0, "kube-apiserver": 4.0, "kube-controller-manager": 1.0, "etcd": 0.5}
    return Spent(30.0, cpu, queries=6.0, series=1.0, computation_s=0.02, depth=3.0, busy=0.5, events=requests)


def test_a_window_is_told_per_period_and_per_minute() -> None:
    requests = [
        *(hpa_request(uri, at) for uri in "ab" for at in (0.0, 15.0)),
        hpa_request("c", 1.0, code=500),
        list_request("me"),
    ]
    one = driven.compute_figures(make_spent(requests), "me", rss=50.0, most=60.0)
    assert (one.answered15, one.failed, one.looked_at) == (2.0, 1, 2)  # 4 answers in two periods
    assert (one.interval_p50_s, one.request_p50_ms) == (15.0, pytest.approx(10))
    assert (one.queries15, one.lists15, one.computation_ms) == (3.0, 0.5, 20.0)
    assert (one.adapter_cpu, one.apiserver_cpu) == (2.0, 8.0)  # in half a minute 1 s and 4 s
    assert one.adapter_cpu_ms == 250.0  # 1 s for 4 answers


def test_a_level_is_told_per_request() -> None:
    tally = direct.Tally()
    tally.latencies = [1.0, 2.0, 3.0, 4.0]
    tally.note(200, b"app-1-x app-1-y app-1-z", prefix=b"app-1-", replicas=3)
    tally.note(200, b"app-1-x app-1-y", prefix=b"app-1-", replicas=3)
    tally.note(500, b"", prefix=b"app-1-", replicas=3)
    one = direct.level(
        tally, make_spent([list_request("me")] * 4), concurrency=5, seconds=2.0, client=0.5, user="me", rss=50.0
    )
    assert (one.failed, one.wrong, one.requests, one.per_second) == (1, 1, 4, 2.0)
    assert (one.adapter_cpu_ms, one.queries, one.lists, one.client_share) == (250.0, 1.5, 1.0, 0.25)


def test_the_requests_leave_out_the_deployment_that_warms_up() -> None:
    targets = direct.Targets.of(Size(deployments=3, namespaces=2))
    assert [prefix for _, prefix in targets.paths] == [b"app-0001-", b"app-0002-"]
    assert targets.paths[1][0].startswith("/namespaces/bench-00/pods/*/http_requests_per_second?labelSelector=app%3D")


def test_every_pod_has_its_series_at_a_steady_rate() -> None:
    lines = series.heads([("a", "p1"), ("a", "p2")])
    text = series.body(lines, 12.5).decode()
    assert total(text, "http_requests_total", pod="p1", namespace="a") == 12.5 * series.SERIES
    assert len(lines) == 2 * series.SERIES


def results() -> report.Results:
    tally = direct.Tally()
    tally.latencies = [1.0]
    level = direct.level(tally, make_spent([]), concurrency=5, seconds=1.0, client=0.1, user="me", rss=50.0)
    window = driven.compute_figures(make_spent([]), "me", rss=50.0, most=60.0)
    names = (*report.PEERS, report.OURS)
    return report.Results(dict.fromkeys(names, level), {name: [level] for name in names}, dict.fromkeys(names, window))


def test_figures_come_back_from_json_and_are_told_with_their_conditions() -> None:
    document = report.document(results(), {"machine": "two processors"})
    again, conditions = report.parse(json.loads(json.dumps(document)))
    text = report.figures([again], [conditions])
    assert "- machine: two processors" in text
    assert "| requests/s | 1.00 | 1.00 | 1.00 | same | same |" in text
    assert "| HPA metric computation, mean, ms | 20.0 | 20.0 | 20.0 | same | same |" in text


def test_several_runs_stand_beside_each_other_with_what_differed() -> None:
    runs = [results(), results()]
    text = report.figures(runs, [{"machine": "m", "date": "today"}, {"machine": "m", "date": "tomorrow"}])
    assert "- machine: m\n- date: today / tomorrow\n- repeats: 2 runs" in text
    assert "| requests/s | 1.00 / 1.00 | 1.00 / 1.00 | 1.00 / 1.00 | same / same | same / same |" in text
    assert "| failed | 0 / 0 | 0 / 0 | 0 / 0 |  |  |" in text


def test_the_picture_shows_every_contender() -> None:
    drawn: list[Any] = []
    report.draw(results(), drawn.append)
    [figure] = drawn
    assert len(figure.axes) == 8
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == [*report.PEERS, report.OURS]
