"""Flags: VPA's names and defaults, Go's forms, and a clear word for what is wrong."""

import pytest

from adapter.program.flags import SettingsError
from adapter.program.kinds import KINDS, Seconds
from recommender.config import idle, mode
from recommender.settings import FLAGS, Settings, parse


def test_vpas_deployment_runs_unchanged() -> None:
    """The flags that VPA's own manifests and common installations pass."""
    made = parse(
        [
            "--v=4",
            "--stderrthreshold=info",
            "--logtostderr",
            "--pod-recommendation-min-cpu-millicores=15",
            "--pod-recommendation-min-memory-mb=100",
            "--storage=prometheus",
            "--prometheus-address",
            "http://prometheus:9090",
            "--memory-saver=true",
            "--leader-elect",
            "--target_cpu_percentile=0.95",
            "--feature-gates=PerVPAConfig=true",
            "-recommender-interval=30s",
        ]
    ).settings
    assert (made.pod_min_cpu, made.pod_min_memory, made.target_cpu) == (15.0, 100.0, 0.95)
    assert (made.storage, made.prometheus) == ("prometheus", "http://prometheus:9090")
    assert made.memory_saver
    assert made.leader_elect
    assert made.interval == 30


def test_defaults_are_vpas() -> None:
    made = Settings()
    assert (made.margin, made.pod_min_cpu, made.pod_min_memory, made.target_memory) == (0.15, 25.0, 250.0, 0.9)
    assert (made.memory_half_life, made.memory_interval_count, made.oom_bump) == (86400, 8, 104857600.0)
    assert (made.address, made.lease_name, made.recommender_name) == (":8942", "vpa-recommender-lease", "default")


@pytest.mark.parametrize(
    ("text", "value"), [("24h0m0s", 86400), ("1m30s", 90), ("1.5h", 5400), ("250ms", 0.25), ("0", 0), ("100us", 1e-4)]
)
def test_durations_are_gos(text: str, value: float) -> None:
    assert KINDS[Seconds].read(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "5", "1d", "h", "1h-", "1h 2m"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a duration like"):
        KINDS[Seconds].read(text)


@pytest.mark.parametrize(
    ("flag", "why"),
    [
        ("--nonsense", "unknown flag --nonsense; --help lists the flags"),
        ("stray", "'stray' is no flag; flags look like --name=value"),
        ("--address", "--address needs a value"),
        ("--memory-saver=perhaps", "true or false is wanted"),
        ("--update-worker-count=ten", "a whole number is wanted"),
        ("--update-worker-count=0", "1 or more is wanted"),
        ("--recommendation-margin-fraction=-0.1", "0 to 9.22337e"),
        ("--kube-api-qps=0", "more than 0 is wanted"),
        ("--target-memory-percentile=90", "0 to 1 is wanted"),
        ("--recommender-interval=1", "a duration like 1h30m, 90s or 1.5s is wanted"),
        ("--recommender-interval=0", "more than 0s is wanted"),
        ("--cpu-histogram-decay-half-life=20000h", "17520h or less is wanted"),
        ("--oom-bump-up-ratio=0.5", "1 to 9.22337e"),
        ("--round-memory-bytes=0", "1 or more is wanted"),
        ("--mode=best", "one of default, vpa is wanted"),
        ("--storage=disk", "one of '', checkpoint, prometheus is wanted"),
        ("--history-length=8days", "a duration like 8d or 1h30m is wanted"),
        ("--container-recommendation-max-allowed-cpu=lots", "--container-recommendation-max-allowed-cpu=lots: "),
        ("--leader-elect-resource-lock=endpoints", "one of leases is wanted"),
        ("--fix-memory-target=maybe", "true or false is wanted"),
        ("--use-external-metrics", "wants --external-metrics-cpu-metric"),
        ("--address=here", "host:port or :port is wanted"),
        ("--address=:99999", "host:port or :port is wanted"),
        ("--kube-api-burst=nan", "--kube-api-burst=nan: a finite number is wanted"),
        ("--recommendation-margin-fraction=inf", "a finite number is wanted"),
        ("--round-memory-bytes=99999999999999999999", "a whole number of at most 64 bits is wanted"),
        ("--recommender-interval=99999999999999999999h", "at most 290 years"),
        ("--history-length=0d", "more than 0s is wanted"),
        (
            "--leader-elect-lease-duration=5s",
            "lease-duration=5s must be longer than --leader-elect-renew-deadline=10s",
        ),
        ("--container-recommendation-max-allowed-cpu=-1", "0 or more is wanted"),
    ],
)
def test_a_bad_flag_is_named_with_what_would_be_right(flag: str, why: str) -> None:
    with pytest.raises(SettingsError, match=why):
        parse([flag])


def test_the_log_level_is_understood_in_all_of_gos_forms() -> None:
    for given in (["-v=6"], ["--v=6"], ["-v", "6"], ["-v6"]):
        assert parse(given).settings.verbosity == 6
    assert parse(["--address=[::1]:8942"]).settings.address == "[::1]:8942"


def test_fixes_follow_the_mode_unless_their_switch_says_otherwise() -> None:
    assert mode(parse([]).settings).policy is not None
    assert mode(parse(["--mode=vpa"]).settings).policy is None
    assert mode(parse(["--fix-memory-target=false"]).settings).policy is None
    assert mode(parse(["--mode=vpa", "--fix-memory-target"]).settings).policy is not None
    assert mode(parse(["--mode=vpa", "--fix-memory-target"]).settings).aggregation.daily_peaks
    assert mode(parse(["--mode=vpa"]).settings).aggregation.first_zero_peak
    assert not mode(parse(["--mode=vpa", "--fix-zero-first-peak"]).settings).aggregation.first_zero_peak


def test_help_names_every_flag_once() -> None:
    flags = [line.split()[0] for line in FLAGS.usage().splitlines() if line.startswith("  --")]
    assert len(flags) == len(set(flags))
    assert {"--recommender-name", "--max-daily-risk", "--mode"} <= set(flags)


def test_a_price_in_gib_is_refused_with_what_took_its_place() -> None:
    with pytest.raises(SettingsError, match=r"--max-daily-risk=0\.05 is the chance a day at most"):
        parse(["--overrun-price-gib=20"])


@pytest.mark.parametrize("risk", ["0", "0.6", "-1", "nan"])
def test_a_risk_is_a_chance_of_at_most_a_half(risk: str) -> None:
    with pytest.raises(SettingsError, match="--max-daily-risk"):
        parse([f"--max-daily-risk={risk}"])


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ([], []),
        (["--target-memory-percentile=0.99"], ["--target-memory-percentile"]),
        (["--recommendation-margin-fraction=0.3"], ["--recommendation-margin-fraction"]),
        (["--memory-histogram-decay-half-life=48h"], ["--memory-histogram-decay-half-life"]),
        (["--max-daily-risk=0.01"], []),
        (["--mode=vpa", "--target-memory-percentile=0.99", "--recommendation-margin-fraction=0.3"], []),
        (["--mode=vpa", "--max-daily-risk=0.01"], ["--max-daily-risk"]),
        (["--apply-min-history=1h"], ["--apply-min-history"]),
        (["--apply-min-history=1h", "--apply=in-place"], []),
    ],
)
def test_a_flag_that_means_nothing_beside_the_others_is_named(flags: list[str], named: list[str]) -> None:
    assert [line.partition(":")[0] for line in idle(parse(flags).settings)] == named
