"""The judge: what it makes of windows, when it says nothing, and what no window may change."""

import json
from dataclasses import replace
from typing import Any

import pytest

from adapter.rollout.evidence import breaker
from adapter.rollout.evidence.codec import EvidenceError
from adapter.rollout.evidence.record import begin, dump, load
from adapter.rollout.explain import Outcome, as_json
from adapter.rollout.judge import hear, judge, verdict
from adapter.rollout.model.gates import Gates
from adapter.rollout.model.verdict import Said, Stage
from adapter.rollout.model.window import Arm, Window
from tests.rollout.judging import (
    ERRORS,
    EVERY,
    LIMIT,
    MARGIN,
    QUEUE,
    START,
    counts,
    draw_windows,
    gates,
    steady,
    window,
)

HOLD, PROMOTE, ROLLBACK = Said.HOLD, Said.PROMOTE, Said.ROLLBACK


def decide(policy: Gates, windows: list[Window], stage: Stage = Stage.CANARY) -> Said:
    return judge(policy, windows, stage).verdict.said


def first(policy: Gates, windows: list[Window], wanted: Said, stage: Stage = Stage.CANARY) -> int | None:
    """The window at which the judge first says `wanted`."""
    record = begin(policy.of(stage))
    for index, each in enumerate(windows):
        record = hear(policy, record, each, stage)
        if verdict(policy, record, stage).verdict.said is wanted:
            return index
    return None


UNREADY = {Arm.STABLE: (4, {}), Arm.CANARY: (2, {"unready": 2})}


