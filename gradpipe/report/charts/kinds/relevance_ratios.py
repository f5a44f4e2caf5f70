"""The irrelevant curve over the correct one."""

import altair as alt
import polars as pl

from gradpipe.report.chart_data import relevance_ratio_table
from gradpipe.report.charts import sections
from gradpipe.report.charts.chart_files import files_of_cells
from gradpipe.report.charts.curve_lines import curve_lines
from gradpipe.report.charts.drawable_rows import (
    RATIO_POINT,
    drawable,
    in_line_order,
    styles_with_irrelevant,
)
from gradpipe.report.charts.kind import BAND, OF_STATISTIC, ChartKind
from gradpipe.report.charts.notebook_tables import (
    NEEDS_BOTH_RELEVANCES,
    ResultsFrame,
    draw,
    one_cell,
)
from gradpipe.report.charts.page_figure import PageFigure
from gradpipe.report.charts.parts import color_by_style, panels, value_title


def irrelevant_over_correct(
    styles: list[str], *, statistic: str | None = None, log: bool = True, tooltips: bool = True
) -> alt.FacetChart:
    """How many times larger is a statistic for irrelevant responses, layer by layer?

    One panel per projection, one line with its band per style, and a rule at a ratio of 1.
    """
    layers = curve_lines(
        value="ratio",
        color=color_by_style(styles),
        field="style",
        title=value_title(statistic, "ratio of ", unit=False),
        log=log,
        tooltip=["style:N"] if tooltips else None,
        band=True,
    )
    return panels(layers)


def relevance_ratio_rows(curves: pl.DataFrame) -> pl.DataFrame:
    """The irrelevant curve divided by the correct one."""
    ratios = relevance_ratio_table(drawable(curves))
    return in_line_order(ratios, RATIO_POINT)


def relevance_ratios(
    curves: ResultsFrame,
    *,
    statistic: str | None = None,
    model: str | None = None,
    benchmark: str | None = None,
    log: bool = True,
    title: str | None = None,
) -> alt.FacetChart:
    """Draw the curve of irrelevant responses divided by that of correct ones.

    One panel per projection and one line per style, with a band of one standard error each side.

    Args:
        curves: Curves of correct and irrelevant responses, as ``gp.curves`` returns them.
        statistic: As in ``gp.charts.curves``.
        model: As in ``gp.charts.curves``.
        benchmark: As in ``gp.charts.curves``.
        log: Draw ratios on a logarithmic scale.
        title: As in ``gp.charts.curves``.

    Returns:
        An Altair chart with its data.

    Raises:
        DataError: As in ``gp.charts.relevance``.

    Examples:
        >>> pairs = [("Add 2 and 2.", "4"), ("Add 2 and 2.", "Blue.")]
        >>> spectra = gp.extract_spectra(model, tokenizer, pairs).with_columns(
        ...     relevance=pl.col("example").replace_strict({0: "correct", 1: "irrelevant"})
        ... )
        >>> chart = gp.charts.relevance_ratios(gp.curves(spectra))
        >>> len(chart.data.values)  # 4 projections, 3 layers
        12
    """
    table, chosen = one_cell(curves, statistic, model, benchmark)
    return draw(
        RELEVANCE_RATIOS, table, needs=NEEDS_BOTH_RELEVANCES, statistic=chosen, log=log, title=title
    )


RELEVANCE_RATIOS = ChartKind(
    name="irrelevant-over-correct",
    draw=irrelevant_over_correct,
    rows=relevance_ratio_rows,
    color="style",
    value="ratio",
    subtitle=f"The irrelevant curve over the correct one; {BAND}",
    options=OF_STATISTIC,
    files=files_of_cells(lambda inputs: inputs.curves, of_statistic=True),
    figure=PageFigure(
        id="over",
        section=sections.RELEVANCE_SECTION,
        heading="The irrelevant curve divided by the correct one",
        axis="irrelevant / correct",
        names=styles_with_irrelevant,
        caption=(
            "The irrelevant curve divided by the correct one. Above the dotted line, irrelevant "
            "responses have the larger gradients. The band is one standard error on each side, by "
            "the delta method."
        ),
    ),
    function=relevance_ratios,
)
