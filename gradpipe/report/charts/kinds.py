"""Every kind of chart: how it is drawn, and the rows that it draws.

Image files and notebooks draw these kinds; the page draws the same functions, with rows that its
script gathers. To add a chart, write its drawing function and its rows, name it here, and add it to
``report/page/charts.py``, ``static.py`` and ``notebook/``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import altair as alt
import polars as pl

from gradpipe.report.chart_data import RATIOS, distinct
from gradpipe.report.charts import curves, discrimination, effects, examples, rows
from gradpipe.report.charts.parts import with_rows
from gradpipe.report.style import STYLE_LABELS
from gradpipe.report.tables.verdicts import CONTROL_LABELS

_BAND = "band: one standard error each side"


@dataclass(frozen=True, kw_only=True)
class ChartKind:
    """One kind of chart.

    ``draw`` takes the values of the column ``color``, ``log``, and the keyword arguments in
    ``options``. ``value`` is the column of the rows that the logarithmic scale applies to, and
    ``log`` whether the scale is logarithmic by default.
    """

    draw: Callable[..., alt.FacetChart]
    rows: Callable[[pl.DataFrame], pl.DataFrame]
    color: str
    value: str
    subtitle: str
    log: bool = True
    options: tuple[str, ...] = ()

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
        given = {"statistic": statistic, "tooltips": tooltips}
        options: dict[str, Any] = {name: given[name] for name in self.options}
        chart = self.draw(_names(drawn, self.color), log=log, **options)
        shown = drawn.filter(pl.col(self.value) > 0) if log else drawn
        whole: alt.FacetChart = with_rows(chart, _labeled(shown)).properties(
            title=self._title(title), padding=16
        )
        return whole

    def _title(self, text: str) -> alt.TitleParams:
        """The title with the kind's subtitle, which Vega does not show without a title."""
        if not text:
            return alt.TitleParams(text=self.subtitle, fontWeight="normal", fontSize=12, offset=14)
        return alt.TitleParams(text=text, subtitle=self.subtitle, offset=14)


def _names(drawn: pl.DataFrame, column: str) -> list[str]:
    """The values of a column in the order of its colors."""
    if column != "pair":
        return distinct(drawn, column)
    order = [" / ".join(STYLE_LABELS[style] for style in pair) for pair in RATIOS]
    present = drawn.get_column(column).unique(maintain_order=True).to_list()
    return sorted(present, key=lambda pair: order.index(pair) if pair in order else len(order))


def _labeled(drawn: pl.DataFrame) -> pl.DataFrame:
    """Rows with labels for readers in place of the names of styles and controls."""
    labels = {"style": STYLE_LABELS, "control": CONTROL_LABELS}
    return drawn.with_columns(
        pl.col(column).replace(values)
        for column, values in labels.items()
        if column in drawn.columns
    )


_OF_STATISTIC = ("statistic", "tooltips")

