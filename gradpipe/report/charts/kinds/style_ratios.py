"""One style's curve over another's."""

import altair as alt
import polars as pl

from gradpipe.report.chart_data import distinct, ratio_pairs, style_ratio_table
from gradpipe.report.charts import sections
from gradpipe.report.charts.chart_files import files_of_cells
from gradpipe.report.charts.curve_lines import curve_lines
from gradpipe.report.charts.drawable_rows import RATIO_POINT, correct_only, in_line_order
from gradpipe.report.charts.kind import BAND, OF_STATISTIC, ChartKind
from gradpipe.report.charts.notebook_tables import ResultsFrame, draw, one_cell
from gradpipe.report.charts.page_figure import PageFigure
from gradpipe.report.charts.parts import color_by, cycled, panels, value_title
from gradpipe.report.report_data import ReportInputs
from gradpipe.report.style import PAIR_COLORS, style_label


def ratio_of_styles(
    pairs: list[str], *, statistic: str | None = None, log: bool = True, tooltips: bool = True
) -> alt.FacetChart:
    """How many times larger is a statistic for one style than for another, layer by layer?

    One panel per projection, one line with its band per pair of styles, and a rule at a ratio of 1.
    """
    colors = cycled(PAIR_COLORS, pairs)
    layers = curve_lines(
        value="ratio",
        color=color_by("pair", pairs, colors, title="ratio of styles", symbol="stroke"),
        field="pair",
        title=value_title(statistic, "ratio of ", unit=False),
        log=log,
        tooltip=["pair:N"] if tooltips else None,
        band=True,
    )
    return panels(layers)


def ratio_rows(curves: pl.DataFrame) -> pl.DataFrame:
    """One style's curve divided by another's, for correct responses."""
    return in_line_order(style_ratio_table(correct_only(curves)), ("pair", *RATIO_POINT))


def style_ratios(
    curves: ResultsFrame,
    *,
    statistic: str | None = None,
    model: str | None = None,
    benchmark: str | None = None,
    log: bool = True,
    title: str | None = None,
) -> alt.FacetChart:
    """Draw one style's curve divided by another's, layer by layer.

    One panel per projection and one line per pair of styles, for correct responses, with a band of
    one standard error each side, as if the two curves were independent.

    Args:
        curves: Curves of several styles, as ``gp.curves`` returns them.
        statistic: As in ``gp.charts.curves``.
        model: As in ``gp.charts.curves``.
        benchmark: As in ``gp.charts.curves``.
        log: Draw ratios on a logarithmic scale.
        title: As in ``gp.charts.curves``.

    Returns:
        An Altair chart with its data.

    Raises:
        DataError: As in ``gp.charts.curves``, or there are no two styles to compare.

    Examples:
        >>> pairs = [("Add 2 and 2.", "4"), ("Add 2 and 2.", "2 + 2 = 4, so it is 4.")]
        >>> spectra = gp.extract_spectra(model, tokenizer, pairs).with_columns(
        ...     style=pl.col("example").replace_strict({0: "none", 1: "detailed"})
        ... )
        >>> chart = gp.charts.style_ratios(gp.curves(spectra))
        >>> {row["pair"] for row in chart.data.values}
        {'none / detailed'}
    """
    table, chosen = one_cell(curves, statistic, model, benchmark)
    needs = "correct responses of two styles, such as none and detailed"
    return draw(STYLE_RATIOS, table, needs=needs, statistic=chosen, log=log, title=title)


def _pairs(inputs: ReportInputs) -> list[str]:
    pairs = ratio_pairs(distinct(inputs.curves, "style"))
    return [" / ".join(map(style_label, pair)) for pair in pairs]


STYLE_RATIOS = ChartKind(
    name="ratio",
    draw=ratio_of_styles,
    rows=ratio_rows,
    color="pair",
    value="ratio",
    subtitle=f"One style's curve over another's, correct responses; {BAND}, as if independent",
    options=OF_STATISTIC,
    files=files_of_cells(lambda inputs: inputs.curves, of_statistic=True),
    in_large_studies=True,
    figure=PageFigure(
        id="ratio",
        section=sections.RATIO_SECTION,
        heading="One style’s curve divided by another’s",
        axis="ratio of {statistic}",
        names=_pairs,
        caption=(
            "The curve of the first style divided by that of the second, for correct responses. "
            "Above the dotted line the first is larger. The band is one standard error on each "
            "side, by the delta method, as if the two means were independent."
        ),
    ),
    function=style_ratios,
)
