"""The curves of correct and irrelevant responses together."""

import altair as alt
import polars as pl

from gradpipe.report.charts import sections
from gradpipe.report.charts.chart_files import files_of_cells
from gradpipe.report.charts.curve_lines import curve_lines
from gradpipe.report.charts.drawable_rows import (
    POINT,
    drawable,
    in_line_order,
    of_drawn_relevances,
    styles_with_irrelevant,
)
from gradpipe.report.charts.kind import OF_STATISTIC, ChartKind
from gradpipe.report.charts.notebook_tables import (
    NEEDS_BOTH_RELEVANCES,
    ResultsFrame,
    draw,
    one_cell,
)
from gradpipe.report.charts.page_figure import PageFigure
from gradpipe.report.charts.parts import color_by_style, panels, relevance_dashes, value_title


def correct_against_irrelevant(
    styles: list[str], *, statistic: str | None = None, log: bool = True, tooltips: bool = True
) -> alt.FacetChart:
    """Do irrelevant responses change the curves, and for which styles?

    One panel per projection, one color per style; solid for correct, dashed for irrelevant. On the
    logarithmic scale the gap between the two lines is the relative difference that RD averages.
    """
    layers = curve_lines(
        value="mean",
        color=color_by_style(styles),
        field="style",
        title=value_title(statistic),
        log=log,
        tooltip=["style:N", "relevance:N"] if tooltips else None,
        dash=relevance_dashes(),
    )
    return panels(layers)


def relevance_rows(curves: pl.DataFrame) -> pl.DataFrame:
    """The curves of correct and irrelevant responses; no rows if one of the two is missing."""
    rows = of_drawn_relevances(drawable(curves))
    if rows.get_column("relevance").n_unique() < 2:
        rows = rows.clear()
    return in_line_order(rows, POINT)


def relevance(
    curves: ResultsFrame,
    *,
    statistic: str | None = None,
    model: str | None = None,
    benchmark: str | None = None,
    log: bool = True,
    title: str | None = None,
) -> alt.FacetChart:
    """Draw the curves of correct and irrelevant responses together.

    One panel per projection and one color per style; solid lines for correct responses, dashed
    lines for irrelevant ones.

    Args:
        curves: Curves of correct and irrelevant responses, as ``gp.curves`` returns them.
        statistic: As in ``gp.charts.curves``.
        model: As in ``gp.charts.curves``.
        benchmark: As in ``gp.charts.curves``.
        log: Draw values on a logarithmic scale, where the gap between two lines is their ratio.
        title: As in ``gp.charts.curves``.

    Returns:
        An Altair chart with its data.

    Raises:
        DataError: As in ``gp.charts.curves``, or the curves are all of one relevance.

    Examples:
        >>> pairs = [("Add 2 and 2.", "4"), ("Add 2 and 2.", "Blue.")]
        >>> spectra = gp.extract_spectra(model, tokenizer, pairs).with_columns(
        ...     relevance=pl.col("example").replace_strict({0: "correct", 1: "irrelevant"})
        ... )
        >>> chart = gp.charts.relevance(gp.curves(spectra), log=False)
        >>> len(chart.data.values)  # 2 curves, 4 projections, 3 layers
        24
    """
    table, chosen = one_cell(curves, statistic, model, benchmark)
    return draw(
        CORRECT_AND_IRRELEVANT,
        table,
        needs=NEEDS_BOTH_RELEVANCES,
        statistic=chosen,
        log=log,
        title=title,
    )


CORRECT_AND_IRRELEVANT = ChartKind(
    name="relevance",
    draw=correct_against_irrelevant,
    rows=relevance_rows,
    color="style",
    value="mean",
    subtitle="Mean over examples; solid: correct, dashed: irrelevant",
    options=OF_STATISTIC,
    files=files_of_cells(lambda inputs: inputs.curves, of_statistic=True),
    in_large_studies=True,
    figure=PageFigure(
        id="relevance",
        section=sections.RELEVANCE_SECTION,
        heading="Curves of correct and irrelevant responses",
        axis="{measured}",
        names=styles_with_irrelevant,
        caption=(
            "On the logarithmic scale, the distance between a solid line and its dashed twin is "
            "their ratio."
        ),
    ),
    function=relevance,
)
