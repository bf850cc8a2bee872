"""The adapter's command line: the peers' flags in Go's forms."""

from pathlib import Path

import pytest

from adapter.program.flags import HelpWanted, SettingsError
from adapter.settings import FLAGS, Settings, parse

GOLDEN = Path(__file__).parent / "golden"


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
    assert (given.secure_port, ignored) == (443, ("client-qps", "profiling", "vmodule"))


def _peers_flags() -> list[tuple[str, str]]:
    lines = (GOLDEN / "prometheus-adapter" / "flags.txt").read_text().splitlines()
    return [(name, kind) for name, _, kind in (line.partition(" ") for line in lines if not line.startswith("#"))]


EXAMPLE = {"duration": "1m", "int": "7", "ip": "10.0.0.1", "strings": "a,b", "tls-min-version": "VersionTLS12"}
EXAMPLE |= {"metrics-max-age": "10m", "prometheus-header": "X=1", "prometheus-verb": "GET", "v": "2"}


@pytest.mark.parametrize(("name", "kind"), _peers_flags())
def test_every_flag_of_prometheus_adapter_and_its_server_is_taken(name: str, kind: str) -> None:
    own = set(Settings.__dataclass_fields__)
    given = [f"--{name}"] if kind == "bool" else [f"--{name}", EXAMPLE.get(name, EXAMPLE.get(kind, "a"))]
    if name in ("tls-cert-file", "tls-private-key-file"):
        given += ["--tls-cert-file=a", "--tls-private-key-file=a"]
    _, ignored = parse([*given, *given])
    assert ignored == (() if name.replace("-", "_") in own or name == "v" else (name,))  # named once, if without effect


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
        (["--secure-port=65536"], "--secure-port=65536: 0 to 65535 is wanted"),
        (["--scrape-interval=500ms"], "--scrape-interval=500ms: 1s or more is wanted"),
        (["--retention=1d"], "--retention=1d: a duration like 1h30m, 90s or 1.5s is wanted"),
        (["--prometheus-verb=PUT"], "--prometheus-verb=PUT: one of GET, POST, get, post is wanted"),
        (
            ["--tls-cert-file=a"],
            "--tls-cert-file=a and --tls-private-key-file= go together: give both or neither",
        ),
        (
            ["--prometheus-auth-incluster", "--prometheus-auth-config=k"],
            "--prometheus-auth-incluster and --prometheus-auth-config=k are two answers to one question: give one",
        ),
        (
            ["--prometheus-header=X=1", "--prometheus-header=a secret"],
            "--prometheus-header, the 2. of them: name=value is wanted, the name of letters, digits and -, the value"
            " without control characters; Content-Length and Transfer-Encoding are the client's own",
        ),
        (["x", "y"], "'y' is no flag; flags look like --name=value"),
    ],
)
def test_a_bad_flag_gets_one_sentence(arguments: list[str], sentence: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse(arguments)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    "header", ["=x", "X", "X Y=a", "X: a", "Xü=a", "X=a\nb", "X=a\x00", "content-length=5", "Transfer-Encoding=chunked"]
)
def test_what_no_http_header_can_be_is_refused_and_its_value_not_repeated(header: str) -> None:
    with pytest.raises(SettingsError, match=r"--prometheus-header, the 1\. of them: name=value is wanted") as caught:
        parse([f"--prometheus-header={header}"])
    assert header not in str(caught.value)


@pytest.mark.parametrize("header", ["X-Scope-OrgID=a|b", "X=", "X=a=b", "X=blau grün\t€", "Content-Length-X=1"])
def test_what_an_http_header_can_be_is_taken(header: str) -> None:
    assert settings(f"--prometheus-header={header}").prometheus_header == (header,)


def test_help_tells_every_flag_with_its_default() -> None:
    with pytest.raises(HelpWanted, match=r"--scrape-interval \(5s\)"):
        parse(["--help"])


def test_a_flag_without_effect_takes_the_value_that_follows_as_in_go() -> None:
    given, ignored = parse(["--client-qps", "-5", "--secure_port=443", "-v4"])
    assert (given.secure_port, given.verbosity, ignored) == (443, 4, ("client-qps",))


def test_settings_read_as_they_were_rendered() -> None:
    given = settings("--prometheus-header=X=1", "--tls-san=a,b", "--scrape-timeout=2500ms", "--kubelet-insecure-tls")
    assert parse(FLAGS.render(given)).settings == given
