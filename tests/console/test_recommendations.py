"""A VPA on the page: target against request."""

import pytest

from adapter.console.choose import Wish
from adapter.console.pages.frame import RECOMMENDATIONS, Asked
from adapter.console.pages.recommendations import page
from adapter.console.recommendations import change, format_amount
from tests.console.conftest import NOW, board, condition, vpa
from tests.console.test_markup import Read

REQUESTS = {("shop", "Deployment", "web"): {"app": {"cpu": "500m", "memory": "128Mi"}}}


def test_the_request_is_that_of_the_targets_template() -> None:
    view = vpa()
    assert view.request(REQUESTS, "app", "cpu") == 500
    assert view.request(REQUESTS, "sidecar", "cpu") is None
    assert vpa(namespace="lab").request(REQUESTS, "app", "cpu") is None


@pytest.mark.parametrize(
    ("request_", "target", "percent"),
    [(500, 200, -60), (200, 500, 150), (0, 5, None), (None, 5, None), (5, None, None)],
)
def test_a_change_is_of_the_request(request_: int | None, target: int | None, percent: int | None) -> None:
    assert change(request_, target) == percent


def test_amounts_for_people() -> None:
    assert format_amount("cpu", 200) == "200 m"
    assert format_amount("memory", 128 * 2**20 * 1000) == "128.0 MiB"
    assert format_amount("cpu", None) == "–"


def test_a_resource_without_a_number_has_none() -> None:
    cpu, memory = vpa(cpu="200m").advice[0].amounts
    assert (cpu.target, memory.target, memory.lower) == (200, None, 64 * 2**20 * 1000)


def test_what_is_not_a_quantity_is_no_number() -> None:
    assert vpa(cpu="lots").advice[0].amounts[0].target is None


def test_our_conditions_are_told_where_they_are_true() -> None:
    low = condition("LowConfidence", "True", "ShortHistory", "less than 12 h of samples: app")
    provided = condition("RecommendationProvided", "True", "", "n")
    view = vpa(conditions=(low, condition("NoPodsMatched", "False"), provided))
    assert [one.message for one in view.warnings] == ["less than 12 h of samples: app"]
    assert view.note == "n"


def test_the_memory_targets_risk_is_told_and_stands_out_above_the_ceiling() -> None:
    said = "the chance that a day passes the memory target is at most: app"
    within = vpa("calm", conditions=(condition("MemoryRisk", "False", "WithinCeiling", f"{said} 5 %"),))
    above = vpa("tight", conditions=(condition("MemoryRisk", "True", "AboveCeiling", f"{said} 20 %"),))
    made = board(vpas=(within, above, vpa("foreign")))
    words = " ".join(Read(page(made, Asked(RECOMMENDATIONS, Wish(), NOW))).words)
    assert f"{said} 5 %" in words
    assert f"{said} 20 %" in words
    chosen = " ".join(Read(page(made, Asked(RECOMMENDATIONS, Wish(state="risky"), NOW))).words)
    assert "tight" in chosen
    assert "calm" not in chosen
