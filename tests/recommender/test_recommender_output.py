"""What commands print where the extra that draws tables is not installed."""

import io
import sys

import pytest

from recommender.output import table


def test_without_rich_a_table_is_one_in_markdown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich.console", None)
    out = io.StringIO()
    table([{"container": "web", "cpu": 25}], "targets", out)
    assert out.getvalue() == "| container | cpu |\n|---|---|\n| web | 25 |\n"
