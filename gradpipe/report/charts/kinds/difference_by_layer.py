"""How far irrelevant responses are from correct ones at each layer."""

import altair as alt
import polars as pl

from gradpipe.report.chart_data import layer_differences
from gradpipe.report.charts import sections
from gradpipe.report.charts.chart_files import files_of_cells
from gradpipe.report.charts.curve_lines import curve_lines
from gradpipe.report.charts.drawable_rows import drawable, in_line_order, styles_with_irrelevant
from gradpipe.report.charts.kind import OF_STATISTIC, ChartKind
from gradpipe.report.charts.notebook_tables import (
    NEEDS_BOTH_RELEVANCES,
    ResultsFrame,
    draw,
    one_cell,
)
from gradpipe.report.charts.page_figure import SHARED_MARGIN, PageFigure
from gradpipe.report.charts.parts import color_by_style, layer_axis, panels, scale, value_title


def layers_of_difference(
    styles: list[str], *, statistic: str | None = None, log: bool = False, tooltips: bool = True
) -> alt.FacetChart:
    """In which layers do irrelevant responses differ most from correct ones?

    One panel per projection, one line per style: RD before its mean over layers. Dots mark the
    layers where it is largest. All panels have one scale, from zero, so that a projection with
    small differences looks like one.
    """
    color, title = color_by_style(styles), value_title(statistic, "RD of ", unit=False)
    lines = curve_lines(
        value="rd",
        color=color,
        field="style",
        title=title,
        log=log,
        tooltip=["style:N"] if tooltips else None,
    )
    y = alt.Y("rd:Q", scale=scale(log), title=title)
    marks = alt.Chart().mark_circle(size=44, opacity=1, aria=False)
    largest = marks.encode(x=layer_axis(), y=y, color=color).transform_filter("datum.largest")
    return panels(lines + largest, own=None)


def difference_rows(curves: pl.DataFrame) -> pl.DataFrame:
    """RD before its mean over layers, and whether a layer is among the largest of its curve."""
    differences = layer_differences(drawable(curves))
    return in_line_order(differences, ("rd", "largest", "se", "examples"))


def difference_by_layer(
    curves: ResultsFrame,
    *,
    statistic: str | None = None,
    model: str | None = None,
    benchmark: str | None = None,
    log: bool = False,
    title: str | None = None,
) -> alt.FacetChart:
    """Draw how far irrelevant responses are from correct ones at each layer.

    |correct − irrelevant| / |correct|, which RD averages over layers. One panel per projection and
    one line per style; dots mark the layers with the largest differences.

    Args:
        curves: Curves of correct and irrelevant responses, as ``gp.curves`` returns them.
        statistic: As in ``gp.charts.curves``.
        model: As in ``gp.charts.curves``.
        benchmark: As in ``gp.charts.curves``.
        log: Draw differences on a logarithmic scale; those of zero are left out.
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
        >>> chart = gp.charts.difference_by_layer(gp.curves(spectra))
        >>> [row["layer"] for row in chart.data.values if row["projection"] == "q"]
        [0, 1, 2]
    """
    table, chosen = one_cell(curves, statistic, model, benchmark)
    return draw(
        DIFFERENCE_BY_LAYER,
        table,
        needs=NEEDS_BOTH_RELEVANCES,
        statistic=chosen,
        log=log,
        title=title,
    )


DIFFERENCE_BY_LAYER = ChartKind(
    name="rd",
    draw=layers_of_difference,
    rows=difference_rows,
    color="style",
    value="rd",
    log=False,
    subtitle="|correct − irrelevant| / |correct| by layer; dots: the largest layers",
    options=OF_STATISTIC,
    files=files_of_cells(lambda inputs: inputs.curves, of_statistic=True),
    figure=PageFigure(
        id="rd",
        section=sections.RELEVANCE_SECTION,
        heading="Relative difference (RD) at each layer",
        axis="RD of {statistic}",
        # RD is an absolute value. A logarithmic axis would blow up the noise of those near zero.
        log=False,
        margin=SHARED_MARGIN,
        names=styles_with_irrelevant,
        caption=(
            "|correct − irrelevant| / |correct| at each layer, of all responses of either kind; RD "
            "is the mean over layers, in the table of the items that have both. Dots mark the "
            "layers with the largest differences. All panels have the same scale."
        ),
    ),
    function=difference_by_layer,
)