#: The kinds of charts by name; most become files of this name.
KINDS = {
    "curves": ChartKind(
        draw=curves.statistic_through_the_layers,
        rows=rows.mean_rows,
        color="style",
        value="mean",
        subtitle=f"Mean over examples, correct responses; {_BAND}",
        log=False,
        options=_OF_STATISTIC,
    ),
    "ratio": ChartKind(
        draw=curves.ratio_of_styles,
        rows=rows.ratio_rows,
        color="pair",
        value="ratio",
        subtitle=f"One style's curve over another's, correct responses; {_BAND}, as if independent",
        options=_OF_STATISTIC,
    ),
    "relevance": ChartKind(
        draw=curves.correct_against_irrelevant,
        rows=rows.relevance_rows,
        color="style",
        value="mean",
        subtitle="Mean over examples; solid: correct, dashed: irrelevant",
        options=_OF_STATISTIC,
    ),
    "irrelevant-over-correct": ChartKind(
        draw=curves.irrelevant_over_correct,
        rows=rows.relevance_ratio_rows,
        color="style",
        value="ratio",
        subtitle=f"The irrelevant curve over the correct one; {_BAND}",
        options=_OF_STATISTIC,
    ),
    "rd": ChartKind(
        draw=curves.layers_of_difference,
        rows=rows.difference_rows,
        color="style",
        value="rd",
        subtitle="|correct − irrelevant| / |correct| by layer; dots: the largest layers",
        options=_OF_STATISTIC,
    ),
    "twins": ChartKind(
        draw=curves.base_against_tuned,
        rows=rows.tuning_rows,
        color="style",
        value="mean",
        subtitle="Mean over examples, correct responses; solid: base, dashed: tuned",
        log=False,
        options=_OF_STATISTIC,
    ),
    "mad": ChartKind(
        draw=curves.mad_by_style,
        rows=rows.mad_rows,
        color="style",
        value="mad",
        subtitle="Mean absolute difference of adjacent layers; filled: correct, hollow: irrelevant",
        options=("statistic",),
    ),
    "knowledge": ChartKind(
        draw=curves.knowledge_by_length,
        rows=rows.knowledge_rows,
        color="benchmark",
        value="mad",
        subtitle="Mean absolute difference of adjacent layers, by the length of the answer",
        log=False,
        options=("statistic",),
    ),
    "relative-difference": ChartKind(
        draw=curves.rd_by_style,
        rows=rows.rd_rows,
        color="style",
        value="rd",
        subtitle="Relative difference of two curves: mean over layers of |s1 − s2| / |s1|",
        options=("statistic",),
    ),
    "discrimination": ChartKind(
        draw=discrimination.auroc_by_layer,
        rows=rows.auroc_rows,
        color="projection",
        value="auroc",
        subtitle="AUROC by layer and projection; 0.5 is chance, and the loss needs no gradient",
        log=False,
        options=("statistic",),
    ),
    "verdicts": ChartKind(
        draw=effects.verdicts_on_a_claim,
        rows=rows.verdict_rows,
        color="verdict",
        value="effect",
        subtitle="Ratio with its 95 % interval; each benchmark's projections from top to bottom",
    ),
    "length": ChartKind(
        draw=effects.length_held_still,
        rows=rows.length_rows,
        color="control",
        value="effect",
        subtitle="Ratio of mean nuclear norms with its 95 % interval, with length held constant",
    ),
    "comparison": ChartKind(
        draw=effects.comparison_of_two_sides,
        rows=rows.comparison_rows,
        color="verdict",
        value="effect",
        subtitle="Ratio of A to B with its 95 % interval; projections from top to bottom",
    ),
    "cosines-same-layer": ChartKind(
        draw=curves.gradients_of_one_model,
        rows=rows.alignment_rows,
        color="style",
        value="mean",
        subtitle=f"Mean cosine of two projections' gradients; {_BAND}",
        log=False,
        options=("tooltips",),
    ),
    "cosines-next-layer": ChartKind(
        draw=curves.gradients_of_one_model,
        rows=rows.alignment_rows,
        color="style",
        value="mean",
        subtitle=f"Mean cosine with the next layer's gradient; {_BAND}",
        log=False,
        options=("tooltips",),
    ),
    "cosines-responses": ChartKind(
        draw=curves.gradients_of_two_responses,
        rows=rows.response_rows,
        color="pair",
        value="mean",
        subtitle=f"Mean cosine of two responses' gradients; {_BAND}",
        log=False,
        options=("tooltips",),
    ),
    "examples": ChartKind(
        draw=examples.size_against_length,
        rows=rows.example_rows,
        color="style",
        value="nuclear_norm",
        subtitle="One dot per example: nuclear norm (mean over layers and projections) by length",
    ),
    "spectra": ChartKind(
        draw=examples.spectra_of_extremes,
        rows=rows.extreme_rows,
        color="end",
        value="value",
        subtitle="The largest and smallest gradients, each where it is largest",
    ),
}
