"""The adapter's command line: the peers' flags in Go's forms."""

import pytest

from adapter.settings import HelpWanted, Settings, SettingsError, parse


def settings(*arguments: str) -> Settings:
    return parse(arguments)[0]


def test_the_charts_command_line_is_understood() -> None:
    given = settings(
        "/adapter",
        "--secure-port=6443",
        "--cert-dir=/tmp/cert",
        "--prometheus-url=http://prometheus.monitoring.svc:9090",
        "--metrics-relist-interval=1m",
        "--v=4",
        "--config=/etc/adapter/config.yaml",
    )
    assert (given.secure_port, given.cert_dir, given.verbosity) == (6443, "/tmp/cert", 4)
    assert given.metrics_relist_interval == 60


@pytest.mark.parametrize(
    "form", [["--kubelet-insecure-tls"], ["--kubelet-insecure-tls=true"], ["-kubelet-insecure-tls=1"]]
)
def test_a_boolean_needs_no_value(form: list[str]) -> None:
    assert settings(*form).kubelet_insecure_tls


def test_a_bare_boolean_does_not_swallow_the_next_flag() -> None:
    given = settings("--kubelet-insecure-tls", "--metric-resolution", "1m30s")
    assert (given.kubelet_insecure_tls, given.metric_resolution) == (True, 90)


def test_a_flag_of_a_peer_without_effect_is_taken_and_named() -> None:
    given, ignored = parse(["--client-qps=50", "--profiling=false", "--vmodule", "a=2", "--secure-port", "443"])
    assert (given.secure_port, ignored) == (443, ["client-qps", "profiling", "vmodule"])


def test_repeated_and_comma_separated_lists_add_up() -> None:
    given = settings(
        "--requestheader-allowed-names=a,b", "--requestheader-allowed-names=c", "--prometheus-header=X=1,2"
    )
    assert given.requestheader_allowed_names == ("a", "b", "c")
    assert given.prometheus_header == ("X=1,2",)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--secure-prt=1"], "unknown flag --secure-prt; --help lists the flags"),
        (["--secure-port"], "--secure-port needs a value"),
        (["--secure-port=x"], "--secure-port=x: a whole number from 0 up would be right"),
        (
            ["--scrape-interval=5 parsecs"],
            "--scrape-interval=5 parsecs: '5 parsecs' is no duration; right would be like 5m, 90s or 1h30m",
        ),
        (["--kubelet-insecure-tls=maybe"], "--kubelet-insecure-tls=maybe: true or false would be right"),
        (["--tls-cert-file=a"], "--tls-cert-file and --tls-private-key-file go together: give both or neither"),
        (["x", "y"], "'y' is no flag; flags look like --name=value"),
    ],
)
def test_a_bad_flag_gets_one_sentence(arguments: list[str], sentence: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse(arguments)
    assert str(caught.value) == sentence


def test_help_tells_every_flag_with_its_default() -> None:
    with pytest.raises(HelpWanted, match=r"--scrape-interval \(5s\)"):
        parse(["--help"])
