"""A statistic through the layers, by response style."""

import altair as alt
import polars as pl

from gradpipe.report.chart_data import distinct
from gradpipe.report.charts import sections
from gradpipe.report.charts.chart_files import files_of_cells
from gradpipe.report.charts.curve_lines import curve_lines
from gradpipe.report.charts.drawable_rows import POINT, correct_only, in_line_order
from gradpipe.report.charts.kind import BAND, OF_STATISTIC, ChartKind
from gradpipe.report.charts.notebook_tables import ResultsFrame, draw, one_cell
from gradpipe.report.charts.page_figure import PageFigure
from gradpipe.report.charts.parts import color_by_style, panels, value_title
from gradpipe.report.report_data import ReportInputs


def statistic_through_the_layers(
    styles: list[str], *, statistic: str | None = None, log: bool = False, tooltips: bool = True
) -> alt.FacetChart:
    """How does a statistic change from layer to layer, by response style?

    One panel per projection, one line per style, and a band of one standard error each side.
    """
    layers = curve_lines(
        value="mean",
        color=color_by_style(styles),
        field="style",
        title=value_title(statistic),
        log=log,
        tooltip=["style:N"] if tooltips else None,
        band=True,
    )
    return panels(layers)


def mean_rows(curves: pl.DataFrame) -> pl.DataFrame:
    """The curves of correct responses, with a band of one standard error each side."""
    return in_line_order(correct_only(curves), POINT)


def curves(
    curves: ResultsFrame,
    *,
    statistic: str | None = None,
    model: str | None = None,
    benchmark: str | None = None,
    log: bool = False,
    title: str | None = None,
) -> alt.FacetChart:
    """Draw a statistic's curve through the layers, for each response style.

    One panel per projection and one line per style, for correct responses, with a band of one
    standard error each side.

    Args:
        curves: Curves as ``gp.curves`` returns them.
        statistic: The statistic to draw; by default "nuclear_norm", or else the first.
        model: The model to draw; needed if the table has several.
        benchmark: The benchmark to draw; needed if the table has several.
        log: Draw values on a logarithmic scale; values of zero or less are left out.
        title: The chart's title; by default the names of model and benchmark.

    Returns:
        An Altair chart with its data. ``chart.data.values`` are the rows that it draws.

    Raises:
        DataError: ``curves`` is another kind of table, has no such rows, or has several models or
            benchmarks and none is chosen.

    Examples:
        >>> pairs = [("Add 2 and 2.", "4"), ("Name a color.", "Blue, or a shade of it.")]
        >>> spectra = gp.extract_spectra(model, tokenizer, pairs)
        >>> chart = gp.charts.curves(gp.curves(spectra), statistic="effective_rank")
        >>> len(chart.data.values)  # 4 projections, 3 layers
        12
    """
    table, chosen = one_cell(curves, statistic, model, benchmark)
    needs = "curves of correct responses"
    return draw(CURVES, table, needs=needs, statistic=chosen, log=log, title=title)


def _styles(inputs: ReportInputs) -> list[str]:
    return distinct(inputs.curves, "style")


CURVES = ChartKind(
    name="curves",
    draw=statistic_through_the_layers,
    rows=mean_rows,
    color="style",
    value="mean",
    subtitle=f"Mean over examples, correct responses; {BAND}",
    log=False,
    options=OF_STATISTIC,
    files=files_of_cells(lambda inputs: inputs.curves, of_statistic=True),
    in_large_studies=True,
    figure=PageFigure(
        id="curves",
        section=sections.CURVES_SECTION,
        heading="Curves by response style",
        axis="{measured}",
        names=_styles,
        caption=(
            "Mean over the correct responses of each style; the band is one standard error on each "
            "side. Each panel has its own vertical scale."
        ),
        log=False,
    ),
    function=curves,
)
