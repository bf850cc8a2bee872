"""What can be scraped of the rollout controller."""

from datetime import UTC, datetime, timedelta

from adapter.rollout.model.status import Outcome, Past, Phase, Release, Status
from adapter.rollout.model.verdict import Said
from adapter.rollout.telemetry import Telemetry

BEGAN = datetime(2026, 11, 26, tzinfo=UTC)


def returning(release: str, after: float | None = None) -> Status:
    """On the way back since BEGAN; all slices show stable pods only `after` so many seconds."""
    reached = None if after is None else BEGAN + timedelta(seconds=after)
    return Status(phase=Phase.RETURNING, release=Release(id=release, since=BEGAN, reached=reached))


def value(telemetry: Telemetry, name: str, **labels: str) -> float | None:
    return telemetry.registry.get_sample_value(name, labels)


def test_each_way_back_is_timed_once_from_the_verdict_to_the_end_of_new_connections() -> None:
    telemetry = Telemetry()
    for status in (returning("a"), returning("a", 1.5), returning("a", 1.5), returning("b", 3.0)):
        telemetry.note_turn("shop", "web", status)
    assert value(telemetry, "streamgate_rollout_return_seconds_count") == 2
    assert value(telemetry, "streamgate_rollout_return_seconds_sum") == 4.5


def test_verdicts_are_counted_by_policy_and_go_with_it() -> None:
    telemetry = Telemetry()
    telemetry.note_turn("shop", "web", Status(phase=Phase.STEPPING))
    for said in (Said.HOLD, Said.HOLD, Said.ROLLBACK):
        telemetry.count_verdict("shop", "web", said)
    labels = {"namespace": "shop", "policy": "web"}
    assert value(telemetry, "streamgate_rollout_verdicts_total", **labels, verdict="hold") == 2
    assert value(telemetry, "streamgate_rollout_verdicts_total", **labels, verdict="rollback") == 1
    telemetry.forget("shop", "web")
    assert value(telemetry, "streamgate_rollout_verdicts_total", **labels, verdict="hold") is None


def test_a_release_is_undecided_only_while_there_is_one() -> None:
    telemetry = Telemetry()
    labels = {"namespace": "shop", "policy": "web"}
    under_way = Status(phase=Phase.STEPPING, release=Release(id="a"))
    for status, undecided, told in ((under_way, True, 1), (under_way, False, 0), (Status(), True, 0)):
        telemetry.note_turn("shop", "web", status, undecided=undecided)
        assert value(telemetry, "streamgate_rollout_undecided", **labels) == told
    telemetry.forget("shop", "web")
    assert value(telemetry, "streamgate_rollout_undecided", **labels) is None


def test_counters_begin_at_zero_so_that_a_first_rollback_is_a_rise() -> None:
    telemetry = Telemetry()
    labels = {"namespace": "shop", "policy": "web"}
    telemetry.note_turn("shop", "web", Status(phase=Phase.IDLE))
    for outcome in Outcome:
        assert value(telemetry, "streamgate_rollout_releases_total", **labels, outcome=outcome.value) == 0
    telemetry.note_turn("shop", "web", Status(phase=Phase.IDLE, history=(Past(Outcome.ROLLED_BACK),)))
    assert value(telemetry, "streamgate_rollout_releases_total", **labels, outcome="RolledBack") == 1
    for said in Said:
        assert value(telemetry, "streamgate_rollout_verdicts_total", **labels, verdict=said.value) == 0
    for result in ("sent", "failed", "dropped"):
        assert value(telemetry, "streamgate_rollout_notifications_total", result=result) == 0


def test_a_policy_that_is_gone_leaves_no_series() -> None:
    telemetry = Telemetry()
    telemetry.note_turn("shop", "web", returning("a", 1.5))
    telemetry.forget("shop", "web")
    left = [
        sample.name
        for metric in telemetry.registry.collect()
        for sample in metric.samples
        if sample.labels.get("policy") == "web"
    ]
    assert left == []


def test_a_policy_that_was_never_turned_is_forgotten_without_a_word() -> None:
    Telemetry().forget("shop", "web")
