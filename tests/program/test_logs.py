"""Logs: one JSON line per message, ours and the libraries'; what lasts is told once."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from adapter.program import logs
from adapter.program.logs import Trouble


@pytest.fixture(autouse=True)
def restore_logging() -> Iterator[None]:
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
    records = lines(capsys)
    assert [line["event"] for line in records] == events
    assert (records[-1]["level"], records[-1]["answer"]) == ("info", 42)
    assert records[-1]["timestamp"].endswith("Z")


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


def test_the_trouble_of_a_round_is_one_line() -> None:
    trouble = Trouble()
    with capture_logs() as said:
        trouble.say(structlog.get_logger(), "not written")
        trouble.add("shop/a", ValueError("first"))
        trouble.add("shop/b", ValueError("second"))
        trouble.say(structlog.get_logger(), "not written")
    assert said == [{"event": "not written", "count": 2, "first": "shop/a", "cause": "first", "log_level": "warning"}]
