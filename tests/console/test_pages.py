"""Whole pages: what is on them, and that nothing from a cluster is more than text."""

import math
import re
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.console.board import Board, Kind
from adapter.console.choose import Wish
from adapter.console.history import Point
from adapter.console.pages import hpas, recommendations, releases
from adapter.console.pages.frame import HPAS, RECOMMENDATIONS, RELEASES, Asked
from adapter.console.pages.markup import plain
from adapter.console.pages.spark import HEIGHT, PAD, WIDTH, spark
from adapter.console.pages.times import ago
from adapter.kube.errors import Forbidden, NotFound, Unauthorized, Unreachable
from tests.console.conftest import NASTY, STEPPING, WELL, board, condition, cpu, hostile, hpa, pods, policy, vpa
from tests.console.conftest import NOW as THEN
from tests.console.test_markup import Read

NOW = THEN + 5


def hpa_page(made: Board, wish: Wish = Wish()) -> str:  # noqa: B008 - immutable
    return hpas.page(made, Asked(HPAS, wish, NOW), 600.0)


def release_page(made: Board) -> str:
    return releases.page(made, Asked(RELEASES, Wish(), NOW))


def recommendation_page(made: Board) -> str:
    return recommendations.page(made, Asked(RECOMMENDATIONS, Wish(), NOW))


PAGES = (hpa_page, release_page, recommendation_page)


def words(page: str) -> str:
    return " ".join("".join(Read(page).words).split())


# ---- what is told


def test_an_hpa_has_its_metric_its_size_and_its_reason() -> None:
    told = words(hpa_page(board(hpas=(hpa("web", cpu(60, 90), pods("http_requests", "10", "25"), desired=10),))))
    for part in ("web", "shop", "Deployment web", "90 %", "/ 60 %", "25", "/ 10", "4 → 10", "1 to 20", "scaling",
                 "its metrics ask for 10 replicas"):  # fmt: skip
        assert part in told


def test_a_release_has_its_steps_its_weight_and_its_history() -> None:
    told = words(release_page(board(policies=(policy(status=STEPPING),))))
    for part in ("Stepping", "canary of Deployment web", "step 2 of 3, 25 %", "waits for the gates", "RolledBack",
                 "errors: 12 of 400", "2 releases before"):  # fmt: skip
        assert part in told


def test_a_recommendation_has_its_target_beside_the_request() -> None:
    made = board(vpas=(vpa(conditions=(condition("LowConfidence", "True", "ShortHistory", "less than 12 h"),)),))
    made.seen[Kind.DEPLOYMENTS, ""] = made.last_list(Kind.DEPLOYMENTS, "").after_list(
        [(("shop", "Deployment", "web"), {"app": {"cpu": "500m", "memory": "128Mi"}})], THEN
    )
    told = words(recommendation_page(made))
    for part in ("500 m → 200 m", "-60 %", "128.0 MiB → 128.0 MiB", "LowConfidence less than 12 h", "mode Off"):
        assert part in told


def test_an_empty_cluster_says_so_and_before_the_first_list_that_it_reads() -> None:
    assert "no HPAs that fit" in words(hpa_page(board()))
    assert "reading HPAs …" in words(hpa_page(Board(("",), board().history, refresh=5.0)))


def test_fifty_are_on_a_page_and_the_rest_on_the_next() -> None:
    made = board(hpas=tuple(hpa(f"web-{number:03}", cpu(60, 60)) for number in range(120)))
    page = hpa_page(made, Wish(page=2))
    assert "web-050" in page
    assert "web-049" not in page
    assert "page 2 of 3" in words(page)
    assert 'href="?page=3"' in page


# ---- what cannot be read


def board_in_trouble(error: Exception, kind: Kind = Kind.HPAS) -> Board:
    made = board(hpas=(hpa("web", cpu(60, 90)),), vpas=(vpa(),), policies=(policy(status=STEPPING),))
    made.seen[kind, ""] = made.last_list(kind, "").after_failure(error, THEN + 1)  # type: ignore[arg-type]
    return made


def test_what_one_may_not_list_is_named_and_the_rest_is_there() -> None:
    made = board_in_trouble(Forbidden(403, "Forbidden", 'user "u" cannot list'), Kind.RELEASES)
    told = words(release_page(made))
    assert "you may not list rolloutpolicies.streamgate.io." in told
    assert 'user "u" cannot list' in told
    assert "streamgate-console -n NAMESPACE" in told
    assert "you may not" not in words(hpa_page(made))
    assert "90 %" in words(hpa_page(made))


def test_an_api_server_that_is_away_is_told_since_when_and_the_last_values_are_marked_as_old() -> None:
    page = hpa_page(board_in_trouble(Unreachable("GET /apis: connection refused")))
    since, of = "cannot be read since 2026-11-26 12:00:01 UTC (4 s)", "what is shown is old, of 2026-11-26 12:00:00 UTC"
    assert f"{since}: {of}" in words(page)
    assert "90 %" in words(page)
    assert 'tr class="old"' in page


def test_credentials_that_ran_out_are_told() -> None:
    told = words(hpa_page(board_in_trouble(Unauthorized(401, "Unauthorized", "Unauthorized"))))
    assert "the API server does not know you any more" in told


