"""The charts of the page as specifications, and the sections that they are in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

import polars as pl

from gradpipe.report.charts.kind import ChartKind
from gradpipe.report.charts.kinds import ALL_KINDS
from gradpipe.report.charts.page_figure import PageFigure
from gradpipe.report.charts.parts import specification, unchecked
from gradpipe.report.charts.sections import HEADLINE_SECTION, SECTIONS, Section
from gradpipe.report.charts.step_axis import StepExtent, step_extent
from gradpipe.report.report_data import ReportInputs
from gradpipe.report.steps import with_detail
from gradpipe.report.style_sheet import StyleSheet, current_sheet
from gradpipe.report.tables.table import ReportTable


@dataclass(frozen=True)
class PageChart:
    """A figure of the page with the kind of chart that it draws, for some results.

    ``names`` are the values that its colors distinguish, in order. ``pickers`` has the choices of
    each picker above it; a picker of several charts is above the first one.
    """

    kind: ChartKind
    figure: PageFigure
    names: tuple[str, ...]
    pickers: Mapping[str, list[tuple[str, str]]]
    #: The rows of a figure that has its own.
    rows: pl.DataFrame | None = None

    @property
    def id(self) -> str:
        """The id of the figure."""
        return self.figure.id

    def for_page(self) -> dict[str, Any]:
        """The chart as JSON for the page's script, with one specification per scale."""
        figure = self.figure
        start = "log" if figure.log else "linear"
        scales = ("linear", "log") if figure.scales else (start,)
        rows = figure.rows
        steps = None
        if "steps" in self.kind.options and self.rows is not None:
            steps = step_extent(self.rows)
        return {
            "id": figure.id,
            "heading": figure.heading,
            "axis": figure.axis,
            "margin": figure.margin,
            "start": start,
            "logOf": self.kind.log_of,
            **{s: self._specification(s == "log", steps) for s in scales},
            "rows": rows
            and {
                "block": rows.block,
                "where": rows.where,
                "caption": rows.caption,
                "kind": rows.marks,
                "value": self.kind.value,
            },
        }

    def _specification(self, log: bool, steps: StepExtent | None) -> dict[str, Any]:
        return _specification(self.kind.draw, self.names, log, steps, current_sheet())


@lru_cache(maxsize=256)
def _specification(
    draw: Callable[..., Any],
    names: tuple[str, ...],
    log: bool,
    steps: StepExtent | None,
    _: StyleSheet,
) -> dict[str, Any]:
    """A chart as Vega-Lite, cached because building one takes a tenth of a second."""
    options = {} if steps is None else {"steps": steps}
    with unchecked():
        return specification(draw(list(names), log=log, **options))


@dataclass(frozen=True)
class PageSection:
    """A section as it is shown: its charts by their place in its template, and its tables."""

    section: Section
    template: str
    charts: list[PageChart]
    tables: list[str]

    def at(self, place: str = "") -> list[PageChart]:
        """The charts of one place of the template."""
        return [chart for chart in self.charts if chart.figure.place == place]


def page_charts(inputs: ReportInputs) -> dict[str, PageChart]:
    """The charts that the results have rows for, by id, in the order of the page."""
    shown = with_detail(inputs)
    results = {kind.name: inputs if kind.every_checkpoint else shown for kind in ALL_KINDS}
    drawn = [
        (kind, kind.figure, names)
        for kind in ALL_KINDS
        if kind.figure is not None and (names := tuple(kind.figure.names(results[kind.name])))
    ]
    order = [section.id for section in _all_sections()]
    charts: dict[str, PageChart] = {}
    above: set[str] = set()
    for kind, figure, names in sorted(drawn, key=lambda one: order.index(one[1].section.id)):
        own = [picker for picker in figure.pickers if picker.name not in above]
        of_kind = results[kind.name]
        pickers = {picker.name: list(picker.choices(of_kind)) for picker in own}
        rows = figure.rows.table(of_kind) if figure.rows is not None else None
        charts[figure.id] = PageChart(kind, figure, names, pickers, rows)
        above |= set(pickers)
    return charts


def page_sections(
    charts: Mapping[str, PageChart], tables: Mapping[str, ReportTable]
) -> list[PageSection]:
    """The sections that have a chart, or one of their own tables, in the order of the page.

    That of the first screen, which is in the page's own template, is left out.
    """
    filled = {name for name, table in tables.items() if table.frame.height}
    shown = []
    for section in _all_sections():
        if section == HEADLINE_SECTION:
            continue
        own = [chart for chart in charts.values() if chart.figure.section == section]
        present = [name for name in section.tables if name in filled]
        if own or present:
            shown.append(PageSection(section, _template(section), own, present))
    return shown


def _all_sections() -> list[Section]:
    """The shared sections, and those of single charts behind the ones that they name."""
    ordered = list(SECTIONS)
    for kind in ALL_KINDS:
        if kind.figure is not None and kind.figure.section not in ordered:
            section = kind.figure.section
            places = [i for i, other in enumerate(ordered) if other.id == section.after]
            ordered.insert(places[0] + 1 if places else len(ordered), section)
    return ordered


def _template(section: Section) -> str:
    """The section's own template, or the one for a section of charts and tables."""
    own = f"sections/{section.id}.html.jinja"
    exists = (files("gradpipe.report.page") / own).is_file()
    return own if exists else "sections/plain.html.jinja"
