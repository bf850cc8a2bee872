"""README and docs: links lead somewhere, commands name what there is, and each page is found from the README."""

import re
import subprocess
import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.page import INSTALL, indented_blocks

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^(?P=indent)```$", re.M | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\((?P<target>[^()\s]+(?:\([^()\s]*\))?)\)")
HEADING = re.compile(r"^#{1,6} +(?P<text>.*?) *#*$", re.MULTILINE)
COMMAND = re.compile(
    r"(?:^|[;&|] |\$ |\bif |\()(?:kubectl )?(streamgate-(?:adapter|recommender|rollout|doctor|console))(?=\s|$)"
    r"([^|;&#)]*)"
)
FLAG = re.compile(r"(?<!\S)--([a-z][a-z0-9-]*)")
EVERYWHERE = {"help", "version"}
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@cache
def text(page: Path) -> str:
    return page.read_text()


def prose(page: Path) -> str:
    """The page without code: what looks like a link there is none."""
    return SPAN.sub("", FENCE.sub("", text(page)))


@cache
def anchors(page: Path) -> frozenset[str]:
    """The places of a page, as GitHub names them: of several alike the second is `…-1`."""
    counts: dict[str, int] = {}
    for heading in HEADING.finditer(FENCE.sub("", text(page))):
        words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading["text"])
        name = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
        counts[name] = counts.get(name, -1) + 1
    again = (f"{name}-{number}" for name, most in counts.items() for number in range(1, most + 1))
    return frozenset([*counts, *again])


def code(page: Path) -> Iterator[str]:
    """Every line of code: of fences, with lines that a backslash joins as one; of indented blocks; of spans."""
    for fence in FENCE.finditer(text(page)):
        yield from re.sub(r" *\\\n *", " ", fence["text"]).splitlines()
    rest = FENCE.sub("", text(page))
    yield from (line.strip() for line in rest.splitlines() if line.startswith("    "))
    yield from SPAN.findall(rest)


@each_page
def test_each_link_leads_to_a_file_and_a_place_in_it(page: Path) -> None:
    for link in LINK.finditer(prose(page)):
        target, _, place = link["target"].partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), link["target"]
        assert not place or place in anchors(file), f"{link['target']}: there is {sorted(anchors(file))}"


@each_page
def test_each_make_target_that_it_names_is_there(page: Path) -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for line in code(page):
        for name in re.findall(r"^(?:\$ )?make ([a-z][a-z-]*)", line):
            assert name in targets, line


@cache
def flags_by_command() -> dict[str, frozenset[str]]:
    """Program, or program and verb -> the flags that the reference lists; another test keeps that true."""
    sections = re.split(r"^## ", text(DOCS / "reference" / "flags.md"), flags=re.MULTILINE)[1:]
    return {part.partition("\n")[0]: frozenset(re.findall(r"--([a-z][a-z0-9-]*)", part)) for part in sections}


def allowed_flags(program: str, arguments: str) -> frozenset[str]:
    """The flags that a command may have. Raises KeyError for a verb that is none."""
    word = next(iter(arguments.split()), "")
    verb = f"{program} {word}" if re.fullmatch("[a-z]+", word) else ""
    whole = program if program in flags_by_command() else f"{program} run"
    if verb and program not in ("streamgate-doctor", "streamgate-console"):
        own = flags_by_command()[verb]
        return own if program == "streamgate-rollout" else own | flags_by_command()[whole]
    return flags_by_command()[whole]


@each_page
def test_each_verb_and_flag_of_our_programs_that_it_names_is_there(page: Path) -> None:
    for line in code(page):
        for program, arguments in COMMAND.findall(line):
            wanted = set(FLAG.findall(arguments)) - EVERYWHERE
            try:
                assert wanted <= allowed_flags(program, arguments), (
                    f"{line}: {wanted - allowed_flags(program, arguments)}"
                )
            except KeyError as unknown:
                pytest.fail(f"{line}: {unknown} is no verb")


@each_page
def test_each_metric_of_ours_that_it_names_is_exposed_or_recorded(page: Path) -> None:
    groups: Any = yaml.safe_load((ROOT / "manifests/components/alerts/rules.yaml").read_text())["groups"]
    recorded = {part for group in groups for rule in group["rules"] for part in rule.get("record", "").split(":")}
    exposed = set(re.findall(r"^\| `(\w+)`", text(DOCS / "reference" / "metrics.md"), re.MULTILINE))
    for line in code(page):
        for name in re.findall(r"\bstreamgate_(?:[a-z]+_)*[a-z]+\b(?![*.])", line):
            stem = re.sub(r"_(bucket|sum|count|total)$", "", name)
            assert {name, stem, f"{name}_total"} & (exposed | recorded), f"{name} in {line}"


@each_page
def test_each_file_of_the_tree_that_it_names_is_there(page: Path) -> None:
    for line in SPAN.findall(FENCE.sub("", text(page))):
        for path in re.findall(r"^(?:manifests|tests|loadtest|docs)/[\w./-]+", line):
            assert (ROOT / path).exists() or list(ROOT.glob(f"{path}*")), path


@each_page
def test_each_manifest_that_a_command_names_is_there(page: Path) -> None:
    for line in code(page):
        for path in re.findall(r"(?<![\w/…])manifests/[\w./-]+", line):
            assert (ROOT / path).exists(), line


@each_page
def test_bash_can_read_each_script(page: Path) -> None:
    for fence in FENCE.finditer(text(page)):
        if fence["language"] == "bash":
            script = textwrap.dedent(fence["text"])
            done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr


@each_page
def test_each_block_of_yaml_can_be_read(page: Path) -> None:
    for fence in FENCE.finditer(text(page)):
        if fence["language"] in ("yaml", "yml"):
            indent = len(fence["indent"])
            body = "\n".join(line[indent:] for line in fence["text"].splitlines())
            assert list(yaml.load_all(body, yaml.CSafeLoader)), body


def linked_pages(page: Path) -> set[Path]:
    """The pages that a page leads to."""
    pages = {(page.parent / link["target"].partition("#")[0]).resolve() for link in LINK.finditer(prose(page))}
    return pages & set(PAGES)


def test_each_page_is_found_from_the_readme() -> None:
    reached: set[Path] = set()
    new = {PAGES[0]}
    while new:
        reached |= new
        new = {page for known in new for page in linked_pages(known)} - reached
    assert set(PAGES) - reached == set()


def test_a_link_to_nowhere_and_a_flag_that_is_none_would_be_found() -> None:
    assert [link["target"] for link in LINK.finditer("see [a](b.md#c) and ![d](img/e.png)")] == ["b.md#c", "img/e.png"]
    assert COMMAND.findall("$ streamgate-doctor -n a | tail") == [("streamgate-doctor", " -n a ")]
    assert COMMAND.findall("kubectl logs deploy/streamgate-adapter --tail=5") == []
    assert "timeout" in allowed_flags("streamgate-rollout", "wait web")
    with pytest.raises(KeyError):
        allowed_flags("streamgate-rollout", "wiat web")


def test_each_heading_of_the_installation_that_has_commands_is_typed_by_a_cluster_test() -> None:
    tests = "".join(file.read_text() for file in (ROOT / "tests" / "cluster").rglob("test_*.py"))
    headings = {block.heading for block in indented_blocks(INSTALL)}
    assert len(headings) >= 6
    assert [
        heading for heading in headings if f'(INSTALL, "{heading}")' not in tests.replace("page.INSTALL", "INSTALL")
    ] == []


def test_each_command_of_the_readme_is_run_by_the_checks_of_a_submission() -> None:
    commands = [
        line[2:].split("#")[0].strip()
        for fence in FENCE.finditer(text(PAGES[0]))
        for line in fence["text"].splitlines()
    ]
    assert commands == ["make run", "make test"]
    assert all(f"\n{command}" in text(ROOT / ".ci" / "run") for command in commands)
