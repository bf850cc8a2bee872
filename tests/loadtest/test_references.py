"""docs/reference says what the programs' own tables say."""

from pathlib import Path

from loadtest import references
from recommender.telemetry import Telemetry
from tests.manifests.exposed import registries

STALE = "is stale: `make references` writes it anew"


def test_the_page_of_flags_is_what_the_programs_take() -> None:
    assert (references.FOLDER / "flags.md").read_text() == references.flags_page(), f"docs/reference/flags.md {STALE}"


async def test_the_page_of_metrics_is_what_the_programs_expose(tmp_path: Path) -> None:
    made = references.metrics_page(await registries(tmp_path))
    assert (references.FOLDER / "metrics.md").read_text() == made, f"docs/reference/metrics.md {STALE}"


def test_every_verb_and_every_program_has_its_section() -> None:
    text = references.flags_page()
    titles = [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")]
    assert len(titles) == len(set(titles)) > 20
    for title in titles:
        section = text.partition(f"## {title}\n")[2].partition("\n## ")[0]
        assert section.count("\n") > 3, title


def test_a_metric_has_its_labels_although_nothing_was_counted_yet() -> None:
    by_name = {one.name: one for one in references.families(Telemetry().registry)}
    assert by_name["streamgate_recommender_samples_total"].labels == ("result",)
    assert by_name["streamgate_recommender_samples_total"].kind == "counter"
