"""The MAD of each curve, by style, benchmark and projection."""

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
from gradpipe.report.charts.page_figure import WIDE_MARGIN, PageFigure
from gradpipe.report.charts.parts import dots_by_style, panels, value_title
from gradpipe.report.report_data import ReportInputs


def mad_by_style(
    styles: list[str], *, statistic: str | None = None, log: bool = True
) -> alt.FacetChart:
    """How uneven are the curves, by response style, benchmark and projection?

    One panel per projection, one dot per curve: filled for correct, hollow for irrelevant.
    """
    irrelevant = "datum.relevance === 'irrelevant'"
    title = value_title(statistic, "MAD of ")
    dots = dots_by_style(styles, value="mad", title=title, log=log, hollow=irrelevant)
    return panels(dots, own="x", height=None)


def mad_rows(mads: pl.DataFrame) -> pl.DataFrame:
    """The MADs of reasoning styles, over one segment of the layers."""
    return in_dot_order(of_drawn_relevances(mads.filter(~IS_KNOWLEDGE)), "mad", "relevance")


def mad(
    mads: ResultsFrame,
    *,
    statistic: str | None = None,
    model: str | None = None,
    segment: str = "all",
    log: bool = True,
    title: str | None = None,
) -> alt.FacetChart:
    """Draw the MAD of each curve of a reasoning style, for all benchmarks.

    One panel per projection and one dot per benchmark, style and relevance; dots of irrelevant
    responses are hollow.

    Args:
        mads: MADs as ``gp.mad`` returns them.
        statistic: The statistic to draw; by default "nuclear_norm", or else the first.
        model: The model to draw; needed if the table has several.
        segment: The layers that the MAD is taken over: "all", "early", "mid" or "last".
        log: Draw MADs on a logarithmic scale; those of zero are left out.
        title: The chart's title; by default the model's name.

    Returns:
        An Altair chart with its data. ``chart.data.values`` are the rows that it draws.

    Raises:
        DataError: ``mads`` is another kind of table, has no such rows, or has several models and
            none is chosen.

    Examples:
        >>> spectra = gp.extract_spectra(model, tokenizer, [("Add 2 and 2.", "4")])
        >>> mads = gp.mad(gp.curves(spectra))
        >>> chart = gp.charts.mad(mads)
        >>> sorted(row["projection"] for row in chart.data.values)
        ['k', 'o', 'q', 'v']
    """
    frame = choose(checked(mads, MAD_TABLE_COLUMNS, "gp.mad"), model=model, segment=segment)
    table, chosen = choose_statistic(frame, statistic)
    needs = "MADs of styles that are not lengths of a knowledge answer"
    return draw(MAD_BY_STYLE, table, needs=needs, statistic=chosen, log=log, title=title)


def _styles(inputs: ReportInputs) -> list[str]:
    return distinct(inputs.mad.filter(pl.col("mad").is_finite(), ~IS_KNOWLEDGE), "style")


MAD_BY_STYLE = ChartKind(
    name="mad",
    draw=mad_by_style,
    rows=mad_rows,
    color="style",
    value="mad",
    subtitle="Mean absolute difference of adjacent layers; filled: correct, hollow: irrelevant",
    options=("statistic",),
    files=files_of_models(mads_over_all_layers),
    in_large_studies=True,
    figure=PageFigure(
        id="mad",
        section=sections.MAD_SECTION,
        heading="MAD by benchmark and style",
        axis="MAD of {measured}",
        names=_styles,
        caption=(
            "MAD of each curve: filled for correct responses, hollow for irrelevant ones. Smoother "
            "curves are further left."
        ),
        margin=WIDE_MARGIN,
        pickers=(SEGMENT_PICKER,),
    ),
    function=mad,
)
