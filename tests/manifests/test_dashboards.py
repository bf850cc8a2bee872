"""Grafana's dashboards: made by code, in Grafana's schema, and asking only for what somebody exposes."""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from adapter.metrics.promql.read import parse
from loadtest.monitoring.__main__ import BOARDS, files
from tests.manifests.conftest import MANIFESTS, Build
from tests.manifests.exposed import add_recorded, all_of, complaints, metrics_of, others, registries, result_labels

FOLDER = MANIFESTS / "components" / "dashboards"
WRITTEN: Mapping[str, Any] = {board.name: json.loads((FOLDER / f"{board.name}.json").read_text()) for board in BOARDS}


def panels(board: str) -> list[dict[str, Any]]:
    return [panel for panel in WRITTEN[board]["panels"] if panel["type"] != "row"]


def substitute_variables(query: str) -> str:
    """A panel's query as Prometheus gets it, with Grafana's variables replaced."""
    return re.sub(r"\$\w+", lambda match: "5m" if match[0] == "$__rate_interval" else ".*", query)


def test_the_files_are_what_the_code_writes() -> None:
    stale = [path.name for path, text in files().items() if path.read_text() != text]
    assert stale == [], "make dashboards"


@pytest.mark.parametrize("board", WRITTEN)
def test_a_dashboard_is_in_grafanas_schema(board: str) -> None:
    """What Grafana's own types read of it and write again is the same."""
    register_default_plugins()
    read = Dashboard.from_json(WRITTEN[board])
    assert json.loads(JSONEncoder(sort_keys=True).encode(read)) == WRITTEN[board]


async def test_every_query_asks_only_for_metrics_and_labels_that_somebody_exposes(tmp_path: Path) -> None:
    known = add_recorded(all_of([*map(metrics_of, await registries(tmp_path)), others()]))
    problems = []
    for board in WRITTEN:
        for panel in panels(board):
            for target in panel["targets"]:
                query = substitute_variables(target["expr"])
                problems += [f"{board}, {panel['title']}: {said}" for said in complaints(query, known)]
                named = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
                problems += [
                    f"{board}, {panel['title']}: no label {one}" for one in named - result_labels(parse(query), known)
                ]
        for variable in WRITTEN[board]["templating"]["list"]:
            if variable["type"] == "query":
                query, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]).groups()
                problems += complaints(f"max by ({label}) ({substitute_variables(query)})", known)
    assert problems == []


@pytest.mark.parametrize("board", WRITTEN)
def test_every_panel_has_a_title_a_unit_a_meaning_and_a_place_of_its_own(board: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels(board):
        assert panel["title"]
        assert panel["description"].endswith(".")
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["targets"]
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken
        assert at["x"] + at["w"] <= 24
        taken |= cells


def test_ids_are_unique_within_a_dashboard_and_uids_among_them() -> None:
    assert len({board["uid"] for board in WRITTEN.values()}) == len(WRITTEN)
    for board in WRITTEN.values():
        ids = [panel["id"] for panel in board["panels"]]
        assert len(set(ids)) == len(ids)


def test_the_component_brings_all_of_them_where_grafanas_sidecar_finds_them(composed: Callable[..., Build]) -> None:
    held = composed("dashboards").one("ConfigMap", "streamgate-dashboards")
    assert held["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert {name: json.loads(text) for name, text in held["data"].items()} == {
        f"streamgate-{name}.json": board for name, board in WRITTEN.items()
    }
