"""Panels and dashboards in few words, over Grafana's own builders: one look for all, each with unit and meaning."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from grafana_foundation_sdk.builders.common import ReduceDataOptions, VizLegendOptions, VizTooltipOptions
from grafana_foundation_sdk.builders.dashboard import Dashboard, DatasourceVariable, QueryVariable, Row
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.timeseries import Panel as Timeseries
from grafana_foundation_sdk.models.common import (
    LegendDisplayMode,
    LegendPlacement,
    TooltipDisplayMode,
)
from grafana_foundation_sdk.models.dashboard import DataSourceRef, VariableRefresh

SOURCE: Final = DataSourceRef(type_val="prometheus", uid="${source}")
WIDTH: Final = 24
"""Columns of a dashboard."""


@dataclass(frozen=True)
class Line:
    """One query of a panel, and how its series are called."""

    query: str
    legend: str = ""


@dataclass(frozen=True)
class Graph:
    """Values over time."""

    title: str
    unit: str
    """Grafana's id of the unit: 's', 'reqps', 'percentunit', 'short'."""
    about: str
    """What it tells, and what to think of it."""
    lines: Sequence[Line]
    wide: int = 8
    """Columns of 24."""


@dataclass(frozen=True)
class Number(Graph):
    """The newest value alone."""

    wide: int = 4


@dataclass(frozen=True)
class Section:
    """Panels under a heading."""

    title: str
    panels: Sequence[Graph]


@dataclass(frozen=True)
class Variable:
    """A choice at the head of a dashboard: the values of a label."""

    name: str
    label: str
    query: str


@dataclass(frozen=True)
class Board:
    """A dashboard."""

    name: str
    """Of its file, and the end of its uid."""
    title: str
    about: str
    variables: Sequence[Variable]
    sections: Sequence[Section]


def build_dashboard(board: Board) -> Dashboard:
    """The dashboard as Grafana's builder."""
    made = (
        Dashboard(f"StreamGate / {board.title}")
        .uid(f"streamgate-{board.name}")
        .description(board.about)
        .tags(["streamgate"])
        .refresh("30s")
        .time("now-3h", "now")
        .timezone("browser")
        .readonly()
        .with_variable(DatasourceVariable("source").label("Source").type("prometheus"))
    )
    for variable in board.variables:
        made = made.with_variable(_variable(variable))
    ids = itertools.count(1)
    for section in board.sections:
        made = made.with_row(Row(section.title).id(next(ids)))
        for panel in section.panels:
            made = made.with_panel(_panel(panel).id(next(ids)))
    return made


def _variable(variable: Variable) -> QueryVariable:
    return (
        QueryVariable(variable.name)
        .label(variable.label)
        .datasource(SOURCE)
        .query(variable.query)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .multi(True)
        .include_all(True)
        .all_value(".*")
    )


def _panel(panel: Graph) -> Timeseries | Stat:
    made = _number() if isinstance(panel, Number) else _graph()
    made = made.title(panel.title).description(panel.about).unit(panel.unit).datasource(SOURCE)
    return made.span(panel.wide).targets(list(_targets(panel.lines)))


def _graph() -> Timeseries:
    return (
        Timeseries()
        .height(8)
        .min(0)
        .fill_opacity(5)
        .legend(
            VizLegendOptions().display_mode(LegendDisplayMode.LIST).placement(LegendPlacement.BOTTOM).show_legend(True)
        )
        .tooltip(VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
    )


def _number() -> Stat:
    return Stat().height(4).reduce_options(ReduceDataOptions().calcs(["lastNotNull"]))


def _targets(lines: Iterable[Line]) -> Iterable[Dataquery]:
    for letter, line in zip("ABCDEFGH", lines, strict=False):
        yield Dataquery().ref_id(letter).expr(line.query).legend_format(line.legend).range()
