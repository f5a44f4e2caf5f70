"""What a kind of chart is: its drawing, its rows, and where it appears."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import altair as alt
import polars as pl

from gradpipe.report.chart_data import distinct, ratio_pairs
from gradpipe.report.charts.chart_files import FilesOf
from gradpipe.report.charts.page_figure import PageFigure
from gradpipe.report.charts.parts import with_rows
from gradpipe.report.charts.step_axis import step_extent
from gradpipe.report.style import order_of, style_label, style_labels
from gradpipe.report.style_sheet import StyleSheet, current_sheet
from gradpipe.report.tables.verdicts import CONTROL_LABELS

#: What the band around a line is, for subtitles.
BAND = "band: one standard error each side"
#: The options of drawings that name a statistic and have tooltips.
OF_STATISTIC = ("statistic", "tooltips")


@dataclass(frozen=True, kw_only=True)
class ChartKind:
    """One kind of chart: how it is drawn, the rows that it draws, and where it appears.

    ``draw`` takes the values of the column ``color``, ``log``, and the keyword arguments in
    ``options``. ``value`` is the column of the rows that is drawn; a logarithmic scale is one of
    the ``value``, or of training steps if ``log_of`` says so, and ``log`` whether it is the
    default. With ``every_checkpoint`` it appears with all checkpoints of a training run, otherwise
    with those of ``detailed_models``.

    It appears in image files (``files``; with ``in_large_studies`` also if a study has many cells),
    on the page (``figure``) and in notebooks (``function``), each unless it is None. Image files
    have the kind's ``name``.
    """

    name: str
    draw: Callable[..., alt.FacetChart]
    rows: Callable[[pl.DataFrame], pl.DataFrame]
    color: str
    value: str
    subtitle: str
    log: bool = True
    log_of: Literal["value", "step"] = "value"
    every_checkpoint: bool = False
    options: tuple[str, ...] = ()
    files: FilesOf | None = None
    in_large_studies: bool = False
    figure: PageFigure | None = None
    function: Callable[..., alt.FacetChart] | None = None

    def chart(
        self,
        drawn: pl.DataFrame,
        *,
        title: str,
        statistic: str | None = None,
        log: bool | None = None,
        tooltips: bool = False,
    ) -> alt.FacetChart:
        """The chart of ``drawn``, the result of ``rows``, with its data and a title if it has one.

        ``statistic`` is named on the axis, ``tooltips`` show the point nearest to the pointer.
        Values that a logarithmic scale does not have are not drawn.
        """
        log = self.log if log is None else log
        given: dict[str, Any] = {"statistic": statistic, "tooltips": tooltips, "steps": None}
        if "steps" in self.options:
            given["steps"] = step_extent(drawn)
        options: dict[str, Any] = {name: given[name] for name in self.options}
        names = tuple(_names(drawn, self.color))
        chart = _drawn(self.draw, names, log, tuple(options.items()), current_sheet())
        positive = log and self.log_of == "value"
        shown = drawn.filter(pl.col(self.value) > 0) if positive else drawn
        # The rows last: Altair copies a chart for every property, each row included.
        titled: alt.FacetChart = chart.properties(title=self._title(title), padding=16)
        return with_rows(titled, _labeled(shown))

    def _title(self, text: str) -> alt.TitleParams:
        """The title with the kind's subtitle, which Vega does not show without a title."""
        if not text:
            return alt.TitleParams(text=self.subtitle, fontWeight="normal", fontSize=12, offset=14)
        return alt.TitleParams(text=text, subtitle=self.subtitle, offset=14)


@lru_cache(maxsize=256)
def _drawn(
    draw: Callable[..., alt.FacetChart],
    names: tuple[str, ...],
    log: bool,
    options: tuple[tuple[str, Any], ...],
    _: StyleSheet,
) -> alt.FacetChart:
    """A chart without rows, which charts of several models and benchmarks of a report share.

    It is copied, never changed.
    """
    return draw(list(names), log=log, **dict(options))


def _names(drawn: pl.DataFrame, column: str) -> list[str]:
    """The values of a column in the order of its colors."""
    if column != "pair":
        return distinct(drawn, column)
    order = [" / ".join(map(style_label, pair)) for pair in ratio_pairs(order_of("style"))]
    present = drawn.get_column(column).unique(maintain_order=True).to_list()
    return sorted(present, key=lambda pair: order.index(pair) if pair in order else len(order))


def _labeled(drawn: pl.DataFrame) -> pl.DataFrame:
    """Rows with labels for readers in place of the names of styles and controls."""
    labels = {"style": style_labels(), "control": CONTROL_LABELS}
    return drawn.with_columns(
        pl.col(column).replace(values)
        for column, values in labels.items()
        if column in drawn.columns
    )
