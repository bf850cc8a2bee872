"""Use of containers and nodes from the kubelet's own samples and times."""

import ssl
from pathlib import Path
from typing import cast

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from adapter.metrics.sample import Point
from adapter.metrics.scrape.exposition import Parser
from adapter.metrics.scrape.kubelet import (
    AT_ONCE,
    NAMES,
    KubeletUsage,
    Reading,
    ResourceUsage,
    advance,
    kubelet_target,
    kubelet_tls,
    usage,
)
from adapter.metrics.scrape.target import Target, TargetError
from adapter.metrics.slices import run

T = 1_700_000_000.0
MIB = 2.0**20
OLD = T - 86_400


def container(
    pod: str, name: str, time: float, cpu: float | None, memory: float | None = MIB, start: float = OLD
) -> str:
    labels, stamp = f'{{container="{name}",namespace="shop",pod="{pod}"}}', f"{time * 1000:.0f}"
    lines = [f"container_start_time_seconds{labels} {start} {stamp}"]
    if cpu is not None:
        lines.append(f"container_cpu_usage_seconds_total{labels} {cpu} {stamp}")
    if memory is not None:
        lines.append(f"container_memory_working_set_bytes{labels} {memory} {stamp}")
    return "\n".join(lines) + "\n"


def node(time: float, cpu: float, memory: float = 4 * MIB) -> str:
    stamp = f"{time * 1000:.0f}"
    return f"node_cpu_usage_seconds_total {cpu} {stamp}\nnode_memory_working_set_bytes {memory} {stamp}\n"


def scrape(*lines: str) -> list[Point]:
    parsed = Parser({"node": "n1", "job": "kubelet"}, names=NAMES).parse("".join(lines).encode(), T)
    assert parsed.problems == []
    return parsed.points


def after_scrapes(*scrapes: str) -> KubeletUsage:
    kubelet = KubeletUsage()
    for lines in scrapes:
        kubelet.update(
            "n1", scrape(lines, 'scrape_error 0\npod_cpu_usage_seconds_total{namespace="shop",pod="web"} 1\n')
        )
    return kubelet


# -- two readings ------------------------------------------------------------------------------------------------------


def test_use_is_the_mean_between_two_readings_by_their_own_times() -> None:
    kubelet = after_scrapes(
        container("web", "app", T - 12.5, 100.0) + node(T - 10, 1000.0),
        container("web", "app", T, 105.0, 3 * MIB) + node(T, 1020.0),
    )

    # 5 core-seconds in 12.5 s are 0.4 cores; 20 in 10 s are 2.
    assert kubelet.pods() == {("shop", "web"): {"app": ResourceUsage(0.4, 3 * MIB, T, 12.5)}}
    assert kubelet.nodes() == {"n1": ResourceUsage(2.0, 4 * MIB, T, 10.0)}


def test_one_reading_is_no_use_yet() -> None:
    kubelet = after_scrapes(container("web", "app", T, 100.0) + node(T, 1000.0))

    assert (kubelet.pods(), kubelet.nodes()) == ({}, {})


def test_the_same_reading_scraped_again_changes_nothing() -> None:
    first, second = container("web", "app", T - 10, 100.0), container("web", "app", T, 105.0)

    assert after_scrapes(first, second, second, second).pods() == after_scrapes(first, second).pods() != {}


def test_an_older_reading_is_ignored() -> None:
    first, second = container("web", "app", T - 10, 100.0), container("web", "app", T, 105.0)

    assert (
        after_scrapes(first, second, container("web", "app", T - 5, 103.0)).pods()
        == after_scrapes(first, second).pods()
    )


# -- restarts and fresh containers -------------------------------------------------------------------------------------


def test_after_a_restart_there_is_no_use_until_two_readings_of_the_new_run() -> None:
    run = [container("web", "app", T - 30, 100.0), container("web", "app", T - 15, 101.0)]
    restarted = container("web", "app", T, 200.0, start=T - 5)  # more CPU than before: only the start tells
    later = container("web", "app", T + 15, 203.0, start=T - 5)

    assert after_scrapes(*run).pods() != {}
    assert after_scrapes(*run, restarted).pods() == {}
    assert after_scrapes(*run, restarted, later).pods() == {
        ("shop", "web"): {"app": ResourceUsage(0.2, MIB, T + 15, 15.0)}
    }


