"""The table of docs/security.md is that of `make attack`: a new input has its row."""

from pathlib import Path

from tests.attack.attack import attacks

PAGE = Path(__file__).parents[2] / "docs" / "security.md"


def test_each_input_and_source_has_one_row_and_each_row_is_an_input() -> None:
    cells = [line.split(" | ") for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    rows = [(name.removeprefix("| "), source) for name, source, *_ in cells if source in ("embedded", "Prometheus")]
    assert sorted(rows) == sorted((one.name, source.value) for one in attacks() for source in one.sources)
