"""The order and the layers of the Dockerfile; `make image` builds it and looks into the images."""

import re
from pathlib import Path

import pytest

from tests.cluster.image import MOST_MB, layer_sizes, too_large

ROOT = Path(__file__).parent.parent


@pytest.fixture
def stages() -> dict[str, tuple[str, list[str]]]:
    """Name of each stage -> what it stands on, and its instructions; comments left out, continued lines joined."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    matches = re.findall(r"^FROM (\S+) AS (\S+)\n(.*?)(?=^FROM |\Z)", text, re.MULTILINE | re.DOTALL)
    return {name: (base, [line for line in body.splitlines() if line.strip()]) for base, name, body in matches}


Stages = dict[str, tuple[str, list[str]]]


def test_dependencies_are_installed_before_any_source_is_copied(stages: Stages) -> None:
    """So a change of a source leaves the layer of the dependencies as it was."""
    base, lines = stages["dependencies"]
    assert base == "${PYTHON}"
    copied = {name for line in lines if line.startswith("COPY ") for name in line.split()[1:-1]}
    assert copied == {"pyproject.toml", "constraints.txt"}
    assert stages["slim"][0] == stages["build"][0] == "dependencies"


def test_the_three_programs_differ_in_nothing_that_makes_a_layer(stages: Stages) -> None:
    for name in ("adapter", "recommender", "rollout"):
        base, lines = stages[name]
        assert base == "base"
        assert {line.split()[0] for line in lines} <= {"EXPOSE", "ENTRYPOINT"}
        assert lines[-1] == f'ENTRYPOINT ["streamgate-{name}"]'
    assert list(stages)[-1] == "adapter"  # what a build without --target gives


def test_dependencies_and_programs_are_layers_of_their_own(stages: Stages) -> None:
    copies = [line for line in stages["base"][1] if line.startswith("COPY ")]
    assert copies == ["COPY --from=slim /opt/streamgate /opt/streamgate", "COPY --from=build /program /opt/streamgate"]


def test_an_image_above_the_most_megabytes_is_one_sentence() -> None:
    """30 + 49.5 + 70.5 MB are 150, which is allowed, and one byte more is not."""
    manifest = {"layers": [{"size": 30_000_000}, {"size": 49_500_000}, {"size": 70_500_000}]}
    assert too_large("adapter", layer_sizes(manifest)) is None
    manifest["layers"][2]["size"] += 1
    assert too_large("adapter", layer_sizes(manifest)) == (
        "adapter: the image has 150.0 MB compressed, and 150 MB are the most; its largest layer, 3 of 3, has 70.5 MB: "
        "leave out what no program imports"
    )


def test_the_page_has_a_size_below_that_and_says_the_bound() -> None:
    page = (ROOT / "docs/image.md").read_text()
    [together] = re.findall(r"^\| \*\*together\*\* \| \*\*([\d.]+)\*\*", page, re.MULTILINE)
    assert float(together) <= MOST_MB
    assert f"more than {MOST_MB} MB, compressed" in page
