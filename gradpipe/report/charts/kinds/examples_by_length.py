"""Single examples: the size of the gradient by the length of the response."""

import altair as alt
import polars as pl

from gradpipe.report.chart_data import distinct
from gradpipe.report.charts import sections
from gradpipe.report.charts.chart_files import files_of_cells
from gradpipe.report.charts.kind import ChartKind
from gradpipe.report.charts.notebook_tables import ResultsFrame, checked, choose, draw
from gradpipe.report.charts.page_figure import SHARED_MARGIN, PageFigure, Picker
from gradpipe.report.charts.parts import (
    color_by_style,
    panels,
    scale,
    selected_in_legend,
    tooltip_value,
    unless_dimmed,
)
from gradpipe.report.report_data import ReportInputs
from gradpipe.report.style import statistic_with_unit
from gradpipe.statistics.examples import example_scores
from gradpipe.statistics.table import with_labels

_EXAMPLE = ("layer", "projection", "tokens", "response_tokens", "loss")


def size_against_length(styles: list[str], *, log: bool = True) -> alt.FacetChart:
    """Do longer responses give smaller gradients, example by example?

    A panel for correct and one for irrelevant responses, with one dot per example: its nuclear norm
    (mean over layers and projections) by the tokens of its response.
    """
    selected = selected_in_legend("style")
    dots = (
        alt.Chart()
        .mark_circle(size=28, aria=False)
        .encode(
            x=alt.X("response_tokens:Q", scale=scale(log), title="tokens of the response").axis(
                tickCount=5, format="~g"
            ),
            y=alt.Y("nuclear_norm:Q", scale=scale(log), title="nuclear norm").axis(format="~g"),
            color=color_by_style(styles, "circle"),
            opacity=unless_dimmed(selected, 0.75),
            tooltip=[
                alt.Tooltip("index:Q", title="item"),
                "style:N",
                "relevance:N",
                alt.Tooltip("response_tokens:Q", title="tokens"),
                tooltip_value("nuclear_norm", "nuclear norm"),
                tooltip_value("loss", "loss"),
            ],
        )
    )
    return panels(dots.add_params(selected), field="relevance", own=None, height=240)


def example_rows(scores: pl.DataFrame) -> pl.DataFrame:
    """Single examples with a nuclear norm, and their lengths."""
    columns = ("index", "style", "relevance", "response_tokens", "nuclear_norm", "loss")
    return scores.filter(pl.col("nuclear_norm") > 0).select(columns)


def examples(
    table: ResultsFrame,
    *,
    model: str | None = None,
    benchmark: str | None = None,
    log: bool = True,
    title: str | None = None,
) -> alt.FacetChart:
    """Draw the size of each example's gradient by the length of its response.

    One dot per example: its nuclear norm, as a mean over layers and projections, by the tokens of
    its response. One panel per relevance and one color per style.

    Args:
        table: A statistics table, as ``gp.statistics_table`` returns it, or the table that
            ``extract_spectra`` returned.
        model: The model to draw; needed if the table has several.
        benchmark: The benchmark to draw; needed if the table has several.
        log: Use logarithmic scales.
        title: The chart's title; by default the names of model and benchmark.

    Returns:
        An Altair chart with its data.

    Raises:
        DataError: ``table`` is another kind of table, has no nuclear norms, or has several models
            or benchmarks and none is chosen.

    Examples:
        >>> pairs = [("Add 2 and 2.", "4"), ("Name a color.", "Blue, or a shade of it.")]
        >>> chart = gp.charts.examples(gp.extract_spectra(model, tokenizer, pairs))
        >>> [row["index"] for row in chart.data.values]
        [0, 1]
    """
    frame = checked(table, (*_EXAMPLE, "nuclear_norm"), "gp.statistics_table")
    cell = choose(with_labels(frame.lazy()).collect(), model=model, benchmark=benchmark)
    needs = "examples with a positive nuclear norm"
    return draw(EXAMPLES_BY_LENGTH, example_scores(cell.lazy()), needs=needs, log=log, title=title)


def _axes(_: ReportInputs) -> list[tuple[str, str]]:
    statistics = ("nuclear_norm", "effective_rank", "sigma1_ratio")
    return [
        ("response_tokens", "tokens of the response"),
        ("tokens", "tokens of prompt and response"),
        ("loss", "loss (nats per token)"),
        *((name, statistic_with_unit(name)) for name in statistics),
    ]


def _styles(inputs: ReportInputs) -> list[str]:
    return distinct(inputs.examples, "style")


EXAMPLES_BY_LENGTH = ChartKind(
    name="examples",
    draw=size_against_length,
    rows=example_rows,
    color="style",
    value="nuclear_norm",
    subtitle="One dot per example: nuclear norm (mean over layers and projections) by length",
    files=files_of_cells(lambda inputs: inputs.examples),
    figure=PageFigure(
        id="sizes",
        section=sections.EXAMPLES_SECTION,
        heading="Single examples, any measure against any other",
        names=_styles,
        caption=(
            "One dot per example; statistics are means over layers and projections. Click a dot to "
            "read its example below."
        ),
        pickers=(
            Picker(name="y_axis", label="Vertical axis", choices=_axes, chosen="nuclear_norm"),
            Picker(name="x_axis", label="Horizontal axis", choices=_axes, chosen="response_tokens"),
        ),
        margin=SHARED_MARGIN,
        scales=False,
    ),
    function=examples,
)
