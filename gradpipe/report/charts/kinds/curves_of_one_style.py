"""The curves of one response style apart: by model, or with all projections in one panel."""

import altair as alt
import polars as pl

from gradpipe.report.chart_data import distinct
from gradpipe.report.charts import sections
from gradpipe.report.charts.curve_lines import curve_lines
from gradpipe.report.charts.drawable_rows import POINT, correct_only, in_line_order
from gradpipe.report.charts.kind import BAND, OF_STATISTIC, ChartKind
from gradpipe.report.charts.kinds.curves_by_layer import mean_rows
from gradpipe.report.charts.notebook_tables import (
    ResultsFrame,
    checked,
    choose,
    choose_statistic,
    draw,
    one_cell,
)
from gradpipe.report.charts.page_figure import SHARED_MARGIN, PageFigure, Picker
from gradpipe.report.charts.parts import color_by, cycled, panels, value_title
from gradpipe.report.report_data import REPORT_CURVE_COLUMNS, ReportInputs
from gradpipe.report.steps import detailed_models
from gradpipe.report.style import PAIR_COLORS, style_label


def models_over_one_another(
    models: list[str], *, statistic: str | None = None, log: bool = False, tooltips: bool = True
) -> alt.FacetChart:
    """How do models differ from layer to layer?

    One panel per projection and one line per model or checkpoint, for one style. Layers are
    numbered from the first one of each model.
    """
    colors = cycled(PAIR_COLORS, models)
    layers = curve_lines(
        value="mean",
        color=color_by("model", models, colors, title="model", symbol="stroke"),
        field="model",
        title=value_title(statistic),
        log=log,
        tooltip=["model:N", "style:N"] if tooltips else None,
        band=True,
    )
    return panels(layers)


def projections_of_each_style(
    projections: list[str],
    *,
    statistic: str | None = None,
    log: bool = True,
    tooltips: bool = True,
) -> alt.FacetChart:
    """How do the projections of one style differ, style by style?

    One small panel per style, all with one vertical scale, and one line per projection.
    """
    colors = cycled(PAIR_COLORS, projections)
    layers = curve_lines(
        value="mean",
        color=color_by("projection", projections, colors, title="projection", symbol="stroke"),
        field="projection",
        title=value_title(statistic),
        log=log,
        tooltip=["projection:N", "style:N"] if tooltips else None,
    )
    return panels(layers, field="style", own=None)


def rows_of_models(curves: pl.DataFrame) -> pl.DataFrame:
    """The curves of correct responses of every model, with a band of one standard error."""
    return in_line_order(correct_only(curves), ("model", *POINT))


def curves_of_models(
    curves: ResultsFrame,
    *,
    style: str | None = None,
    statistic: str | None = None,
    benchmark: str | None = None,
    log: bool = False,
    title: str | None = None,
) -> alt.FacetChart:
    """Draw the curves of several models over one another, for one response style.

    One panel per projection and one line per model, for correct responses, with a band of one
    standard error each side.

    Args:
        curves: Curves of the models as ``gp.curves`` returns them.
        style: The response style to draw; needed if the table has several.
        statistic: As in ``gp.charts.curves``.
        benchmark: As in ``gp.charts.curves``.
        log: As in ``gp.charts.curves``.
        title: The chart's title; by default the names of benchmark and style.

    Returns:
        An Altair chart with its data. ``chart.data.values`` are the rows that it draws.

    Raises:
        DataError: ``curves`` is another kind of table, has no such rows, or has several benchmarks
            or styles and none is chosen.

    Examples:
        >>> spectra = gp.extract_spectra(model, tokenizer, [("Add 2 and 2.", "4")])
        >>> curves = gp.curves(
        ...     pl.concat(spectra.with_columns(model=pl.lit(name)) for name in ("one", "other"))
        ... )
        >>> chart = gp.charts.curves_of_models(curves)
        >>> {row["model"] for row in chart.data.values} == {"one", "other"}
        True
    """
    table, chosen = choose_statistic(checked(curves, REPORT_CURVE_COLUMNS, "gp.curves"), statistic)
    table = choose(table, benchmark=benchmark, style=style)
    if title is None:
        names = [*distinct(table, "benchmark"), *map(style_label, distinct(table, "style"))]
        title = " · ".join(name for name in names if name)
    needs = "curves of correct responses"
    return draw(CURVES_OF_MODELS, table, needs=needs, statistic=chosen, log=log, title=title)


def curves_of_styles(
    curves: ResultsFrame,
    *,
    statistic: str | None = None,
    model: str | None = None,
    benchmark: str | None = None,
    log: bool = True,
    title: str | None = None,
) -> alt.FacetChart:
    """Draw the curves of each response style apart, with all projections in one panel.

    One panel per style, all with one vertical scale, and one line per projection, for correct
    responses.

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
        >>> chart = gp.charts.curves_of_styles(gp.curves(spectra))
        >>> len(chart.data.values)  # 4 projections, 3 layers
        12
    """
    table, chosen = one_cell(curves, statistic, model, benchmark)
    needs = "curves of correct responses"
    return draw(CURVES_OF_STYLES, table, needs=needs, statistic=chosen, log=log, title=title)


def _models(inputs: ReportInputs) -> list[str]:
    models = detailed_models(distinct(inputs.curves, "model"), inputs.steps)
    return models if len(models) > 1 else []


def _projections(inputs: ReportInputs) -> list[str]:
    return distinct(inputs.curves, "projection")


def _styles(inputs: ReportInputs) -> list[tuple[str, str]]:
    return [(name, style_label(name)) for name in distinct(inputs.curves, "style")]


CURVES_OF_MODELS = ChartKind(
    name="models",
    draw=models_over_one_another,
    rows=rows_of_models,
    color="model",
    value="mean",
    subtitle=f"Mean over examples, correct responses; {BAND}",
    log=False,
    options=OF_STATISTIC,
    figure=PageFigure(
        id="models",
        section=sections.CURVES_SECTION,
        heading="Models over one another",
        axis="{measured}",
        names=_models,
        caption=(
            "The curves of models for one style, on the benchmark chosen above: means over "
            "correct responses, with a band of one standard error on each side."
        ),
        log=False,
        boxes="Models drawn",
        pickers=(Picker(name="models_style", label="Style", choices=_styles),),
    ),
    function=curves_of_models,
)
CURVES_OF_STYLES = ChartKind(
    name="styles",
    draw=projections_of_each_style,
    rows=mean_rows,
    color="projection",
    value="mean",
    subtitle="Mean over examples, correct responses",
    options=OF_STATISTIC,
    figure=PageFigure(
        id="styles",
        section=sections.CURVES_SECTION,
        heading="Style by style",
        axis="{measured}",
        names=_projections,
        caption=(
            "One panel per style, all with the same vertical scale, and one line per projection: "
            "means over correct responses."
        ),
        margin=SHARED_MARGIN,
    ),
    function=curves_of_styles,
)