class TestWithTraffic:
    def test_five_percent_of_errors_beside_a_thousandth_are_rolled_back_within_600_requests(self) -> None:
        """The canary has 100 requests per window."""
        for seed in range(20):
            at = first(gates(ERRORS), draw_windows(60, stable=0.001, canary=0.05, seed=seed), ROLLBACK)
            assert at is not None
            assert at < 6

    def test_a_release_like_the_stable_one_is_promoted_when_its_rate_is_shown_below_the_limit(self) -> None:
        assert first(gates(ERRORS), steady(20), PROMOTE) is not None
        assert decide(gates(ERRORS), steady(20)) is PROMOTE

    def test_a_margin_alone_is_shown_by_the_bad_requests_of_both(self) -> None:
        windows = draw_windows(400, stable=0.02, canary=0.02, seed=1, requests=(1000, 1000))
        assert first(gates(MARGIN), windows, PROMOTE) is not None

    def test_without_bad_requests_anywhere_a_margin_alone_holds(self) -> None:
        assert decide(gates(MARGIN), steady(300, stable=(900, 0))) is HOLD

    def test_a_limit_alone_rolls_back_what_is_above_it(self) -> None:
        assert decide(gates(LIMIT), draw_windows(60, stable=0.001, canary=0.05, seed=1)) is ROLLBACK

    def test_an_outage_of_both_rolls_nothing_back(self) -> None:
        for raw in (ERRORS, LIMIT, MARGIN):
            for part in (0.1, 0.3, 0.9):
                windows = draw_windows(100, stable=part, canary=part, seed=3)
                assert first(gates(raw), windows, ROLLBACK) is None, (raw, part)

    def test_an_outage_of_both_that_one_window_shows_in_the_canary_alone_rolls_nothing_back(self) -> None:
        """The stable pods were sampled just before it began. Two such windows are this release's own fault."""
        early = [window(0, stable=(300, 0), canary=(72, 36))]
        both = [window(index, stable=(300, 150), canary=(72, 36)) for index in range(1, 30)]
        assert decide(gates(LIMIT), early + both) is HOLD
        assert decide(gates(LIMIT), [*early, window(1, stable=(300, 0), canary=(72, 30))]) is ROLLBACK

    @pytest.mark.parametrize("gate", [LIMIT, ERRORS, MARGIN], ids=["limit", "limit and margin", "margin"])
    @pytest.mark.parametrize("times", [1, 100])
    def test_an_outage_of_both_whose_end_the_canary_shows_a_window_later_rolls_nothing_back(
        self, gate: dict[str, Any], times: int
    ) -> None:
        def after(index: int, stable: int, canary: int) -> Window:
            return window(index, stable=(3750 * times, stable * times), canary=(1250 * times, canary * times))

        calm = [(4, 1)] * 3
        course = [*calm, (3000, 100), (3750, 1250), (0, 1000), *calm]
        assert decide(gates(gate), [after(index, *bad) for index, bad in enumerate(course)]) is not ROLLBACK

    def test_what_was_good_and_slowly_gets_bad_is_rolled_back(self) -> None:
        """From 0.1 % to 5 % over 200 windows, after 100 good ones."""
        good = draw_windows(100, stable=0.001, canary=0.001, seed=4)
        for index in range(200):
            (bad,) = draw_windows(1, stable=0.001, canary=0.001 + 0.049 * index / 200, seed=500 + index)
            good.append(replace(bad, time=good[-1].time + EVERY))
        assert decide(gates(ERRORS), good) is ROLLBACK
        assert decide(gates({**LIMIT, "stage": "post"}, strategy="blueGreen"), good, Stage.POST) is ROLLBACK

    def test_at_full_weight_without_stable_traffic_the_limit_counts(self) -> None:
        windows = steady(3) + steady(40, stable=(0, 0), canary=(1000, 60), first=3)
        assert decide(gates(ERRORS), windows) is ROLLBACK
        assert decide(gates(MARGIN), windows) is HOLD

    def test_promotion_waits_while_the_evidence_leans_the_other_way(self) -> None:
        """4 of 2,400 are below 1 %, but stable had none of 21,600."""
        windows = [window(index, stable=(900, 0), canary=(100, 1)) for index in range(4)]
        windows += steady(20, stable=(900, 0), first=4)
        gate = judge(gates({**ERRORS, "share": 0.01}, QUEUE), windows).gates[0]
        assert gate.in_favour >= gate.in_favour_bar
        assert gate.against >= gate.against_bar**0.5
        assert gate.outcome is Outcome.UNDECIDED

    def test_a_hold_says_how_many_more_requests_and_minutes_are_wanted(self) -> None:
        """3 windows of 100 clean requests, 10 s apart, of the 356 that are wanted; each 100 take 10 s."""
        gate = judge(gates(LIMIT), steady(3)).gates[0]
        assert gate.more in (56, 57)
        assert gate.seconds == pytest.approx(gate.more / 100 * EVERY)
        assert f"needs about {gate.more} more requests" in gate.sentence

    def test_what_it_asks_for_is_about_enough(self) -> None:
        windows = steady(2)
        more = judge(gates(LIMIT), windows).gates[0].more
        assert decide(gates(LIMIT), windows + steady(-(-more // 100), first=2)) is PROMOTE


class TestBlueGreen:
    POLICY = gates({**LIMIT, "stage": "post"}, strategy="blueGreen")

    def test_a_full_switch_is_judged_by_the_limit_both_ways(self) -> None:
        assert decide(self.POLICY, steady(20, stable=None), Stage.POST) is PROMOTE
        assert decide(self.POLICY, steady(20, stable=None, canary=(100, 6)), Stage.POST) is ROLLBACK

    def test_stable_numbers_do_not_count(self) -> None:
        ill = steady(20, stable=(900, 500), canary=(100, 6))
        assert decide(self.POLICY, ill, Stage.POST) is ROLLBACK


class TestGauges:
    def test_eleven_windows_worse_than_stable_roll_back_alone(self) -> None:
        """Six that stand alone: 1.98^6, 1.8^6, 1.5^6 and 1.2^6 have the mean 27.2, and with later starts 20 and more.

        Windows are taken to be alike by 0.3 at first, so that 1.3 / 0.7 = 1.86 of them count as one: 6 x 1.86 = 11.1.
        """
        assert first(gates(QUEUE), steady(20, queue=(2.0, 6.0)), ROLLBACK) == 10

    def test_windows_that_are_alike_count_for_less(self) -> None:
        """The same number of worse windows, in one run and scattered among values that go up and down."""
        slow = [2.0 + 0.1 * index for index in range(30)]
        quick = [slow[(index * 7) % 30] for index in range(30)]
        policy = gates(QUEUE)
        runs, mixed = (
            judge(policy, [window(index, queue=(2.0, value)) for index, value in enumerate(values)]).gates[0].against
            for values in (slow, quick)
        )
        assert mixed > runs

    def test_windows_no_worse_promote(self) -> None:
        assert first(gates(QUEUE), steady(20, queue=(2.0, 2.1)), PROMOTE) is not None

    def test_a_gauge_that_should_be_high(self) -> None:
        lower = gates({**QUEUE, "worse": "lower"})
        assert decide(lower, steady(20, queue=(2.0, 1.0))) is ROLLBACK
        assert decide(lower, steady(20, queue=(2.0, 6.0))) is PROMOTE

    def test_a_limit_holds_where_stable_is_within_it(self) -> None:
        limit = gates({"metric": "queue", "kind": "gauge", "limit": 5})
        assert decide(limit, steady(20, queue=(2.0, 6.0))) is ROLLBACK
        assert decide(limit, steady(20, queue=(7.0, 6.0))) is HOLD
        assert decide(limit, steady(20, queue=(2.0, 4.0))) is PROMOTE


NOTHING = {
    "no window names the metric": steady(100, metric="other"),
    "the canary is missing": steady(100, canary=None),
    "stable is missing": steady(100, stable=None),
    "the canary has no traffic": steady(100, canary=(0, 0)),
    "it is a gauge": [window(index, errors=(1.0, 2.0)) for index in range(100)],
}


class TestWithoutEvidence:
    @pytest.mark.parametrize("windows", NOTHING.values(), ids=NOTHING)
    def test_it_is_never_a_pass_and_never_an_instant_end(self, windows: list[Window]) -> None:
        judgement = judge(gates(ERRORS), windows)
        assert judgement.verdict.said is HOLD
        assert judgement.verdict.blind
        assert "no evidence" in judgement.verdict.reason

    @pytest.mark.parametrize("windows", NOTHING.values(), ids=NOTHING)
    @pytest.mark.parametrize(("then", "end"), [("rollback", ROLLBACK), ("promote", PROMOTE), ("hold", HOLD)])
    def test_its_own_clock_decides(self, windows: list[Window], then: str, end: Said) -> None:
        """After 300 s: the window at 300 s is number 30."""
        policy = gates({**ERRORS, "noEvidence": {"afterSeconds": 300, "then": then}})
        assert decide(policy, windows[:30]) is HOLD
        assert decide(policy, windows[:31]) is end

    def test_a_metrics_outage_of_a_minute_changes_no_verdict(self) -> None:
        outage = steady(6, canary=None, first=10)
        assert decide(gates(ERRORS), steady(10) + outage) is PROMOTE
        assert decide(gates(ERRORS), steady(10) + outage + steady(5, first=16)) is PROMOTE
        strict = gates({**ERRORS, "noEvidence": {"afterSeconds": 120, "then": "rollback"}})
        assert decide(strict, steady(10) + outage) is PROMOTE

    def test_the_clock_starts_anew_with_each_evidence(self) -> None:
        policy = gates({**ERRORS, "noEvidence": {"afterSeconds": 100, "then": "rollback"}})
        windows = [each for index in range(0, 60, 6) for each in (*steady(1, first=index), *NOTHING_AT(index))]
        assert decide(policy, windows) is not ROLLBACK

    @pytest.mark.parametrize("then", ["rollback", "hold"])
    def test_a_margin_that_was_shown_is_not_asked_again_where_no_stable_pod_has_traffic(self, then: str) -> None:
        """For 1,000 s, with a rule that acts after 60 s. Only then, when nothing is heard, its clock begins."""
        policy = gates({**MARGIN, "noEvidence": {"afterSeconds": 60, "then": then}})
        shown = steady(60, stable=(1000, 50), canary=(1000, 5))
        full = shown + steady(100, stable=(0, 0), canary=(2000, 10), first=60)
        judgement = judge(policy, full)
        assert (judgement.verdict.said, judgement.verdict.blind) == (PROMOTE, False)
        end = ROLLBACK if then == "rollback" else HOLD
        assert decide(policy, full + steady(5, stable=None, canary=None, first=160)) is PROMOTE
        assert decide(policy, full + steady(6, stable=None, canary=None, first=160)) is end

    def test_a_margin_that_was_not_shown_has_its_clock_where_no_stable_pod_has_traffic(self) -> None:
        policy = gates({**MARGIN, "noEvidence": {"afterSeconds": 60, "then": "rollback"}})
        few = steady(1, stable=(1000, 50), canary=(1000, 5))
        assert decide(policy, few + steady(5, stable=(0, 0), first=1)) is HOLD
        assert decide(policy, few + steady(6, stable=(0, 0), first=1)) is ROLLBACK

    def test_a_step_that_has_to_show_its_margin_anew_cannot_without_stable_traffic(self) -> None:
        policy = gates({**MARGIN, "scope": "step", "noEvidence": {"afterSeconds": 60, "then": "rollback"}})
        shown = steady(60, stable=(1000, 50), canary=(1000, 5), step=0)
        assert decide(policy, shown) is PROMOTE
        assert decide(policy, shown + steady(6, stable=(0, 0), first=60, step=1)) is ROLLBACK

    def test_undecided_does_not_promote_while_nothing_is_heard(self) -> None:
        policy = gates({**ERRORS, "onUndecided": {"afterSeconds": 60, "then": "promote"}})
        assert decide(policy, steady(2) + steady(20, canary=None, first=2)) is HOLD

    def test_an_earlier_rollback_stays(self) -> None:
        bad = steady(10, canary=(100, 20))
        assert decide(gates(ERRORS), bad + steady(200, canary=None, first=10)) is ROLLBACK
        assert decide(gates(ERRORS), bad + steady(500, first=10)) is ROLLBACK


def NOTHING_AT(index: int) -> list[Window]:  # noqa: N802 - a table of windows
    return steady(5, canary=None, first=index + 1)


class TestUndecided:
    @pytest.mark.parametrize(("then", "end"), [("rollback", ROLLBACK), ("promote", PROMOTE), ("hold", HOLD)])
    def test_a_rule_ends_it(self, then: str, end: Said) -> None:
        policy = gates({**MARGIN, "onUndecided": {"afterSeconds": 300, "then": then}})
        windows = steady(31, stable=(900, 0))
        assert decide(policy, windows[:30]) is HOLD
        assert decide(policy, windows) is end


class TestBreaker:
    def test_150_requests_failing_that_are_half_of_all_are_enough_for_one_window_without_stable_traffic(self) -> None:
        cases = {(290, 149): False, (301, 150): False, (300, 150): True, (150, 150): True}
        for (requests, bad), enough in cases.items():
            for stable in (None, counts(0, 0)):
                answer = breaker.requests(breaker.Failing(), counts(requests, bad), stable, 0.0)
                assert bool(answer[1]) is enough, (requests, bad)

    def test_beside_stable_pods_two_windows_in_a_row_are_wanted_however_many_requests_they_have(self) -> None:
        windows = [window(index, stable=(90_000, 1), canary=(50_000, 26_000)) for index in range(2)]
        assert decide(gates(ERRORS), windows[:1]) is HOLD
        told = judge(gates(ERRORS), windows)
        assert told.verdict.said is ROLLBACK
        # 2 x 26,000 of 2 x 50,000, and 2 x 1 of 2 x 90,000
        words = "52000 of the newest 100000 requests were bad, stable's 2 of 180000 in the same windows"
        assert words in told.verdict.reason

    def test_a_window_that_is_not_plainly_bad_is_in_neither_arms_figure(self) -> None:
        """The first is bad, the second is not; of the last two 2 x 40 of 2 x 50 are, beside 2 x 900."""
        bad = [(50, 40), (50, 0), (50, 40), (50, 40)]
        failing, why = breaker.Failing(), ""
        for all_of, ill in bad:
            failing, why = breaker.requests(failing, counts(all_of, ill), counts(900, 3), 0.0)
        assert failing == breaker.Failing(100, 80, 1800, 6)
        assert why == "80 of the newest 100 requests were bad, stable's 6 of 1800 in the same windows"

    def test_what_an_older_record_did_not_keep_is_not_told(self) -> None:
        policy = gates(ERRORS)
        record = hear(policy, begin(policy.gates), window(0, stable=(900, 0), canary=(50, 40)))
        stored = json.loads(json.dumps(dump(record)))
        assert stored["gates"][0].pop("failingBeside") == [900, 0]
        assert stored["gates"][0]["failing"] == [50, 40]  # what an older build reads
        told = hear(policy, load(policy.gates, stored), window(1, stable=(900, 0), canary=(50, 40)))
        assert told.ended == "errors: 80 of the newest 100 requests were bad"
        whole = hear(policy, load(policy.gates, dump(record)), window(1, stable=(900, 0), canary=(50, 40)))
        assert whole.ended.endswith("bad, stable's 0 of 1800 in the same windows")

    def test_an_older_record_of_no_bad_window_tells_stables_from_then_on(self) -> None:
        policy = gates(ERRORS)
        stored = dump(begin(policy.gates))
        del stored["gates"][0]["failingBeside"]
        assert load(policy.gates, stored).gates[0].failing == breaker.Failing()

    def test_few_requests_have_to_fail_in_windows_in_a_row(self) -> None:
        """20 bad ones each, 40 of both together: a single burst of 20 may fill a window."""
        windows = [window(index, stable=(300, 0), canary=(40, 20)) for index in range(2)]
        slow = gates({**ERRORS, "share": 0.01}, *({**QUEUE, "name": f"q{index}"} for index in range(3)))
        assert decide(slow, windows[:1]) is HOLD
        assert decide(slow, windows) is ROLLBACK

    def test_a_window_without_evidence_in_between_does_not_excuse_them(self) -> None:
        windows = [window(index, stable=(300, 0), canary=(40, 20) if index != 1 else None) for index in range(3)]
        slow = gates({**ERRORS, "share": 0.01}, *({**QUEUE, "name": f"q{index}"} for index in range(3)))
        assert decide(slow, windows) is ROLLBACK

    def test_stable_failing_as_well_is_an_outage_of_both(self) -> None:
        assert decide(gates(ERRORS), steady(20, stable=(900, 400), canary=(100, 60))) is not ROLLBACK

    def test_a_limit_that_allows_it_is_heeded(self) -> None:
        lenient = gates({**LIMIT, "limit": 0.7})
        assert decide(lenient, [window(0, stable=(900, 1), canary=(500, 300))]) is not ROLLBACK

    def test_crash_loops_of_half_the_pods_end_it_at_once(self) -> None:
        ill = {Arm.STABLE: (4, {}), Arm.CANARY: (2, {"crash_looping": 1})}
        assert decide(gates(ERRORS), [window(0, health=ill)]) is ROLLBACK

    def test_pods_unready_for_15_s_beside_stable_ones_end_it(self) -> None:
        """Windows of 10 s: seen at 0, 10 and 20 s."""
        assert decide(gates(ERRORS), steady(2, health=UNREADY)) is HOLD
        assert decide(gates(ERRORS), steady(3, health=UNREADY)) is ROLLBACK

    def test_a_probe_that_failed_once_ends_nothing_in_windows_of_a_second(self) -> None:
        """Unready for 10 s, Kubernetes' readiness period, ready again, and unready again: 22 windows."""
        healths = [UNREADY] * 11 + [{Arm.STABLE: (4, {}), Arm.CANARY: (2, {})}] + [UNREADY] * 10
        windows = [
            replace(window(0, stable=(300, 0), canary=(30, 0), health=ill), time=START + second)
            for second, ill in enumerate(healths)
        ]
        assert decide(gates(ERRORS), windows) is not ROLLBACK

    @pytest.mark.parametrize(("stage", "stable"), [(Stage.POST, None), (Stage.CANARY, (0, 0))], ids=["switch", "100%"])
    def test_where_no_stable_pod_serves_the_second_window_ends_it(
        self, stage: Stage, stable: tuple[int, int] | None
    ) -> None:
        policy = gates({**LIMIT, "stage": "post"}, strategy="blueGreen") if stage is Stage.POST else gates(ERRORS)
        assert decide(policy, steady(1, stable=stable, health=UNREADY), stage) is HOLD
        assert decide(policy, steady(2, stable=stable, health=UNREADY), stage) is ROLLBACK

    def test_an_older_record_says_that_they_were_unready_and_counts_from_its_window(self) -> None:
        policy = gates(ERRORS)
        stored = dump(hear(policy, begin(policy.gates), window(0, health=UNREADY)))
        older = load(policy.gates, {**stored, "unready": True})
        assert older.unready == stored["unready"] == START
        assert load(policy.gates, {**stored, "unready": False}).unready is None
        assert load(policy.gates, {"shape": stored["shape"], "gates": [], "unready": True}).unready is None

    def test_pods_of_both_going_unready_are_an_outage_of_both(self) -> None:
        ill = {Arm.STABLE: (4, {"unready": 2, "crash_looping": 2}), Arm.CANARY: (2, {"unready": 1, "crash_looping": 1})}
        assert decide(gates(ERRORS), steady(3, health=ill)) is not ROLLBACK

    def test_after_a_switch_there_is_no_stable_to_excuse_it(self) -> None:
        policy = gates({**LIMIT, "stage": "post"}, strategy="blueGreen")
        assert decide(policy, [window(0, canary=(500, 260))], Stage.POST) is ROLLBACK


class TestSteps:
    POLICY = gates({**LIMIT, "scope": "step"})

    def test_each_step_has_to_show_it_anew(self) -> None:
        windows = steady(10, step=0)
        assert decide(self.POLICY, windows) is PROMOTE
        assert decide(self.POLICY, windows + steady(1, first=10, step=1)) is HOLD
        assert decide(self.POLICY, windows + steady(10, first=10, step=1)) is PROMOTE

    def test_the_evidence_against_carries_on(self) -> None:
        """The same windows lead to the same end whatever the steps."""
        windows = draw_windows(60, stable=0.001, canary=0.03, seed=7)
        stepped = [replace(each, step=index // 3) for index, each in enumerate(windows)]
        assert first(self.POLICY, stepped, ROLLBACK) == first(self.POLICY, windows, ROLLBACK)


class TestRecord:
    def test_a_window_that_does_not_end_later_is_not_heard(self) -> None:
        policy = gates(ERRORS)
        record = hear(policy, begin(policy.gates), window(5, stable=(900, 1), canary=(100, 1)))
        assert hear(policy, record, window(5, stable=(900, 1), canary=(100, 90))) is record
        assert hear(policy, record, window(4, stable=(900, 1), canary=(100, 90))) is record

    def test_a_restart_after_every_window_changes_nothing(self) -> None:
        policy = gates(ERRORS, QUEUE)
        windows = [
            replace(each, metrics={**each.metrics, **other.metrics})
            for each, other in zip(
                draw_windows(30, stable=0.01, canary=0.02, seed=8),
                steady(30, metric="x", queue=(2.0, 2.2)),
                strict=True,
            )
        ]
        kept = restarted = begin(policy.gates)
        for each in windows:
            kept = hear(policy, kept, each)
            restarted = load(policy.gates, json.loads(json.dumps(dump(hear(policy, restarted, each)))))
            one, other = as_json(verdict(policy, kept)), as_json(verdict(policy, restarted))
            assert [gate["outcome"] for gate in one["gates"]] == [gate["outcome"] for gate in other["gates"]]
            assert [gate["against"] for gate in one["gates"]] == pytest.approx(
                [gate["against"] for gate in other["gates"]], rel=1e-4
            )

    def test_its_size_depends_on_the_gates_alone(self) -> None:
        policy = gates(ERRORS)
        record = begin(policy.gates)
        for each in draw_windows(500, stable=0.01, canary=0.01, seed=9):
            record = hear(policy, record, each)
        assert len(json.dumps(dump(record))) < 2000

    def test_a_gate_that_asks_another_question_starts_anew_and_the_others_go_on(self) -> None:
        policy = gates(ERRORS, QUEUE)
        windows = steady(5, queue=(2.0, 6.0))
        record = begin(policy.gates)
        for each in windows:
            record = hear(policy, record, each)
        edited = gates({**ERRORS, "limit": 0.02}, QUEUE)
        restored = load(edited.gates, dump(record))
        assert [gate.windows for gate in restored.gates] == [0, 5]

    @pytest.mark.parametrize("raw", [None, [], {}, {"gates": 5}])
    def test_what_is_no_record_is_refused(self, raw: Any) -> None:
        with pytest.raises(EvidenceError):
            load(gates(ERRORS).gates, raw)

    def test_damaged_parts_are_refused(self) -> None:
        policy = gates(ERRORS)
        good = dump(begin(policy.gates))
        damaged = [("evidence", [1]), ("windows", -1), ("heard", "?"), ("failing", ["a", "b"]), ("failing", 5)]
        for field, value in [*damaged, ("failingBeside", [1]), ("failingBeside", None)]:
            bad = {**good, "gates": [{**good["gates"][0], field: value}]}
            with pytest.raises(EvidenceError):
                load(policy.gates, bad)


def test_a_policy_without_gates_promotes_and_its_breaker_still_works() -> None:
    assert decide(Gates(), steady(1)) is PROMOTE
    assert decide(Gates(), [window(0, health={Arm.CANARY: (2, {"crash_looping": 2})})]) is ROLLBACK
