"""A module that says of itself that it is pure stands in a contract of import-linter that holds it to that."""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CLOCK = "time"
"""Every contract of purity forbids it."""


def contract_modules() -> set[str]:
    """The modules and packages that the contracts of purity in pyproject.toml name."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    pure = (each for each in contracts if each["type"] == "forbidden" and CLOCK in each["forbidden_modules"])
    return {module for each in pure for module in each["source_modules"]}


def modules_claiming_pure() -> Iterator[str]:
    """The modules whose docstring says "Pure"; the fake of the Kubernetes API is for tests alone."""
    for program in ("adapter", "recommender"):
        for path in sorted((ROOT / program).rglob("*.py")):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            text = ast.get_docstring(ast.parse(path.read_text())) or ""
            if "Pure" in text and not module.startswith("adapter.kube.fake"):
                yield module


@pytest.mark.parametrize("module", list(modules_claiming_pure()))
def test_what_says_that_it_is_pure_is_held_to_it(module: str) -> None:
    parts = module.split(".")
    assert {".".join(parts[: end + 1]) for end in range(len(parts))} & contract_modules(), (
        "add it to its room's contract"
    )


def test_the_contracts_name_only_what_there_is() -> None:
    for module in contract_modules():
        path = ROOT.joinpath(*module.split("."))
        assert path.is_dir() or path.with_suffix(".py").is_file(), module
