"""What the page's script draws from: the results once, and the charts' specifications."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from gradpipe.report import charts, look
from gradpipe.report.inputs import ReportInputs
from gradpipe.report.shape import IS_KNOWLEDGE, LEAST_BAND, curve_series, distinct, mad_series
from gradpipe.report.tables import Table

_OF_CURVE = ("model", "benchmark", "statistic")
_OF_MAD = ("model", "statistic", "segment")


@dataclass(frozen=True)
class PageChart:
    """A chart of the page and which rows it draws.

    ``data`` is "curves" or "mad"; ``pick`` names the pickers the chart follows and ``where`` the
    values it is kept to besides. ``margin`` is the width in pixels that axes take, for each panel
    and once.
    """

    id: str
    data: str
    draw: Callable[[list[str], None, bool], Any]
    domain: list[str]
    pick: tuple[str, ...]
    where: dict[str, list[str]] = field(default_factory=dict)
    margin: tuple[int, int] = (38, 12)
    log: bool = True

    def for_page(self) -> dict[str, Any]:
        """The chart as the page's script reads it, with its specification on either scale."""
        return {
            "id": self.id,
            "data": self.data,
            "pick": self.pick,
            "where": self.where,
            "margin": self.margin,
            "start": "log" if self.log else "linear",
            "linear": charts.specification(self.draw(self.domain, None, False)),
            "log": charts.specification(self.draw(self.domain, None, True)),
        }


def page_charts(inputs: ReportInputs) -> list[PageChart]:
    """The charts that the results have rows for, in the page's order."""
    styles = distinct(inputs.curves, "style")
    mad = inputs.mad.filter(pl.col("mad").is_finite())
    reasoning = distinct(mad.filter(~IS_KNOWLEDGE), "style")
    knowledge = mad.filter(IS_KNOWLEDGE)
    lengths, topics = distinct(knowledge, "style"), distinct(knowledge, "benchmark")
    through, against = charts.statistic_through_the_layers, charts.correct_against_irrelevant
    by_style, by_length = charts.mad_by_style, charts.knowledge_by_length
    correct = {"relevance": ["correct"]}
    curves = PageChart("curves", "curves", through, styles, _OF_CURVE, correct, log=False)
    relevance = PageChart("relevance", "curves", against, styles, _OF_CURVE)
    dots = PageChart("mad", "mad", by_style, reasoning, _OF_MAD, {"style": reasoning}, (0, 136))
    by_topic = PageChart(
        "knowledge", "mad", by_length, topics, _OF_MAD, {"style": lengths}, log=False
    )
    has_irrelevant = "irrelevant" in distinct(inputs.curves, "relevance")
    shown = ((curves, styles), (relevance, has_irrelevant), (dots, reasoning), (by_topic, topics))
    return [chart for chart, wanted in shown if wanted]


def page_data(
    inputs: ReportInputs, tables: dict[str, Table], drawn: list[PageChart]
) -> dict[str, Any]:
    """Every curve and MAD once, charts to draw them, and tables by statistic as text."""
    return {
        "curves": curve_series(inputs.curves),
        "mad": mad_series(inputs.mad),
        "charts": [chart.for_page() for chart in drawn],
        "tables": {
            name: {
                "heads": table.heads,
                "rows": {statistic: table.cells(statistic) for statistic in table.statistics},
            }
            for name, table in tables.items()
            if "statistic" in table.frame.columns
        },
        "labels": {
            "style": look.STYLE_LABELS,
            "statistic": look.STATISTIC_LABELS,
            "segment": look.SEGMENT_LABELS,
        },
        "leastBand": LEAST_BAND,
    }
