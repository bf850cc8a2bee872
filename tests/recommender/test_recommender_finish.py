"""Rounding, whole CPUs and policy limits: the cases of VPA's documentation and tests, as facts."""

import pytest

from adapter.kube.objects import ObjectMeta
from adapter.units.quantity import Quantity
from recommender.estimate.postprocess import (
    Amount,
    Numbers,
    PostProcessor,
    Rounding,
    amount,
    cap,
    format_bytes,
    policy_limits,
    round_up,
    whole_cpus,
)
from recommender.objects import ContainerPolicy, ResourcePolicy, Vpa, VpaSpec


def quantities(**texts: str) -> dict[str, Quantity]:
    return {name: Quantity.parse(text) for name, text in texts.items()}


@pytest.mark.parametrize(
    ("value", "scale", "rounded"),
    [(1231241, 13, 1231243), (839500000, 128 * 2**20, 896 * 2**20), (100, 1, 100), (0, 50, 0), (51, 50, 100)],
)
def test_amounts_are_rounded_up_to_a_multiple(value: int, scale: int, rounded: int) -> None:
    assert round_up(value, scale) == rounded


def test_amounts_are_written_as_vpa_writes_them() -> None:
    made = amount(126, 131072000, Rounding())
    assert (str(made.cpu), str(made.memory)) == ("126m", "125Mi")
    assert str(amount(25, 3481230109, Rounding()).memory) == "3481230109"


@pytest.mark.parametrize(
    ("size", "text"), [(2**40, "1.00Ti"), (1536 * 2**20, "1.50Gi"), (262144000, "250.00Mi"), (2048, "2.00Ki"), (7, "7")]
)
def test_humanized_memory_has_two_decimals_in_the_largest_unit_that_fits(size: int, text: str) -> None:
    assert format_bytes(size) == text


def test_humanized_memory_becomes_a_quantity() -> None:
    assert amount(None, 262144000, Rounding(humanize=True)).memory == Quantity.parse("250Mi")


@pytest.mark.parametrize(("cpu", "whole"), [("8600m", "9"), ("5200m", "6"), ("3", "3"), ("1m", "1")])
def test_whole_cpus_are_rounded_up(cpu: str, whole: str) -> None:
    assert str(whole_cpus(Amount(Quantity.parse(cpu), None)).cpu) == whole


def test_limits_hold_both_ways_and_the_upper_one_wins_where_they_cross() -> None:
    bound = Amount(Quantity.parse("100m"), Quantity.parse("1Gi"))
    limits = policy_limits(quantities(cpu="200m", memory="2Gi"), quantities(memory="1500Mi"), {})
    assert [str(value) for value in cap(bound, limits)] == ["200m", "1500Mi"]


def test_a_limit_for_all_fills_in_for_resources_that_the_policy_does_not_limit() -> None:
    bound = Amount(Quantity.parse("5"), Quantity.parse("9Gi"))
    limits = policy_limits({}, quantities(cpu="4"), quantities(cpu="1", memory="8Gi"))
    assert [str(value) for value in cap(bound, limits)] == ["4", "8Gi"]


def test_a_zero_limit_is_no_limit() -> None:
    bound = Amount(Quantity.parse("5"), None)
    assert cap(bound, policy_limits({}, quantities(cpu="0"), {})) == bound


def test_a_resource_that_is_not_controlled_stays_out() -> None:
    assert amount(None, None, Rounding()) == Amount(None, None)


@pytest.mark.parametrize(
    ("controlled", "told"),
    [
        (None, ["cpu", "memory"]),
        (("cpu", "memory"), ["cpu", "memory"]),
        (("cpu",), ["cpu"]),
        (("memory",), ["memory"]),
        ((), []),
    ],
)
def test_only_resources_that_the_policy_controls_are_recommended(
    controlled: tuple[str, ...] | None, told: list[str]
) -> None:
    policy = ContainerPolicy(container_name="*", controlled_resources=controlled)
    vpa = Vpa(metadata=ObjectMeta(name="web"), spec=VpaSpec(resource_policy=ResourcePolicy((policy,))))
    finish = PostProcessor(rounding=Rounding(), most={}, integer_cpu=False)
    made = finish.recommendation(vpa, "web", Numbers((100, 50, 200), (2**28, 2**27, 2**29), confidence=1.0))
    assert all(sorted(bound) == told for bound in (made.target, made.lower_bound, made.upper_bound))
    assert sorted(made.uncapped_target) == told
