"""The bench of steady HPAs: its script, what it reads, and what it would have an HPA want."""

import json
from collections import Counter
from datetime import UTC, datetime

import pytest

from adapter.kube.objects import Condition, ObjectMeta, Pod, PodStatus
from loadtest.steady import LIST_MARKS, MARKS, document, rows, scripts, unwanted_changes
from loadtest.steady_bench.contenders import CONTENDERS, EMBEDDED
from loadtest.steady_bench.disturbances import DISTURBANCES, SHORT
from loadtest.steady_bench.watch import Tally, read, wanted_size
from tests.cluster.steady import Change

NOW = 1_000_000.0
TARGET = 47.2
_, OTHER, _, THIRD, _ = CONTENDERS


def pods(number: int, ready: str = "True") -> list[Pod]:
    since = datetime.fromtimestamp(NOW - 600, UTC)
    status = PodStatus("Running", start_time=since, conditions=(Condition("Ready", ready, last_transition_time=since),))
    return [Pod(metadata=ObjectMeta(name=f"web-{place}"), status=status) for place in range(number)]


def answer(*values: str) -> bytes:
    items = [
        {"describedObject": {"name": f"web-{place}"}, "value": value, "timestamp": "2026-11-26T08:00:00Z"}
        for place, value in enumerate(values)
    ]
    return json.dumps({"items": items}).encode()


@pytest.mark.parametrize(
    ("values", "size"),
    [
        (("50", "50", "50"), 3),  # 50 / 47.2 = 1.059, within the tolerance
        (("50", "50", "57"), 4),  # 157 / 3 / 47.2 = 1.109
        (("50", "0", "0"), 2),  # 50 / 47.2 = 1.06 pods
        (("50",), 3),  # two without a value count as at their target on the way down, as 0 on the way up
        ((), None),
    ],
)
def test_what_the_hpa_would_want(values: tuple[str, ...], size: int | None) -> None:
    assert wanted_size(TARGET, read(answer(*values)), pods(3), NOW) == size


def test_every_kind_of_disturbance_comes_equally_often_and_in_a_known_order() -> None:
    plans = scripts(30, 4, 1, short=False)
    assert Counter(name for plan in plans for name in plan) == dict.fromkeys(DISTURBANCES, 2)
    assert sorted(map(len, plans)) == [7, 7, 8, 8]
    assert plans == scripts(30, 4, 1, short=False) != scripts(30, 4, 2, short=False)


def test_the_short_run_has_the_kinds_that_moved_most() -> None:
    assert {name for plan in scripts(8, 2, 1, short=True) for name in plan} == set(SHORT)
    assert set(SHORT) <= set(DISTURBANCES)


def test_the_table_ends_each_contender_with_its_sums() -> None:
    tally = Tally()
    for phase, seconds in (("load moves", 40), ("deleted pod", 60)):
        tally.looks[EMBEDDED.name, phase] = seconds
        tally.wrong[EMBEDDED.name, phase] = seconds // 20
    embedded_rows = [row for row in rows(tally) if row[0] == EMBEDDED.name]
    assert embedded_rows[-1] == [EMBEDDED.name, "all", "100", "0", "5"]
    assert [row[1] for row in embedded_rows] == ["deleted pod", "load moves", "all"]


def test_a_run_behind_another_source_replaces_its_own_line_alone() -> None:
    table = f"{MARKS[0]}\ntable\n{MARKS[1]}\n"
    page = f"# Steady\n\n{LIST_MARKS[0]}\n- A followed {OTHER.name}: old.\n{LIST_MARKS[1]}\n\n{table}"
    tally = Tally()
    tally.looks.update({(OTHER.name, "crash loop"): 60, (THIRD.name, "crash loop"): 60})
    tally.without[OTHER.name, "crash loop"] = 7
    page = document(page, THIRD, f"B followed {THIRD.name}: 0 changes.", tally)
    page = document(page, OTHER, f"C followed {OTHER.name}: 0 changes.", tally)
    assert page == (
        f"# Steady\n\n{LIST_MARKS[0]}\n"
        f"- B followed {THIRD.name}: 0 changes. Of 60 s 0 without a value of {THIRD.name}, 0 wrong.\n"
        f"- C followed {OTHER.name}: 0 changes. Of 60 s 7 without a value of {OTHER.name}, 0 wrong.\n"
        f"{LIST_MARKS[1]}\n\n{table}"
    )


def test_a_run_behind_the_embedded_source_replaces_the_table() -> None:
    page = f"{LIST_MARKS[0]}\n- B\n{LIST_MARKS[1]}\n{MARKS[0]}\nold\n{MARKS[1]}\nend\n"
    made = document(page, EMBEDDED, "A run.", Tally())
    assert made.startswith(f"{LIST_MARKS[0]}\n- B\n{LIST_MARKS[1]}\n{MARKS[0]}\nA run.\n\n| contender |")
    assert "old" not in made
    assert made.endswith(f"{MARKS[1]}\nend\n")


def test_only_a_change_to_another_size_is_a_move() -> None:
    """3, a rollout at 3, 4 by the HPA, a rollout at 4, back to 3: one move."""
    changes = [Change(NOW + place, place, size) for place, size in enumerate((3, 3, 4, 4, 3))]
    assert unwanted_changes(changes) == [changes[2]]
