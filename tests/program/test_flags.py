"""Flags: every spelling of Go's, one class of error, and what is rendered reads as it was."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.program.flags import Common, Flags, HelpWanted, SettingsError, setting
from adapter.program.ignored import KLOG, ignored_flags
from adapter.program.kinds import KINDS, Address, PrometheusSeconds, Seconds


@dataclass(frozen=True)
class Sample(Common):
    url: str = setting("prometheus-url", "", "text")
    secure: bool = setting("secure", False, "boolean")
    elected: bool = setting("elected", True, "boolean that is on")
    fix: bool | None = setting("fix", None, "switch")
    workers: int = setting("workers", 10, "whole number", least=-(2**62))
    rate: float = setting("rate", 0.5, "number")
    share: float = setting("share", 0.5, "bounded number", least=0, most=1)
    every: Seconds = setting("every", Seconds(60), "duration")
    half_life: Seconds = setting("half-life", Seconds(60), "bounded duration", above=0)
    history: PrometheusSeconds = setting("history", PrometheusSeconds(8 * 86400), "duration with days")
    address: Address = setting("address", Address(":8942"), "where to listen")
    names: tuple[str, ...] = setting("names", ("a",), "list")
    headers: tuple[str, ...] = setting("header", (), "list, one by one", each=True)
    mode: str = setting("mode", "off", "choice", choices=("off", "all", ""))


def together(settings: Sample) -> Iterator[str]:
    if settings.secure and settings.url:
        yield f"--secure={settings.secure} and --prometheus-url={settings.url} exclude each other"


FLAGS = Flags(
    program="sample",
    about="tries flags",
    settings=Sample,
    version="1.2",
    ignored=KLOG | ignored_flags(bare="profiling", valued="client-qps"),
    check=together,
)
NAMED = {entry.metadata["flag"]: entry for entry in fields(Sample)}


def parse(*arguments: str) -> Sample:
    return FLAGS.parse(arguments).settings


def refusal(*arguments: str) -> str:
    with pytest.raises(SettingsError) as caught:
        FLAGS.parse(arguments)
    return str(caught.value)


@pytest.mark.parametrize(
    "spelling",
    [
        ["--prometheus-url=http://p"],
        ["--prometheus-url", "http://p"],
        ["-prometheus-url=http://p"],
        ["-prometheus-url", "http://p"],
        ["--prometheus_url=http://p"],
        ["--prometheus_url", "http://p"],
        ["--prometheus-url=first", "--prometheus-url=http://p"],
        ["--prometheus-url=http://p", "--"],
    ],
)
def test_each_spelling_of_a_value_is_taken(spelling: list[str]) -> None:
    assert parse(*spelling).url == "http://p"


def test_a_value_may_hold_an_equals_sign_a_hyphen_and_lines() -> None:
    assert parse("--prometheus-url=a=b\nc").url == "a=b\nc"
    assert parse("--prometheus-url", "--secure").url == "--secure", "as in Go, a flag with a value takes what follows"
    assert parse("--workers", "-3").workers == -3


@pytest.mark.parametrize("spelling", [["-v4"], ["-v=4"], ["-v", "4"], ["--v=4"], ["--v", "4"]])
def test_the_level_is_taken_in_each_spelling(spelling: list[str]) -> None:
    assert parse(*spelling).verbosity == 4


@pytest.mark.parametrize("text", ["1", "t", "T", "TRUE", "true", "True"])
def test_booleans_are_gos(text: str) -> None:
    assert parse(f"--secure={text}").secure
    assert not parse("--elected=f").elected
    assert parse("--secure", "-v4").verbosity == 4, "a bare boolean does not swallow the next flag"


def test_a_switch_is_unset_until_it_is_given() -> None:
    assert [parse(*given).fix for given in ([], ["--fix"], ["--fix=false"], ["--fix="])] == [None, True, False, None]


@pytest.mark.parametrize(
    ("text", "value"), [("10", 10), ("+10", 10), ("0x1F", 31), ("010", 8), ("0b11", 3), ("1_000", 1000), ("-0o7", -7)]
)
def test_whole_numbers_are_gos(text: str, value: int) -> None:
    assert parse(f"--workers={text}").workers == value


@pytest.mark.parametrize(("text", "value"), [("1e3", 1000), (".5", 0.5), ("5.", 5), ("0x1p-2", 0.25)])
def test_numbers_are_gos(text: str, value: float) -> None:
    assert parse(f"--rate={text}").rate == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1h30m", 5400),
        ("24h0m0s", 86400),
        ("100us", 1e-4),
        ("100µs", 1e-4),
        ("1.5s", 1.5),
        ("0", 0),
        ("-1m", -60),
        (".5h", 1800),
        ("1ns", 1e-9),
        ("+2s", 2),
    ],
)
def test_durations_are_gos(text: str, value: float) -> None:
    assert parse(f"--every={text}").every == value


@pytest.mark.parametrize("text", ["", "5", "1d", "1w", "h", "1h-", "1h 2m", ".s", "-", "1.2.3s", "1e3s", "٣s"])
def test_what_is_no_duration_in_go_is_refused(text: str) -> None:
    assert "a duration like 1h30m, 90s or 1.5s is wanted" in refusal(f"--every={text}")


@pytest.mark.parametrize(
    ("text", "days"), [("8d", 8), ("1w", 7), ("1y", 365), ("1d12h", 1.5), ("36h", 1.5), ("0", 0), ("0d", 0)]
)
def test_days_and_weeks_are_prometheus_and_only_where_the_peer_takes_them(text: str, days: float) -> None:
    assert parse(f"--history={text}").history == days * 86400


@pytest.mark.parametrize("text", ["", "8", "1.5d", "1h1d", "1d1d", "-1d", "8days"])
def test_what_is_no_duration_in_prometheus_is_refused(text: str) -> None:
    assert "a duration like 8d or 1h30m is wanted" in refusal(f"--history={text}")


def test_lists_add_up_and_replace_the_default() -> None:
    made = parse('--names=b,"c,d"', "--names=e", "--header=X=1,2", "--header=Y=3")
    assert (made.names, made.headers) == (("b", "c,d", "e"), ("X=1,2", "Y=3"))
    assert parse("--names=").names == ()


def test_flags_without_effect_are_named_once_and_take_their_values() -> None:
    given = ["--logtostderr", "--client-qps", "-5", "--client_qps=6", "--profiling=false", "-vmodule", "a=2", "-v4"]
    parsed = FLAGS.parse(given)
    assert parsed.ignored == ("client-qps", "logtostderr", "profiling", "vmodule")
    assert parsed.settings.verbosity == 4


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--secure-prt=1"], "unknown flag --secure-prt; --help lists the flags"),
        (["--v4"], "unknown flag --v4; --help lists the flags"),
        (["--workers"], "--workers needs a value"),
        (["--workers=x"], "--workers=x: a whole number is wanted"),
        (["--workers=1__0"], "--workers=1__0: a whole number is wanted"),
        (
            ["--workers=9223372036854775808"],
            "--workers=9223372036854775808: a whole number of at most 64 bits is wanted",
        ),
        (["--rate=nan"], "--rate=nan: a finite number is wanted"),
        (["--rate=1e999"], "--rate=1e999: a finite number is wanted"),
        (["--rate=0x1p9999"], "--rate=0x1p9999: a finite number is wanted"),
        (["--share=90"], "--share=90.0: 0 to 1 is wanted"),
        (["--half-life=0"], "--half-life=0s: more than 0s is wanted"),
        (["--every=2562048h"], "--every=2562048h: a duration of at most 290 years is wanted"),
        (["--secure=maybe"], "--secure=maybe: true or false is wanted"),
        (["--address=here"], "--address=here: host:port or :port is wanted, the port from 0 to 65535"),
        (["--address=:65536"], "--address=:65536: host:port or :port is wanted, the port from 0 to 65535"),
        (["--mode=best"], "--mode=best: one of off, all, '' is wanted"),
        (["--v=-1"], "--v=-1: 0 or more is wanted"),
        (["stray"], "'stray' is no flag; flags look like --name=value"),
        (["--", "--secure"], "'--secure' is no flag; flags look like --name=value"),
        (
            ["--elected", "false"],
            "'false' is no flag; flags look like --name=value; a value of --elected is given as --elected=false",
        ),
        (["--secure", "--prometheus-url=u"], "--secure=True and --prometheus-url=u exclude each other"),
    ],
)
def test_a_bad_flag_gets_one_sentence(arguments: list[str], sentence: str) -> None:
    assert refusal(*arguments) == sentence


def test_a_long_text_is_not_repeated_whole() -> None:
    assert len(refusal("--workers=" + "9" * 100_000)) < 300
    assert len(refusal("-" + "-" * 100_000)) < 300


def test_a_first_argument_that_is_no_flag_is_passed_over_where_that_is_asked_for() -> None:
    lax = Flags(program="sample", about="", settings=Sample, skips_first=True)
    assert lax.parse(["/adapter", "-v4"]).settings.verbosity == 4
    with pytest.raises(SettingsError, match="'y' is no flag"):
        lax.parse(["x", "y"])


def test_help_names_every_flag_once_with_its_default_and_choices() -> None:
    with pytest.raises(HelpWanted) as caught:
        FLAGS.parse(["--help"])
    lines = str(caught.value).splitlines()
    shown = [line.split()[0] for line in lines if line.startswith("  --")]
    assert shown == [f"--{flag}" for flag in NAMED]
    assert "  --history (8d)" in lines
    assert "  --every (1m)" in lines
    assert "        choice (one of off, all, '')" in lines
    assert lines[-1].startswith("Accepted without effect: add-dir-header,")


def test_the_version_is_told() -> None:
    with pytest.raises(HelpWanted, match=r"^sample 1\.2$"):
        FLAGS.parse(["--version"])


def test_a_verbs_own_arguments_are_told_from_ours() -> None:
    given = ["--history", "1d", "usage.csv", "--mode=x", "--secure", "-v4", "--output", "json", "--help"]
    ours, others = FLAGS.split(given, but=("mode",))
    assert ours == ["--history", "1d", "--secure", "-v4"]
    assert others == ["usage.csv", "--mode=x", "--output", "json", "--help"]


WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
VALUES: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(max_size=12),
    bool: st.booleans(),
    bool | None: st.none() | st.booleans(),
    int: st.integers(0, 2**62),
    float: st.floats(0, 1),
    Seconds: st.integers(1, 2**51).map(lambda ns: Seconds(ns / 10**9)),
    PrometheusSeconds: st.integers(0, 2**40).map(lambda ms: PrometheusSeconds(ms / 1000)),
    Address: st.integers(0, 65535).map(lambda port: Address(f"[::1]:{port}")),
    tuple[str, ...]: st.lists(WORDS.filter(lambda word: not set(word) & {"\r", "\n"}), max_size=3).map(tuple),
}
SETTINGS = st.builds(
    Sample,
    **{entry.name: VALUES[entry.type] for entry in fields(Sample) if entry.name not in ("mode", "secure", "headers")},
    mode=st.sampled_from(["off", "all", ""]),
    headers=st.lists(WORDS, max_size=3).map(tuple),
)


@given(SETTINGS)
def test_what_is_rendered_reads_as_it_was(settings: Sample) -> None:
    assert FLAGS.parse(FLAGS.render(settings)).settings == settings


@given(st.sampled_from(sorted(KINDS, key=str)), st.text(max_size=20))
def test_a_value_that_is_read_is_shown_so_that_it_reads_as_itself(kind: Any, text: str) -> None:
    try:
        value = KINDS[kind].read(text)
    except ValueError:
        return
    assert KINDS[kind].read(KINDS[kind].show(value)) == value


FRAGMENTS = st.sampled_from(
    [f"--{flag}" for flag in NAMED] + ["-v", "=", "1", "true", "1h", "--", "-", "\0", "é", "--help", "--logtostderr"]
)
ARGUMENTS = st.lists(st.lists(FRAGMENTS | st.text(max_size=6), min_size=1, max_size=3).map("".join), max_size=5)


@given(ARGUMENTS)
def test_any_arguments_give_settings_or_the_one_error(arguments: list[str]) -> None:
    try:
        parsed = FLAGS.parse(arguments)
    except (SettingsError, HelpWanted):
        return
    assert FLAGS.validate(parsed.settings) == parsed.settings
