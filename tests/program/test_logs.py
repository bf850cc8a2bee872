"""Logs: one JSON line per message, ours and the libraries'; what lasts is told once."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from adapter.program import logs
from adapter.program.logs import Once, Trouble


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = before
    root.setLevel(level)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    out, err = capsys.readouterr()
    assert out == ""
    return [json.loads(line) for line in err.splitlines()]


@pytest.mark.parametrize(("verbosity", "events"), [(0, ["info"]), (4, ["info"]), (5, ["debug", "info"])])
def test_debug_lines_begin_at_verbosity_five(
    verbosity: int, events: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    logs.set_up(verbosity)
    log = structlog.get_logger("any")
    log.debug("debug")
    log.info("info", answer=42)
    found = lines(capsys)
    assert [line["event"] for line in found] == events
    assert (found[-1]["level"], found[-1]["answer"]) == ("info", 42)
    assert found[-1]["timestamp"].endswith("Z")


def test_a_traceback_is_a_dict_without_the_values_of_variables(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up()
    secret = "hush"
    try:
        raise ValueError("wrong")
    except ValueError:
        structlog.get_logger().exception("failed")
    (line,) = lines(capsys)
    (told,) = line["exception"]
    assert (told["exc_type"], told["exc_value"]) == ("ValueError", "wrong")
    assert told["frames"][0]["name"] == "test_a_traceback_is_a_dict_without_the_values_of_variables"
    assert secret not in json.dumps(told)


def test_a_recursion_error_is_a_line_of_bounded_length(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up()

    def deeper() -> None:
        deeper()

    try:
        deeper()
    except RecursionError:
        structlog.get_logger().exception("failed")
    (line,) = lines(capsys)
    assert len(line["exception"][0]["frames"]) <= logs.FRAMES + 1


def test_the_lines_of_libraries_are_json_too_and_come_once(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up()
    logs.set_up()
    logging.getLogger("asyncio").warning("slow %s", "callback")
    logging.getLogger("asyncio").info("not told")
    assert [(line["level"], line["event"]) for line in lines(capsys)] == [("warning", "slow callback")]


def test_once_lets_a_key_through_again_after_its_time_with_another_text_and_after_it_was_over() -> None:
    now = [0.0]
    once = Once(again=600, clock=lambda: now[0])
    assert [once.first("a"), once.first("a"), once.first("b")] == [True, False, True]
    now[0] = 600
    assert once.first("a")
    assert [once.first("c", "lost"), once.first("c", "lost"), once.first("c", "gone")] == [True, False, True]
    assert [once.over("c"), once.over("c"), once.first("c", "gone")] == [True, False, True]


def test_once_without_an_end_never_says_it_again() -> None:
    once = Once(again=None)
    assert [once.first("a"), once.first("a")] == [True, False]


@given(st.lists(st.integers(0, 9)), st.integers(1, 9), st.none() | st.just(600.0))
def test_once_holds_no_more_keys_than_it_may(keys: list[int], most: int, again: float | None) -> None:
    once = Once(most=most, again=again, clock=lambda: 0.0)
    said = [key for key in keys if once.first(key)]
    if len(set(keys)) <= most:
        assert said == list(dict.fromkeys(keys))
    assert sum(once.over(key) for key in range(10)) == min(most, len(set(keys)))


def test_the_trouble_of_a_round_is_one_line() -> None:
    trouble = Trouble()
    with capture_logs() as said:
        trouble.say(structlog.get_logger(), "not written")
        trouble.add("shop/a", ValueError("first"))
        trouble.add("shop/b", ValueError("second"))
        trouble.say(structlog.get_logger(), "not written")
    assert said == [{"event": "not written", "count": 2, "first": "shop/a", "cause": "first", "log_level": "warning"}]
