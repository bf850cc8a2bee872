"""Rubbish into a running adapter: one clear sentence each, and all the while the one good pod is served."""

import contextlib
import re
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapter.__main__ import main
from adapter.program.run import StartError
from adapter.settings import Settings
from adapter.wiring.whole import read_rules
from tests.rubbish.conftest import RATE, ROOT, Pods, Running, command, environment, until

RULES = r"""
rules:
- seriesQuery: 'http_requests_total{namespace!="",pod!=""}'
  resources: &labels {overrides: {namespace: {resource: namespace}, pod: {resource: pod}}}
  name: {matches: "^(.*)_total$", as: "${1}_per_second"}
  metricsQuery: sum(rate(<<.Series>>{<<.LabelMatchers>>}[20s])) by (<<.GroupBy>>)
- seriesQuery: '{__name__=~"^.*_depth$",pod!=""}'
  resources: *labels
  metricsQuery: max(<<.Series>>{<<.LabelMatchers>>}) by (<<.GroupBy>>)
- seriesQuery: large
  metricQuery: a typing mistake
- seriesQuery: large
  name: {matches: "^(unclosed"}
  metricsQuery: sum(<<.Series>>)
- seriesQuery: large
  metricsQuery: sum(<<.Serie>>{<<.LabelMatchers>>})
- seriesQuery: 'good_depth{pod!=""}'
  resources: *labels
  name: {as: never_closed}
  metricsQuery: sum(<<.Series>>{<<.LabelMatchers>>
"""
STRANGE = ("large", "endless", "never", "slow", "zipped", "labels", "odd", "liar", "noise", "html", "long", "future")
RUBBISH = (*STRANGE, "error")
CUSTOM = "/apis/custom.metrics.k8s.io/v1beta2"
PODS = f"{CUSTOM}/namespaces/default/pods"


