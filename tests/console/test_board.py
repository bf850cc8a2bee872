"""What is kept of what was read, and what is said where it cannot be read again."""

import math
from typing import Any

import pytest

from adapter.console.board import Ails, Board, Kind, Listed, ails_of
from adapter.console.history import History
from adapter.kube.errors import (
    Forbidden,
    Gone,
    KubeError,
    NotFound,
    ServerError,
    Skipped,
    Unauthorized,
    Undecodable,
    Unreachable,
)
from tests.console.conftest import NOW, board, cpu, hpa

WEB = hpa("web", cpu(60, 90))


@pytest.mark.parametrize(
    ("error", "ails"),
    [
        (Forbidden(403, "Forbidden", "no"), Ails.FORBIDDEN),
        (NotFound(404, "NotFound", "no"), Ails.ABSENT),
        (Unauthorized(401, "Unauthorized", "no"), Ails.UNKNOWN),
        (Unreachable("no answer"), Ails.AWAY),
        (ServerError(503, "ServiceUnavailable", "no"), Ails.AWAY),
        (Gone(410, "Expired", "no"), Ails.AWAY),
        (Undecodable("no JSON"), Ails.AWAY),
        (KubeError(418, "Teapot", "no"), Ails.AWAY),
    ],
)
def test_each_error_has_its_meaning(error: KubeError, ails: Ails) -> None:
    assert ails_of(error) is ails


def test_an_api_server_that_is_away_leaves_the_last_values_and_is_away_since_it_first_was() -> None:
    listed = (
        Listed[Any]()
        .after_list([WEB], NOW)
        .after_failure(Unreachable("a"), NOW + 5)
        .after_failure(Unreachable("b"), NOW + 10)
    )
    assert (listed.items, listed.at) == ((WEB,), NOW)
    assert (listed.trouble.ails, listed.trouble.words, listed.trouble.since) == (Ails.AWAY, "b", NOW + 5)
    assert listed.after_list([], NOW + 15).trouble is None


def test_what_one_may_not_read_any_more_is_not_kept() -> None:
    assert Listed[Any]().after_list([WEB], NOW).after_failure(Forbidden(403, "Forbidden", "no"), NOW + 5).items == ()


def test_what_could_not_be_read_is_remembered_until_the_next_list() -> None:
    odd = Skipped("shop", "odd", "expected `object` at $.spec")
    made = board(hpas=(WEB,))
    made.seen[Kind.HPAS, ""] = (
        made.last_list(Kind.HPAS, "").after_list([WEB], NOW, [odd]).after_failure(Unreachable("a"), NOW + 5)
    )
    assert list(made.unreadable_objects()) == [(Kind.HPAS, "", (odd,))]
    made.seen[Kind.HPAS, ""] = made.last_list(Kind.HPAS, "").after_list([WEB], NOW + 10)
    assert list(made.unreadable_objects()) == []


def test_another_trouble_begins_anew() -> None:
    listed = (
        Listed[Any]()
        .after_failure(Unreachable("a"), NOW)
        .after_failure(Unauthorized(401, "Unauthorized", "b"), NOW + 5)
    )
    assert listed.trouble.since == NOW + 5


def test_while_it_is_away_the_lines_have_a_gap_and_go_on_afterwards() -> None:
    made = board(hpas=(WEB,))
    made.remember(NOW)
    made.seen[Kind.HPAS, ""] = made.last_list(Kind.HPAS, "").after_failure(Unreachable("a"), NOW + 5)
    made.remember(NOW + 5)
    made.seen[Kind.HPAS, ""] = made.last_list(Kind.HPAS, "").after_list([WEB], NOW + 10)
    made.remember(NOW + 10)
    first, gap, last = (one.value for one in made.history.of(WEB.series_key(0)))
    assert (first, last) == (90, 90)
    assert math.isnan(gap)


def test_a_namespace_that_cannot_be_read_costs_no_other_its_lines() -> None:
    other = hpa("web", cpu(60, 70), namespace="lab")
    made = Board(("shop", "lab"), History(length=5), refresh=5.0)
    made.seen[Kind.HPAS, "shop"] = Listed[Any]().after_list([WEB], NOW).after_failure(Unreachable("a"), NOW)
    made.seen[Kind.HPAS, "lab"] = Listed[Any]().after_list([other], NOW)
    made.remember(NOW)
    assert [one.value for one in made.history.of(other.series_key(0))] == [70]
    assert [one.name for one in made.hpas()] == ["web", "web"]
    assert [(kind, namespace) for kind, namespace, _ in made.troubles()] == [(Kind.HPAS, "shop")]