def test_a_counter_that_falls_is_a_restart_even_where_the_start_is_not_known() -> None:
    before, last = (None, Reading(T - 15, 100.0, MIB)), Reading(T, 1.0, MIB)

    assert advance(before, last) == (None, last)


def test_a_start_that_is_not_told_once_or_moves_a_little_is_no_restart() -> None:
    readings = [Reading(T - 30, 1.0, MIB, OLD), Reading(T - 20, 2.0, MIB), Reading(T - 10, 3.0, MIB, OLD + 0.5)]
    pair = None
    for reading in readings:
        pair = advance(pair, reading)

    assert pair == (readings[1], readings[2])


@pytest.mark.parametrize(("age", "cores"), [(9.9, None), (10.0, 0.5), (59.0, 5 / 59), (60.0, None)])
def test_a_fresh_container_has_its_start_as_first_reading(age: float, cores: float | None) -> None:
    kubelet = after_scrapes(container("web", "app", T, 5.0, start=T - age))

    usage = kubelet.pods().get(("shop", "web"))
    assert usage == (
        None
        if cores is None
        else {"app": ResourceUsage(cast(float, pytest.approx(cores)), MIB, T, cast(float, pytest.approx(age)))}
    )


def test_a_fresh_run_after_a_restart_counts_from_its_start_too() -> None:
    kubelet = after_scrapes(container("web", "app", T - 30, 100.0), container("web", "app", T, 6.0, start=T - 20))

    assert kubelet.pods()["shop", "web"]["app"] == ResourceUsage(0.3, MIB, T, 20.0)


# -- whole pods --------------------------------------------------------------------------------------------------------


def test_a_pod_counts_only_when_all_its_running_containers_do() -> None:
    app = [container("web", "app", T - 10, 100.0), container("web", "app", T, 105.0)]
    sidecar = [container("web", "side", T, 7.0)]

    assert after_scrapes(app[0], app[1] + sidecar[0]).pods() == {}
    assert after_scrapes(app[0], app[1] + container("web", "side", T, None)).pods() == {}
    assert after_scrapes(app[0], app[1] + container("web", "side", T, 7.0, None)).pods() == {}
    assert set(after_scrapes(app[0], app[1] + container("web", "init", T, 7.0, 0.0)).pods()["shop", "web"]) == {"app"}
    later = container("web", "app", T + 10, 110.0) + container("web", "side", T + 10, 8.0)
    assert set(after_scrapes(app[0], app[1] + sidecar[0], later).pods()["shop", "web"]) == {"app", "side"}


def test_what_is_gone_is_forgotten() -> None:
    kubelet = after_scrapes(
        container("web", "app", T - 10, 1.0) + container("db", "pg", T - 10, 1.0),
        container("web", "app", T, 2.0) + container("db", "pg", T, 2.0),
    )
    assert set(kubelet.pods()) == {("shop", "web"), ("shop", "db")}

    kubelet.update("n1", scrape(container("web", "app", T + 10, 3.0)))
    assert set(kubelet.pods()) == {("shop", "web")}
    assert set(kubelet._readings["n1"]) == {("shop", "web", "app")}
    assert len(kubelet._series["n1"]) == 3

    kubelet.keep(["n1"])
    kubelet.expire(T + 10)
    assert kubelet.pods() != {}
    kubelet.expire(T + 11)
    assert (kubelet.pods(), kubelet._readings, kubelet._series, kubelet._homes) == ({}, {}, {}, {})
    assert kubelet._residents == {}


def test_a_pod_that_moved_is_not_forgotten_with_its_old_node() -> None:
    kubelet = after_scrapes(container("db-0", "pg", T - 10, 1.0), container("db-0", "pg", T, 2.0))
    for time, cpu in ((T, 0.0), (T + 10, 5.0)):
        kubelet.update("n2", scrape(container("db-0", "pg", time, cpu)))

    kubelet.forget("n1")
    assert kubelet.pods()["shop", "db-0"]["pg"].cpu == 0.5
    kubelet.keep([])
    assert kubelet.pods() == {}


