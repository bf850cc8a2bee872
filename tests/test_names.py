"""What functions and variables are called: a verb for what is done, a noun for what is given; nobody has to guess."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILES = sorted(file for room in ("adapter", "recommender", "loadtest", "tests") for file in (ROOT / room).rglob("*.py"))
PARTICIPLE = re.compile(
    r"_*(?:[a-z]+ed|shown|known|seen|given|taken|written|chosen|held|told|found|heard|left|met|said)"
)
NO_PARTICIPLES = {"feed", "need", "speed", "seed", "exceed", "proceed", "succeed", "shed"}
STATE = {"property", "cached_property", "contextmanager", "asynccontextmanager", "fixture"}
"""What is so marked is read as a state, `release.paused`, or with its argument, `with installed(bed)`."""
MAY_STAY = {"unauthorized", "zipped"}
"""Kubernetes' word for a Status; a page of the rubbish that pods serve, named as the others."""


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def is_state(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a decorator says that it is no plain function."""
    return any(set(re.findall(r"\w+", ast.unparse(each))) & STATE for each in function.decorator_list)


def bare_participles(tree: ast.Module) -> list[str]:
    """The functions whose name is a participle alone."""
    names = [function.name for function in functions(tree) if not is_state(function)]
    return [name for name in names if PARTICIPLE.fullmatch(name) and name.strip("_") not in NO_PARTICIPLES | MAY_STAY]


def variables(tree: ast.Module) -> set[str]:
    """The names that functions bind: variables and arguments. A field's name is read with its object: `Page.found`."""
    nodes = [node for function in functions(tree) for node in ast.walk(function)]
    bound = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return bound | {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}


def test_a_function_says_what_it_does_and_a_variable_what_it_holds() -> None:
    unclear = {}
    for file in FILES:
        tree = ast.parse(file.read_text())
        if names := [*bare_participles(tree), *({"found"} & variables(tree))]:
            unclear[str(file.relative_to(ROOT))] = names
    assert unclear == {}


def test_a_bare_participle_and_a_found_would_be_seen() -> None:
    tree = ast.parse("def _named(objects):\n    found = objects[0]\n    return found\n@property\ndef paused(self): ...")
    assert bare_participles(tree) == ["_named"]
    assert "found" in variables(tree)
