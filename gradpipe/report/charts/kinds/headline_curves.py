"""The large chart of the page's first screen: a statistic through the layers, at one projection."""

import altair as alt

from gradpipe.report.chart_data import distinct
from gradpipe.report.charts import sections
from gradpipe.report.charts.curve_lines import curve_lines
from gradpipe.report.charts.kind import BAND, OF_STATISTIC, ChartKind
from gradpipe.report.charts.kinds.curves_by_layer import mean_rows
from gradpipe.report.charts.notebook_tables import ResultsFrame, choose, draw, one_cell
from gradpipe.report.charts.page_figure import PageFigure, Picker
from gradpipe.report.charts.parts import color_by_style, panels, value_title
from gradpipe.report.report_data import ReportInputs
from gradpipe.report.style import PANEL_TITLES

_HEIGHT = 330


def curves_of_one_projection(
    styles: list[str], *, statistic: str | None = None, log: bool = False, tooltips: bool = True
) -> alt.FacetChart:
    """How does a statistic change from layer to layer, by response style?

    One large panel of one projection, one line per style, and a band of one standard error each
    side.
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
    return panels(layers, height=_HEIGHT)


def headline(
    curves: ResultsFrame,
    *,
    projection: str | None = None,
    statistic: str | None = None,
    model: str | None = None,
    benchmark: str | None = None,
    log: bool = False,
    title: str | None = None,
) -> alt.FacetChart:
    """Draw a statistic's curve through the layers at one projection, for each response style.

    The large chart of a report's first screen: one line per style, for correct responses, with a
    band of one standard error each side.

    Args:
        curves: Curves as ``gp.curves`` returns them.
        projection: The projection to draw; by default the first.
        statistic: As in ``gp.charts.curves``.
        model: As in ``gp.charts.curves``.
        benchmark: As in ``gp.charts.curves``.
        log: As in ``gp.charts.curves``.
        title: As in ``gp.charts.curves``.

    Returns:
        An Altair chart with its data. ``chart.data.values`` are the rows that it draws.

    Raises:
        DataError: As in ``gp.charts.curves``, or there are no curves of the projection.

    Examples:
        >>> spectra = gp.extract_spectra(model, tokenizer, [("Add 2 and 2.", "4")])
        >>> chart = gp.charts.headline(gp.curves(spectra), projection="o")
        >>> [row["layer"] for row in chart.data.values]
        [0, 1, 2]
    """
    table, chosen = one_cell(curves, statistic, model, benchmark)
    if projection is None:
        projection = next(iter(distinct(table, "projection")), None)
    table = choose(table, projection=projection)
    needs = "curves of correct responses"
    return draw(HEADLINE_CURVES, table, needs=needs, statistic=chosen, log=log, title=title)


def _styles(inputs: ReportInputs) -> list[str]:
    return distinct(inputs.curves, "style")


def _projections(inputs: ReportInputs) -> list[tuple[str, str]]:
    present = distinct(inputs.curves, "projection")
    return [(name, PANEL_TITLES.get(name, name)) for name in present]


HEADLINE_CURVES = ChartKind(
    name="headline",
    draw=curves_of_one_projection,
    rows=mean_rows,
    color="style",
    value="mean",
    subtitle=f"Mean over examples, correct responses; {BAND}",
    log=False,
    options=OF_STATISTIC,
    figure=PageFigure(
        id="headline",
        section=sections.HEADLINE_SECTION,
        heading="The gradient by layer and style",
        axis="{measured}",
        names=_styles,
        caption=(
            "Mean over the correct responses of each style, at one projection; the band is one "
            "standard error on each side."
        ),
        log=False,
        pickers=(Picker(name="projection", label="Projection", choices=_projections),),
    ),
    function=headline,
)
