"""A statistic at each layer and projection, as a heatmap per response style."""

import altair as alt
import polars as pl

from gradpipe.report.chart_data import distinct
from gradpipe.report.charts import sections
from gradpipe.report.charts.drawable_rows import POINT, correct_only, in_line_order
from gradpipe.report.charts.kind import ChartKind
from gradpipe.report.charts.notebook_tables import ResultsFrame, draw, one_cell
from gradpipe.report.charts.page_figure import WIDE_MARGIN, PageFigure
from gradpipe.report.charts.parts import name_axis, panels, tooltip_value
from gradpipe.report.report_data import ReportInputs
from gradpipe.report.style import HEAT_COLORS, statistic_with_unit

_LEGEND_PIXELS = 180


def layers_by_projection(
    projections: list[str], *, statistic: str | None = None, log: bool = True
) -> alt.FacetChart:
    """At which layers and projections is a statistic large?

    One panel per style, with one column per layer and one row per projection; all panels have one
    scale of colors.
    """
    bar = alt.Legend(
        title=statistic_with_unit(statistic) if statistic else None,
        gradientLength=_LEGEND_PIXELS,
        format="~g",
        tickCount=4,
    )
    colors = alt.Scale(
        type="log" if log else "linear", range=list(HEAT_COLORS), interpolate="lab", nice=False
    )
    cells = alt.Chart().mark_rect(aria=False)
    encoded = cells.encode(
        x=alt.X("layer:O", title="layer").axis(labelOverlap=True, labelAngle=0, ticks=False),
        y=alt.Y("projection:N", sort=projections, title=None, axis=name_axis()),
        color=alt.Color("mean:Q", scale=colors, legend=bar),
        tooltip=[
            "style:N",
            "projection:N",
            "layer:O",
            tooltip_value("mean", "mean"),
            "examples:Q",
        ],
    )
    return panels(encoded.properties(height=alt.Step(22)), field="style", own=None, height=None)


def heat_rows(curves: pl.DataFrame) -> pl.DataFrame:
    """The means of correct responses."""
    return in_line_order(correct_only(curves), POINT)


def heatmap(
    curves: ResultsFrame,
    *,
    statistic: str | None = None,
    model: str | None = None,
    benchmark: str | None = None,
    log: bool = True,
    title: str | None = None,
) -> alt.FacetChart:
    """Draw a statistic at each layer and projection as a heatmap.

    One panel per style, for correct responses; all panels have one scale of colors.

    Args:
        curves: Curves as ``gp.curves`` returns them.
        statistic: As in ``gp.charts.curves``.
        model: As in ``gp.charts.curves``.
        benchmark: As in ``gp.charts.curves``.
        log: As in ``gp.charts.curves``.
        title: As in ``gp.charts.curves``.

    Returns:
        An Altair chart with its data. ``chart.data.values`` are the rows that it draws.

    Raises:
        DataError: As in ``gp.charts.curves``.

    Examples:
        >>> spectra = gp.extract_spectra(model, tokenizer, [("Add 2 and 2.", "4")])
        >>> chart = gp.charts.heatmap(gp.curves(spectra))
        >>> len(chart.data.values)  # 4 projections, 3 layers
        12
    """
    table, chosen = one_cell(curves, statistic, model, benchmark)
    needs = "curves of correct responses"
    return draw(LAYERS_BY_PROJECTION, table, needs=needs, statistic=chosen, log=log, title=title)


def _projections(inputs: ReportInputs) -> list[str]:
    return distinct(inputs.curves, "projection")


LAYERS_BY_PROJECTION = ChartKind(
    name="heatmap",
    draw=layers_by_projection,
    rows=heat_rows,
    color="projection",
    value="mean",
    subtitle="Mean over examples, correct responses",
    options=("statistic",),
    figure=PageFigure(
        id="heatmap",
        section=sections.CURVES_SECTION,
        heading="Layers and projections at a glance",
        axis="{measured}",
        names=_projections,
        caption=(
            "Mean over the correct responses of each style: one column per layer, one row per "
            "projection. All panels have the same scale of colors, darker for larger values."
        ),
        margin=WIDE_MARGIN,
    ),
    function=heatmap,
)