def test_rubbish_values_and_strange_series_are_left_out() -> None:
    strange = (
        'container_cpu_usage_seconds_total 1\ncontainer_cpu_usage_seconds_total{pod="web"} 1\n'
        'container_cpu_usage_seconds_total{container="app",namespace="shop",pod="web"} NaN\n'
        'container_memory_working_set_bytes{container="app",namespace="shop",pod="web"} +Inf\n'
    )

    kubelet = after_scrapes(strange, strange)

    assert (kubelet.pods(), kubelet.nodes()) == ({}, {})


READINGS = st.lists(
    st.tuples(st.integers(-5, 20), st.integers(0, 100), st.sampled_from([0, 0, 0, 1])), min_size=1, max_size=30
)


@given(READINGS)
def test_use_is_never_negative_and_its_window_never_spans_a_restart(steps: list[tuple[int, int, int]]) -> None:
    readings, time, start = None, T, OLD
    for step, cpu, restart in steps:
        time += step
        start = time - 5 if restart else start
        readings = advance(readings, Reading(time, float(cpu), MIB, start))
        first, last = readings
        use = usage(readings)
        assert (use is None) == (first is None)
        if use is not None and first is not None:
            assert use.cpu >= 0
            assert use.window > 0
            assert abs(first.start - last.start) <= 1


# -- targets -----------------------------------------------------------------------------------------------------------

ADDRESSES = [("InternalIP", "10.0.0.1"), ("InternalIP", "10.0.0.2"), ("Hostname", "node-1")]


def test_a_kubelet_is_met_at_the_address_of_the_first_wanted_type() -> None:
    assert kubelet_target("n1", ADDRESSES) == Target(
        "kubelet/n1", "https://node-1:10250/metrics/resource", {"node": "n1", "job": "kubelet"}, 15.0, NAMES
    )
    assert (
        kubelet_target("n1", ADDRESSES, address_types=["InternalIP"], port=1).url
        == "https://10.0.0.1:1/metrics/resource"
    )
    assert kubelet_target("n1", [("InternalIP", "fd00::1")]).url == "https://[fd00::1]:10250/metrics/resource"


def test_a_node_without_a_wanted_address_gives_one_sentence() -> None:
    with pytest.raises(TargetError, match="node n1 has no address of the types ExternalIP, ExternalDNS"):
        kubelet_target("n1", ADDRESSES, address_types=["ExternalIP", "ExternalDNS"])


def test_verification_is_given_up_only_where_asked() -> None:
    verified = kubelet_tls(ssl.create_default_context())
    unverified = kubelet_tls(ssl.create_default_context(), insecure=True)

    assert (verified.verify_mode, verified.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert (unverified.verify_mode, unverified.check_hostname) == (ssl.CERT_NONE, False)
    with pytest.raises(OSError, match="No such file"):
        kubelet_tls(ssl.create_default_context(), ca_file="/nowhere.pem")


def test_authorities_of_older_clusters_without_key_identifiers_are_taken() -> None:
    context = ssl.create_default_context()
    context.verify_flags |= ssl.VERIFY_X509_STRICT  # as Python >= 3.13 does by itself
    assert not kubelet_tls(context).verify_flags & ssl.VERIFY_X509_STRICT


def test_a_kubelets_own_authority_is_trusted_beside_the_api_servers(tmp_path: Path) -> None:
    api, kubelets = trustme.CA(), trustme.CA()
    file = tmp_path / "kubelets.pem"
    kubelets.cert_pem.write_to_path(str(file))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    api.configure_trust(context)
    assert len(kubelet_tls(context, ca_file=str(file)).get_ca_certs()) == 2


def test_a_large_page_is_taken_in_slices_and_shown_at_the_end() -> None:
    """20,000 containers of one kubelet held the event loop for 0.4 s at each scrape."""
    kubelet = KubeletUsage()
    text = "".join(
        f'{name}{{container="c",namespace="shop",pod="p{number}"}} {value}\n'
        for number in range(2000)
        for name, value in (("container_cpu_usage_seconds_total", 1), ("container_memory_working_set_bytes", 5))
    )
    kubelet.update("n1", Parser().parse(text.encode(), T).points)
    slices = kubelet.updating("n1", Parser().parse(text.encode(), T + 15).points)
    for _ in range(4000 // AT_ONCE + 2 * 2000 // AT_ONCE):
        next(slices)
        assert not kubelet.pods()
    run(slices)
    assert len(kubelet.pods()) == 2000
