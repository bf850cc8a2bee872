"""What commands print where the extra that draws tables is not installed."""

import io
import sys

import pytest

from adapter.program.tables import readable, table


def test_without_rich_a_table_is_one_in_markdown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich.console", None)
    out = io.StringIO()
    table([{"container": "web", "cpu": 25}], "targets", out)
    assert out.getvalue() == "| container | cpu |\n|---|---|\n| web | 25 |\n"


def test_people_read_amounts_with_units_and_programs_numbers() -> None:
    record = {"request": {"cpu": 2500, "memory": ""}, "change": {"cpu_millicores": -30, "memory_bytes": -3 * 1024**3}}
    shown = {"request.cpu": "2.5 cores", "request.memory": "", "change.cpu": "-30 m", "change.memory": "-3.0 GiB"}
    assert readable(record) == shown
