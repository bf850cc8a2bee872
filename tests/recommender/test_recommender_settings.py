"""Flags: VPA's names and defaults, Go's forms, and a clear word for what is wrong."""

import pytest

from recommender.config import mode
from recommender.settings import Settings, SettingsError, idle, parse, seconds, usage


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
    )
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
    assert seconds(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "5", "1d", "h", "1h-", "-1h", "1h 2m"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration"):
        seconds(text)


@pytest.mark.parametrize(
    ("flag", "why"),
    [
        ("--nonsense", "is no flag of the recommender"),
        ("stray", "is no flag of the recommender"),
        ("--address", "--address needs a value"),
        ("--memory-saver=perhaps", "true or false is wanted"),
        ("--update-worker-count=ten", "a whole number is wanted"),
        ("--update-worker-count=0", "1 or more is wanted"),
        ("--recommendation-margin-fraction=-0.1", "a positive number is wanted"),
        ("--target-memory-percentile=nan", "a fraction from 0 to 1 is wanted"),
        ("--recommender-interval=1", "a duration like 1m30s is wanted"),
        ("--recommender-interval=0", "a duration above 0 is wanted"),
        ("--cpu-histogram-decay-half-life=20000h", "at most two years"),
        ("--oom-bump-up-ratio=0.5", "1 or more is wanted"),
        ("--round-memory-bytes=0", "1 or more is wanted"),
        ("--mode=best", "one of default, vpa is wanted"),
        ("--storage=disk", "checkpoint or prometheus is wanted"),
        ("--history-length=8days", "a duration like 8d or 1h is wanted"),
        ("--container-recommendation-max-allowed-cpu=lots", "--container-recommendation-max-allowed-cpu='lots'"),
        ("--leader-elect-resource-lock=endpoints", "only leases are supported"),
        ("--fix-memory-target=maybe", "true or false is wanted"),
        ("--use-external-metrics", "wants --external-metrics-cpu-metric"),
        ("--address=here", "host:port or :port is wanted"),
        ("--address=:99999", "host:port or :port is wanted"),
        ("--kube-api-burst=nan", "--kube-api-burst=nan: a number"),
        ("--recommendation-margin-fraction=inf", "a number below"),
        ("--round-memory-bytes=99999999999999999999", "a number below"),
        ("--recommender-interval=99999999999999999999h", "at most 290 years"),
        ("--history-length=0d", "a duration like 8d or 1h is wanted"),
        ("--leader-elect-lease-duration=5s", "must be longer than"),
        ("--container-recommendation-max-allowed-cpu=-1", "0 or more is wanted"),
    ],
)
def test_a_bad_flag_is_named_with_what_would_be_right(flag: str, why: str) -> None:
    with pytest.raises(SettingsError, match=why):
        parse([flag])


def test_the_log_level_is_understood_in_all_of_gos_forms() -> None:
    for given in (["-v=6"], ["--v=6"], ["-v", "6"], ["-v6"]):
        assert parse(given).verbosity == "6"
    assert parse(["--address=[::1]:8942"]).address == "[::1]:8942"


def test_fixes_follow_the_mode_unless_their_switch_says_otherwise() -> None:
    assert mode(parse([])).policy is not None
    assert mode(parse(["--mode=vpa"])).policy is None
    assert mode(parse(["--fix-memory-target=false"])).policy is None
    assert mode(parse(["--mode=vpa", "--fix-memory-target"])).policy is not None
    assert mode(parse(["--mode=vpa", "--fix-memory-target"])).aggregation.daily_peaks
    assert mode(parse(["--mode=vpa"])).aggregation.first_zero_peak
    assert not mode(parse(["--mode=vpa", "--fix-zero-first-peak"])).aggregation.first_zero_peak


def test_help_names_every_flag_once() -> None:
    flags = [line.split()[0] for line in usage().splitlines()]
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
    assert [line.partition(":")[0] for line in idle(parse(flags))] == named