def test_kinds_that_are_not_installed_are_no_trouble() -> None:
    page = release_page(board_in_trouble(NotFound(404, "NotFound", "the server could not find"), Kind.RELEASES))
    assert "RolloutPolicies are not installed in this cluster" in words(page)
    assert 'class="trouble"><b' not in page


def test_metrics_without_room_for_a_line_are_counted() -> None:
    made = board(hpas=(hpa("a", cpu(60, 90)), hpa("b", cpu(60, 90))), length=2_000_000)  # room for one
    made.remember(THEN)
    assert "1 metrics have no line, there is room for 1" in words(hpa_page(made))


# ---- text is text


def bones(page: str) -> list[tuple[str, frozenset[str]]]:
    """The elements of a page with the names of their attributes."""
    return [(tag, frozenset(attributes)) for tag, attributes in Read(page).elements]


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("text", [one for one in NASTY if one != "\ud800"])
def test_a_hostile_text_changes_no_element_of_the_page(page: Callable[[Board], str], text: str) -> None:
    assert bones(page(hostile(text))) == bones(page(hostile("harmless")))
    assert plain(text).split()[0] in words(page(hostile(text)))


@settings(max_examples=40)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40))
def test_nor_does_any_other_text(text: str) -> None:
    for page in PAGES:
        made = page(hostile(text))
        assert bones(made) == bones(page(hostile("harmless")))
        made.encode()


@pytest.mark.parametrize("page", PAGES)
def test_no_page_has_a_script_or_a_style_of_its_own_or_names_another_host(page: Callable[[Board], str]) -> None:
    """The Content-Security-Policy forbids them; nothing here relies on that."""
    for tag, attributes in Read(page(hostile(NASTY[0]))).elements:
        assert tag != "style"
        assert tag != "script" or attributes == {"src": "/console.js", "defer": None}
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        for name in ("href", "src", "action"):
            assert re.match(r"/(?!/)|\?", attributes.get(name) or "/"), attributes


def test_a_filter_is_shown_as_it_was_typed() -> None:
    wish = Wish(namespace='"><script>', words="<b>", state="x&y")
    page = hpa_page(board(hpas=(hpa("web", cpu(60, 90)),)), wish)
    inputs = [attributes for tag, attributes in Read(page).elements if tag == "input"]
    fields = {one.get("name"): one.get("value") for one in inputs}
    assert fields == {"q": "<b>", "state": "x&y"}
    assert all(tag != "b" for tag, _ in Read(page).elements)


# ---- lines


def lines(given: list[Point], target: float = 10.0) -> list[str]:
    made = spark(given, target=target, now=600.0, seconds=600.0, gap=17.5, label="m")
    return [attributes["points"] for tag, attributes in Read(str(made)).elements if tag == "polyline"]


def test_a_line_is_cut_where_there_was_no_value_and_where_nobody_looked() -> None:
    values = {500: 5.0, 505: 6.0, 510: 5.0, 515: math.nan, 520: 5.0, 525: 5.0, 560: 5.0, 565: 5.0}  # 35 s between two
    points = [Point(float(time), value) for time, value in values.items()]
    assert [len(line.split()) for line in lines(points)] == [3, 2, 2]


def test_a_line_has_all_of_its_points_however_many() -> None:
    (line,) = lines([Point(time / 6, time % 7) for time in range(3600)])
    assert len(line.split()) == 3600


def test_a_level_part_has_its_two_ends() -> None:
    (line,) = lines([Point(float(time), value) for time, value in enumerate([5, 5, 5, 5, 8, 8, 5])])
    assert len(line.split()) == 5  # 0, 3, 4, 5 and 6 s
    (flat,) = lines([Point(float(time), 5.0) for time in range(100)])
    assert len(flat.split()) == 2


def test_time_goes_from_left_to_right_and_the_target_has_its_height() -> None:
    (line,) = lines([Point(0.0, 0.0), Point(10.0, 11.0)])
    first, second = (tuple(map(float, point.split(","))) for point in line.split())
    assert first == (PAD, HEIGHT - PAD)
    assert second[0] == pytest.approx(PAD + (WIDTH - 2 * PAD) * 10 / 600, abs=0.1)
    assert second[1] > 2  # a tenth of the height is left above the highest


@given(
    st.lists(st.tuples(st.floats(0, 700), st.floats(-1e38, 1e38) | st.just(math.nan)), max_size=30),
    st.floats(1e-9, 1e18),
)
def test_any_values_stay_within_the_picture(given_: list[tuple[float, float]], target: float) -> None:
    points = [Point(*one) for one in sorted(given_, key=lambda one: one[0])]
    for line in lines(points, target):
        for point in line.split():
            x, y = map(float, point.split(","))
            assert 0 <= x <= WIDTH
            assert 0 <= y <= HEIGHT


def test_ages_for_people() -> None:
    assert [ago(0.0, now) for now in (-5, 0, 42, 119, 120, 7199, 7200, 172800)] == [
        "0 s", "0 s", "42 s", "119 s", "2 min", "120 min", "2 h", "2 d",
    ]  # fmt: skip
    assert ago(None, 5) == "–"


def test_conditions_that_are_well_are_there_to_be_opened() -> None:
    page = hpa_page(board(hpas=(hpa("web", cpu(60, 60), conditions=WELL),)))
    assert sum(tag == "li" for tag, _ in Read(page).elements) == len(WELL)