@pytest.fixture(scope="module")
def adapter(pods: Pods, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("adapter")
    rules: Path = folder / "rules.yaml"
    rules.write_text(RULES)
    names = ("good", *RUBBISH)
    flags = [
        f"--config={rules}",
        "--scrape-interval=1s",
        "--scrape-timeout=900ms",
        "--max-series=40000",
        "--scrape-max-bytes=4194304",
    ]
    with Running(folder, dict.fromkeys(names, pods.port), flags).running() as adapter:
        # What is tested below is an adapter that has met all of it.
        assert until(lambda: all(pods.scrapes.get(name, 0) > 2 for name in names), 20), pods.scrapes
        assert until(lambda: adapter.values("http_requests_per_second"), 10), adapter.log.read_text()[-4000:]
        yield adapter


def test_the_good_pod_is_served_and_only_it(adapter: Running) -> None:
    def pod_values() -> dict[str, str]:
        return adapter.values("http_requests_per_second", "?labelSelector=app%3Dweb")

    assert set(pod_values()) - {"liar"} == {"good"}  # not the NaN, not the answer with status 500
    # the liar's million is not counted as the good pod's; of few scrapes the rate is as uneven as the machine is busy
    assert until(lambda: 0.9 * RATE <= milli(pod_values()["good"]) <= 1.1 * RATE, 20), pod_values()


def milli(text: str) -> float:
    return int(text[:-1]) / 1000 if text.endswith("m") else float(text)


def test_nan_and_infinities_are_left_out_and_explained(adapter: Running) -> None:
    assert adapter.values("nan_depth") == {}
    assert adapter.values("queue_depth") == {"good": "7"}
    assert adapter.values("good_depth") == {"odd": "3"}
    why = adapter.ask("/explain/namespaces/default/pods/odd/queue_depth").json["objects"]["odd"]["leftOut"]
    assert why == "its value is inf"
    absent = adapter.ask(f"{PODS}/odd/queue_depth")
    assert (absent.status, "the value of odd is left out: its value is inf" in absent.json["message"]) == (503, True)


def test_a_value_beyond_all_quantities_is_the_largest_quantity(adapter: Running) -> None:
    assert adapter.values("huge_depth") == {"odd": "9223372036854775807m"}


def test_good_lines_among_bad_ones_are_kept(adapter: Running) -> None:
    for metric, pod, value in (
        ("noise_depth", "noise", "4"),
        ("long_depth", "long", "5"),
        ("future_depth", "future", "6"),
    ):
        assert adapter.values(metric) == {pod: value}


LATE = r"no complete answer within 0\.9 s"
"""A busy machine may have no time for the 4 MiB that would be too much."""
SENTENCES = {
    "large": rf"the body has more than 4194304 bytes|{LATE}",
    "endless": rf"the body has more than 4194304 bytes|{LATE}",
    "never": LATE,
    "slow": LATE,
    "zipped": rf"the body has more than 4194304 bytes when inflated|{LATE}",
    "html": r"it answered with 'text/html', which is not text of Prometheus or OpenMetrics",
    "error": r"it answered with status 500",
}


@pytest.mark.parametrize(("name", "sentence"), SENTENCES.items(), ids=list(SENTENCES))
def test_a_scrape_that_fails_is_one_sentence_in_the_log(adapter: Running, name: str, sentence: str) -> None:
    [line] = [line for line in adapter.lines("scrape failed") if line["target"] == f"pod/default/{name}"]
    assert re.fullmatch(sentence, line["error"]), line["error"]


@pytest.mark.parametrize(("name", "sentence"), [
    ("noise", r"line 1: .{1,200}"),
    ("long", r"line 1: .{1,200} has 1048\d+ bytes; at most 16384 are read"),
    ("future", r"line 1: the timestamp '99999999999999' lies before 1970 or over 600 s ahead"),
])  # fmt: skip
def test_bad_lines_are_told_once_each_and_at_most_eleven_a_target(adapter: Running, name: str, sentence: str) -> None:
    [line] = [line for line in adapter.lines("bad lines left out") if line["target"] == f"pod/default/{name}"]
    assert re.fullmatch(sentence, line["problems"][0]), line["problems"][0][:300]
    assert len(line["problems"]) <= 11
    assert all(len(problem) < 300 and "\n" not in problem for problem in line["problems"])


def test_a_label_bomb_is_named_and_new_pods_still_find_room(adapter: Running, pods: Pods) -> None:
    assert until(lambda: adapter.lines("samples dropped"), 40)
    [line] = adapter.lines("samples dropped")
    share = r"default/labels has (10000 series|1600000 characters), a single one's limit"  # whichever comes first
    assert re.match(share, line["problem"]), line["problem"]
    adapter.write(dict.fromkeys(("good", "fresh", *RUBBISH), pods.port))
    assert until(lambda: "fresh" in adapter.values("http_requests_per_second"), 15)


def test_each_bad_rule_is_one_sentence_and_the_others_work(adapter: Running) -> None:
    unreadable = adapter.ask(f"{PODS}/*/never_closed")
    assert (unreadable.status, unreadable.json["reason"]) == (500, "InternalError")  # it can never work
    said = "the query is no PromQL: unexpected end of input inside braces"
    assert unreadable.json["message"] == f"Internal error occurred: {said}"
    told = [line["problem"] for line in adapter.lines("rule")]
    for place, sentence in (
        (r"rules\[2\], line 10: ", r"'metricQuery' is no field there; right would be one of seriesQuery, .*"),
        (r"rules\[3\]\.name\.matches, line \d+: ", r".*'\^\(unclosed'.*right would be a Go \(RE2\) expression"),
        (r"rules\[4\]\.metricsQuery, line 16: ", r"the template does not work: column 7: there is no field .Serie; .*"),
        (r"rules\[5\], line 17: ", r"the query failed: the query is no PromQL: unexpected end of input inside braces"),
    ):
        assert sum(bool(re.fullmatch(f".*{place}{sentence}", one)) for one in told) == 1, told
    assert len(told) == 4
    assert all("\n" not in one and len(one) < 600 for one in told)


ODD_REQUESTS = [
    (f"{PODS}/*/queue_depth?labelSelector=app%3D%3D%3Dweb", 400, "selector"),
    (f"{PODS}/*/queue_depth?labelSelector=app+in+(web", 400, "selector"),
    (f"{PODS}/*/queue_depth?labelSelector=%00", 400, ""),
    (f"{PODS}/*/queue_depth?metricLabelSelector=a%3Db%3Dc", 400, "selector"),
    (f"{PODS}/*/queue_depth?labelSelector={'a' * 20_000}", 400, ""),
    (f"{PODS}/*/queue_depth?labelSelector=app%3Dnobody", 404, "no pods in namespace default match"),
    (f"{PODS}/*/nope", 404, "nope"),
    (f"{PODS}/*/queue_depth/deeper", 404, ""),
    (f"{PODS}/..%2f..%2fetc/queue_depth", 404, ""),
    (f"{PODS}/%ff%fe/queue_depth", 404, ""),
    (f"{CUSTOM}/namespaces/../../secrets/x", 404, ""),
    (f"{CUSTOM}/namespaces/default/unicorns/*/queue_depth", 404, ""),
    (f"{CUSTOM}//namespaces//default", 404, ""),
    ("/apis/custom.metrics.k8s.io/v9/namespaces/default/pods/*/queue_depth", 404, ""),
    ("/explain/nonsense", 404, ""),
    ("/%", 404, ""),
]


@pytest.mark.parametrize(("path", "status", "words"), ODD_REQUESTS, ids=[path[-40:] for path, *_ in ODD_REQUESTS])
def test_an_odd_request_gets_a_status_with_a_sentence(adapter: Running, path: str, status: int, words: str) -> None:
    answer = adapter.ask(path)
    assert answer.status == status, answer.body[:500]
    assert (answer.json["kind"], answer.json["code"]) == ("Status", status)
    assert words in answer.json["message"]
    assert 0 < len(answer.json["message"]) < 1500


@pytest.mark.parametrize("sent", [
    b"GET / HTTP/1.1\r\n\r\n",
    b"\x00" * 65536,
    b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 20_000 + b"\r\n",
    b"POST /apis HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n",
    b"BREW /coffee HTTP/9.9\r\n\r\n",
], ids=["no host", "zeros", "long path", "long header", "many headers", "long body", "no http"])  # fmt: skip
@pytest.mark.parametrize("tls", [True, False], ids=["tls", "plain"])
def test_bytes_that_are_no_request_harm_nobody(adapter: Running, sent: bytes, tls: bool) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    plain = socket.create_connection(("127.0.0.1", adapter.port), timeout=5)
    with context.wrap_socket(plain) if tls else plain as stream, contextlib.suppress(OSError):
        stream.sendall(sent)
        stream.settimeout(0.5)
        assert b" 200 " not in stream.recv(1000)  # hanging up, and waiting for more, are answers too
    assert adapter.ask("/readyz").status == 200


def test_the_loop_was_never_held_for_long(adapter: Running) -> None:
    """Half a second would be a probe or an HPA that waits; a busy machine may make one wait, not time after time."""

    def slowest() -> float:
        took = []
        for _ in range(20):
            began = time.perf_counter()
            assert adapter.ask(f"{PODS}/*/queue_depth").status == 200
            took.append(time.perf_counter() - began)
        return max(took)

    assert until(lambda: slowest() < 0.5, 15)
    assert not adapter.lines("a request failed")
    assert not [line for line in adapter.lines() if line["level"] == "error"]


@pytest.mark.parametrize(("content", "sentence"), [
    (b"rules: [", r", line 2: this is no YAML: .+"),
    (b"- a list", r", line 1: the file holds no mapping; right would be one with rules, externalRules, resourceRules"),
    (b"rulez: []", r", line 1: 'rulez' is no field of a rules file; right would be one of rules, .+"),
    (b"\x00\x01", r": this is no YAML: .+"),
    (b"\xff\xfe\x00", r": it is not UTF-8; .+ would be right"),
    (None, r": No such file or directory; .+ would be right"),
], ids=["no yaml", "a list", "unknown section", "zeros", "no text", "no file"])  # fmt: skip
def test_a_file_that_is_no_rules_file_is_refused_with_one_sentence(
    tmp_path: Path, content: bytes | None, sentence: str
) -> None:
    rules = tmp_path / "rules.yaml"
    if content is not None:
        rules.write_bytes(content)
    with pytest.raises(StartError) as refused:
        read_rules(Settings(config=str(rules)))
    assert re.fullmatch(rf"--config(: |=){rules}{sentence}", str(refused.value)), refused.value


def test_a_program_that_cannot_start_ends_with_that_one_sentence(tmp_path: Path) -> None:
    flags = ("--config=/nonexistent", f"--standalone={tmp_path / 'pods.yaml'}")
    done = subprocess.run(
        command(*flags), cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    sentence = "--config=/nonexistent: No such file or directory; the path of a rules file would be right"
    assert done.stderr == f"streamgate-adapter: {sentence}\n"


def test_a_wrong_flag_ends_the_program_with_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--scrape-interval=often"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("streamgate-adapter: --scrape-interval=often: ")
    assert main(["--scrap-interval=5s"]) == 2
    assert capsys.readouterr().err == "streamgate-adapter: unknown flag --scrap-interval; --help lists the flags\n"
