"""The large chart of the page's first screen: a statistic through the layers, at one projection."""

import altair as alt

from gradpipe.report.chart_data import distinct
from gradpipe.report.charts import sections
from gradpipe.report.charts.curve_lines import curve_lines
from gradpipe.report.charts.kind import BAND, OF_STATISTIC, ChartKind
from gradpipe.report.charts.kinds.curves_by_layer import mean_rows
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
            "standard error on each side. Responses of different styles differ in length: see what "
            "remains at equal length beside the chart."
        ),
        log=False,
        pickers=(Picker(name="projection", label="Projection", choices=_projections),),
    ),
)
