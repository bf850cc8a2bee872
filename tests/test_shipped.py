"""What a wheel, and so the image, is made of: the programs and the sample service, no bench and no test."""

from pathlib import Path

import pytest
from setuptools import Distribution

ROOT = Path(__file__).parent.parent


@pytest.fixture
def shipped(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The files that setuptools would put into a wheel, as it finds them by pyproject.toml; nothing is built."""
    monkeypatch.chdir(ROOT)
    distribution = Distribution({"script_name": "setup.py"})  # a name that it asks for; there is no such file
    distribution.parse_config_files()
    build = distribution.get_command_obj("build_py")
    build.ensure_finalized()
    return {str(Path(source)) for source in build.get_output_mapping().values()}


def test_of_the_load_tests_only_the_sample_service_is_shipped(shipped: set[str]) -> None:
    own = {file for file in shipped if file.startswith("loadtest/")}
    assert own == {str(path.relative_to(ROOT)) for path in (ROOT / "loadtest" / "sample").rglob("*.py")}


def test_all_of_the_programs_is_shipped(shipped: set[str]) -> None:
    """Every module, and what is read beside them; a folder without __init__.py is no reason to be left out."""
    wanted = {
        str(path.relative_to(ROOT))
        for program in ("adapter", "recommender")
        for path in (ROOT / program).rglob("*")
        if path.suffix in {".py", ".yaml", ".json", ".css", ".js"} or path.name == "py.typed"
    }
    assert shipped >= wanted


def test_nothing_else_is_shipped(shipped: set[str]) -> None:
    assert {Path(file).parts[0] for file in shipped} == {"adapter", "recommender", "loadtest"}
