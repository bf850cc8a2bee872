"""What an HPA could have reached at best, by hand."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.hpa.model import HpaSpec, PodState, PodValue
from adapter.hpa.read import read_spec
from loadtest.runs.measures import Moment, elasticity
from loadtest.runs.reach import PERIOD_S, over_phases, phases, reach, simulate_hpa
from loadtest.runs.scenarios import replicas_needed
from loadtest.runs.verdicts import verdicts
from tests import would_be
from tests.cluster.adapter import hpa, pods_metric
from tests.loadtest.runs.conftest import Make

DOWN_30 = {"scaleDown": {"stabilizationWindowSeconds": 30}}


def spec(down: int = 30) -> HpaSpec:
    return read_spec(hpa("web", "shop", pods_metric("load", "20"), low=2, high=8, down=down))


def need(load: float) -> int:
    return replicas_needed(load, 20.0, low=2, high=8)


def needs(load: Callable[[float], float], seconds: float) -> list[int]:
    return [need(load((place + 0.5) / 2)) for place in range(int(seconds * 2))]


def test_a_step_is_followed_at_the_next_look_and_back_after_the_window() -> None:
    def load(elapsed: float) -> float:
        return 70.0 if 45 <= elapsed < 125 else 30.0

    moments = simulate_hpa(load, needs(load, 240.0), spec(), 7.5)
    sizes = [moment.have for moment in moments]
    # looks at 7.5, 22.5, 37.5, 52.5, ...: the first after 45 is 52.5; the first after 125 is 127.5. Until 30 s after
    # the last look at 70 requests/s, which was at 112.5, that one holds the size: at 142.5 it is not younger any more.
    assert sizes.index(4) == 105  # 52.5 s
    assert 480 - sizes[::-1].index(4) == 285  # 142.5 s


@pytest.mark.parametrize(("load", "size"), [(43.9, 2), (44.1, 3), (60.0, 3), (65.9, 3), (66.1, 4)])
def test_the_tolerance_is_that_of_the_formula(load: float, size: int) -> None:
    """From 2 and 3 pods at 20 each: up to 44 and 66 requests/s, a tenth over the target, nothing is done."""
    start = 40.0 if load < 50 else 60.0
    moments = simulate_hpa(lambda _: load, [need(start), *[need(load)] * 59], spec(), 5.0)
    assert moments[-1].have == size


@given(st.floats(1.0, 150.0), st.integers(1, 4))
def test_a_level_load_within_the_bounds_is_never_missed(load: float, count: int) -> None:
    for phase in phases(count):
        assert 0 < phase < PERIOD_S
        moments = simulate_hpa(lambda _: load, [need(load)] * 120, spec(), phase)
        assert elasticity(moments).accuracy == 1


@given(st.floats(0.1, 400.0), st.integers(2, 8))
def test_the_load_as_one_number_is_to_the_formula_what_each_pods_share_is(load: float, have: int) -> None:
    """Pods that are all ready and get the same: the formula for Pods, asked directly, wants the same size."""
    pods = {f"web-{number}": PodValue(round(1000 * load / have)) for number in range(have)}
    wanted = would_be.size(pods, [PodState(name) for name in pods], replicas=have, target=20.0, now=1e9)
    total = sum(value.value for value in pods.values()) / 1000
    free = read_spec(hpa("web", "shop", pods_metric("load", "20"), low=1, high=10, down=0))
    assert simulate_hpa(lambda _: total, [have] * 20, free, 5.0)[-1].have == wanted


def test_a_run_tells_what_it_could_have_reached_where_its_hpa_is_known(make: Make) -> None:
    assert reach(make()) is None
    best = reach(make(behavior=DOWN_30))
    assert best is not None
    # The phases 1.5, 4.5, ... 13.5 s: looks come 1.5 to 13.5 s after 45 s, 7.5 on average, with 2 of 4 pods; and down
    # at 128 + ... : 11.5 to 23.5 s after 125 s with 4 of 2.
    assert 1 - (15 * 0.5 + 30 * 1) / 240 < best.low <= best.mean <= best.high < 1
    said = next(one.measured for one in verdicts(make(behavior=DOWN_30)) if one.name == "scaling accuracy")
    assert f"formula would have had {100 * best.mean:.1f} % ({100 * best.low:.1f} to {100 * best.high:.1f}" in said


def test_the_mean_over_phases_lies_between_the_worst_and_the_best() -> None:
    assert over_phases([0.5, 1.0, 0.9]) == pytest.approx((0.8, 0.5, 1.0))
    assert elasticity([Moment(2, 2)]).accuracy == 1
