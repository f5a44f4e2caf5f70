"""The MAD of knowledge questions by the length of the answer."""

import altair as alt
import polars as pl

from gradpipe.report.chart_data import IS_KNOWLEDGE, distinct
from gradpipe.report.charts import sections
from gradpipe.report.charts.chart_files import files_of_models
from gradpipe.report.charts.drawable_rows import (
    SEGMENT_PICKER,
    in_dot_order,
    mads_over_all_layers,
    of_drawn_relevances,
)
from gradpipe.report.charts.kind import ChartKind
from gradpipe.report.charts.notebook_tables import (
    MAD_TABLE_COLUMNS,
    ResultsFrame,
    checked,
    choose,
    choose_statistic,
    draw,
)
from gradpipe.report.charts.page_figure import PageFigure
from gradpipe.report.charts.parts import (
    color_by,
    cycled,
    layered,
    panels,
    relevance_dashes,
    scale,
    selected_in_legend,
    tooltip_value,
    unless_dimmed,
    value_title,
)
from gradpipe.report.report_data import ReportInputs
from gradpipe.report.style import BENCHMARK_COLORS, style_label
from gradpipe.styles import KNOWLEDGE_STYLES


def knowledge_by_length(
    benchmarks: list[str], *, statistic: str | None = None, log: bool = False
) -> alt.FacetChart:
    """Do longer answers smooth the curves of knowledge questions, popular or not?

    One panel per projection: MAD by the answer's length. One color per benchmark; solid for
    correct, dashed for irrelevant responses.
    """
    colors = cycled(BENCHMARK_COLORS, benchmarks)
    lengths = [style_label(style) for style in KNOWLEDGE_STYLES]
    selected = selected_in_legend("benchmark")
    shared = {
        "x": alt.X("style:N", sort=lengths, title="length of the answer").axis(labelAngle=0),
        "y": alt.Y("mad:Q", scale=scale(log), title=value_title(statistic, "MAD of ")),
        "color": color_by("benchmark", benchmarks, colors, title="benchmark", symbol="stroke"),
        "opacity": unless_dimmed(selected),
    }
    base = alt.Chart()
    line = base.mark_line(aria=False).encode(**shared, strokeDash=relevance_dashes())
    dots = base.mark_circle(size=46, aria=False).encode(
        **shared, tooltip=["benchmark:N", "style:N", "relevance:N", tooltip_value("mad", "MAD")]
    )
    return panels(layered(line.add_params(selected), dots))


def knowledge_rows(mads: pl.DataFrame) -> pl.DataFrame:
    """The MADs of the lengths of a knowledge answer, over one segment of the layers."""
    return in_dot_order(of_drawn_relevances(mads.filter(IS_KNOWLEDGE)), "mad", "relevance")


def knowledge(
    mads: ResultsFrame,
    *,
    statistic: str | None = None,
    model: str | None = None,
    segment: str = "all",
    log: bool = False,
    title: str | None = None,
) -> alt.FacetChart:
    """Draw the MAD of knowledge questions by the length of the answer.

    One panel per projection and one color per benchmark; solid lines for correct responses, dashed
    lines for irrelevant ones.

    Args:
        mads: MADs as ``gp.mad`` returns them, of the styles "length_100", "length_500",
            "length_1000" or "article".
        statistic: As in ``gp.charts.mad``.
        model: As in ``gp.charts.mad``.
        segment: As in ``gp.charts.mad``.
        log: As in ``gp.charts.mad``.
        title: As in ``gp.charts.mad``.

    Returns:
        An Altair chart with its data.

    Raises:
        DataError: As in ``gp.charts.mad``.

    Examples:
        >>> spectra = gp.extract_spectra(model, tokenizer, [("What is bee?", "An insect.")])
        >>> curves = gp.curves(spectra.with_columns(style=pl.lit("length_100")))
        >>> chart = gp.charts.knowledge(gp.mad(curves))
        >>> {row["style"] for row in chart.data.values}
        {'100 tokens'}
    """
    frame = choose(checked(mads, MAD_TABLE_COLUMNS, "gp.mad"), model=model, segment=segment)
    table, chosen = choose_statistic(frame, statistic)
    needs = "MADs of the styles length_100, length_500, length_1000 or article"
    return draw(KNOWLEDGE_BY_LENGTH, table, needs=needs, statistic=chosen, log=log, title=title)


def _benchmarks(inputs: ReportInputs) -> list[str]:
    return distinct(inputs.mad.filter(pl.col("mad").is_finite(), IS_KNOWLEDGE), "benchmark")


KNOWLEDGE_BY_LENGTH = ChartKind(
    name="knowledge",
    draw=knowledge_by_length,
    rows=knowledge_rows,
    color="benchmark",
    value="mad",
    subtitle="Mean absolute difference of adjacent layers, by the length of the answer",
    log=False,
    options=("statistic",),
    files=files_of_models(mads_over_all_layers),
    in_large_studies=True,
    figure=PageFigure(
        id="knowledge",
        section=sections.KNOWLEDGE_SECTION,
        heading="MAD by the length of the answer",
        axis="MAD of {measured}",
        names=_benchmarks,
        caption=(
            "MAD of the curve by the length of the answer, over the layers chosen above. One color "
            "per benchmark, for example popular and unpopular topics."
        ),
        log=False,
        pickers=(SEGMENT_PICKER,),
    ),
    function=knowledge,
)
