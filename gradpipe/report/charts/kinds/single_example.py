"""One example of those in the scatter: its curves, and the loss of each of its tokens."""

import altair as alt
import polars as pl

from gradpipe.errors import DataError
from gradpipe.report.chart_data import distinct
from gradpipe.report.charts import sections
from gradpipe.report.charts.curve_lines import curve_lines
from gradpipe.report.charts.kind import OF_STATISTIC, ChartKind
from gradpipe.report.charts.notebook_tables import (
    ResultsFrame,
    cell_title,
    checked,
    choose,
    draw,
)
from gradpipe.report.charts.page_figure import SHARED_MARGIN, PageFigure
from gradpipe.report.charts.parts import (
    color_by,
    color_by_style,
    panels,
    selected_in_legend,
    tooltip_value,
    unless_dimmed,
    value_title,
)
from gradpipe.report.report_data import ReportInputs
from gradpipe.report.style import CONTROL_COLORS
from gradpipe.statistics.table import with_labels

#: The lines of an example's chart.
LINES = ("this example", "mean of its style")


def example_and_its_style(
    lines: list[str], *, statistic: str | None = None, log: bool = True, tooltips: bool = True
) -> alt.FacetChart:
    """Where is one example's gradient larger than those of its style?

    One panel per projection, with one line of the example and one of the mean over the examples of
    its style and relevance.
    """
    colors = list(CONTROL_COLORS[: len(lines)])
    drawn = curve_lines(
        value="mean",
        color=color_by("curve", lines, colors, title="", symbol="stroke"),
        field="curve",
        title=value_title(statistic),
        log=log,
        tooltip=["curve:N"] if tooltips else None,
    )
    return panels(drawn)


def loss_of_each_token(styles: list[str], *, log: bool = False) -> alt.FacetChart:
    """Which tokens of a response does the model not expect?

    One bar per token that carries loss: its cross-entropy, in the order of the response.
    """
    del log
    selected = selected_in_legend("style")
    bars = (
        alt.Chart()
        .mark_bar(size=3, aria=False)
        .encode(
            x=alt.X(
                "token:Q", title="token of the response", scale=alt.Scale(nice=False, padding=4)
            ).axis(tickMinStep=1, format="d"),
            y=alt.Y("loss:Q", title="loss (nats)", scale=alt.Scale(zero=True)),
            color=color_by_style(styles),
            opacity=unless_dimmed(selected),
            tooltip=["token:Q", tooltip_value("loss", "loss"), "style:N"],
        )
    )
    return panels(bars.add_params(selected), field="part", own=None, height=150)


def detail_rows(details: pl.DataFrame) -> pl.DataFrame:
    """The curves of examples with details: one row per example, projection and layer."""
    names = ["index", "style", "relevance"]
    points = details.select(*names, "curves").explode("curves").unnest("curves")
    return points.with_columns(mean=pl.col("nuclear_norm"), curve=pl.lit(LINES[0]))


def token_loss_rows(details: pl.DataFrame) -> pl.DataFrame:
    """The losses of the tokens of examples with details: one row per token, counted from 1."""
    kept = details.filter(pl.col("token_losses").list.len() > 0)
    token = pl.int_ranges(1, pl.col("token_losses").list.len() + 1).alias("token")
    name = pl.format("item {}, {}, {}", "index", "style", "relevance")
    rows = kept.select("index", "style", "relevance", token, loss="token_losses", part=name)
    return rows.explode("token", "loss")


def one_example(
    table: ResultsFrame,
    *,
    index: int | None = None,
    style: str | None = None,
    relevance: str = "correct",
    statistic: str = "nuclear_norm",
    model: str | None = None,
    benchmark: str | None = None,
    log: bool = True,
    title: str | None = None,
) -> alt.FacetChart:
    """Draw one example's gradient through the layers beside the mean of its style.

    One panel per projection, one line of the example and one of the mean over the examples of its
    style and relevance.

    Args:
        table: As in ``gp.charts.examples``.
        index: The number of the example's item; by default that of the largest gradient.
        style: The example's style; by default that of the largest gradient.
        relevance: Its relevance.
        statistic: A column of ``table``.
        model: As in ``gp.charts.examples``.
        benchmark: As in ``gp.charts.examples``.
        log: Use a logarithmic scale.
        title: As in ``gp.charts.examples``.

    Returns:
        An Altair chart with its data.

    Raises:
        DataError: As in ``gp.charts.examples``, or there is no such example.

    Examples:
        >>> pairs = [("Add 2 and 2.", "4"), ("Name a color.", "Blue, or a shade of it.")]
        >>> chart = gp.charts.one_example(gp.extract_spectra(model, tokenizer, pairs), index=1)
        >>> {row["curve"] for row in chart.data.values} == {"this example", "mean of its style"}
        True
    """
    frame = checked(table, ("layer", "projection", statistic), "gp.statistics_table")
    cell = choose(with_labels(frame.lazy()).collect(), model=model, benchmark=benchmark)
    given = {"index": index, "style": style, "relevance": relevance}
    wanted = [pl.col(name) == value for name, value in given.items() if value is not None]
    means = cell.filter(wanted).group_by("index", "style").agg(pl.col(statistic).mean())
    largest = means.drop_nulls().sort(statistic, "index", "style").tail(1)
    if largest.is_empty():
        raise DataError(f"The table has no example with {given}: choose other values.")
    alike = cell.filter(relevance=relevance).join(largest, on="style", how="semi")
    one = alike.join(largest, on=["index", "style"], how="semi")
    parts = zip((one, alike), LINES, strict=True)
    rows = pl.concat(_mean_curve(part, statistic, line) for part, line in parts)
    named = cell_title(cell) if title is None else title
    return CURVES_OF_ONE_EXAMPLE.chart(
        rows, title=named, statistic=statistic, log=log, tooltips=True
    )


def token_losses(
    details: ResultsFrame,
    *,
    index: int | None = None,
    style: str | None = None,
    relevance: str = "correct",
    model: str | None = None,
    benchmark: str | None = None,
    title: str | None = None,
) -> alt.FacetChart:
    """Draw the loss of each token of one example's response.

    One bar per token that carries loss: its cross-entropy in nats, in the order of the response.

    Args:
        details: Examples as ``gp.Workspace.details`` returns them.
        index: The number of the example's item; by default the first, with the largest gradient.
        style: The example's style; by default that of the first.
        relevance: Its relevance.
        model: The model to draw; needed if the table has several.
        benchmark: The benchmark to draw; needed if the table has several.
        title: The chart's title; by default the names of model and benchmark.

    Returns:
        An Altair chart with its data.

    Raises:
        DataError: ``details`` is another kind of table, has no such example, or not its losses.

    Examples:
        >>> details = gp.Workspace(workspace).details(benchmark="mini_maths")
        >>> chart = gp.charts.token_losses(details, style="none")
        >>> [row["token"] for row in chart.data.values][:2]
        [1, 2]
    """
    frame = checked(details, ("index", "style", "relevance", "token_losses"), "Workspace.details")
    cell = choose(frame, model=model, benchmark=benchmark)
    given = {"index": index, "style": style, "relevance": relevance}
    wanted = [pl.col(name) == value for name, value in given.items() if value is not None]
    kept = cell.filter(*wanted, pl.col("token_losses").list.len() > 0)
    return draw(LOSS_OF_EACH_TOKEN, kept[:1], needs="an example with token losses", title=title)


def _mean_curve(statistics: pl.DataFrame, statistic: str, line: str) -> pl.DataFrame:
    """The mean of a statistic per projection and layer, in the rows of `example_and_its_style`."""
    places = statistics.group_by("projection", "layer", maintain_order=True)
    return places.agg(pl.col(statistic).mean().alias("mean")).with_columns(curve=pl.lit(line))


def _lines(inputs: ReportInputs) -> list[str]:
    return list(LINES) if inputs.details.height else []


def _styles(inputs: ReportInputs) -> list[str]:
    return distinct(inputs.details, "style")


CURVES_OF_ONE_EXAMPLE = ChartKind(
    name="one-example",
    draw=example_and_its_style,
    rows=detail_rows,
    color="curve",
    value="mean",
    subtitle="One example and the mean over the examples of its style",
    options=OF_STATISTIC,
    figure=PageFigure(
        id="example_curves",
        section=sections.EXAMPLES_SECTION,
        heading="One example’s gradient from layer to layer",
        axis="{measured}",
        names=_lines,
        caption=(
            "The example that was clicked, by default the one with the largest gradient, and the "
            "mean over all examples of its style and relevance."
        ),
        place="one",
    ),
    function=one_example,
)
LOSS_OF_EACH_TOKEN = ChartKind(
    name="token-losses",
    draw=loss_of_each_token,
    rows=token_loss_rows,
    color="style",
    value="loss",
    log=False,
    subtitle="Cross-entropy of each token that carries loss",
    figure=PageFigure(
        id="token_losses",
        section=sections.EXAMPLES_SECTION,
        heading="One example’s loss, token by token",
        names=_styles,
        caption=(
            "Cross-entropy of each token of the response that carries loss, in nats. Their mean is "
            "the example’s loss."
        ),
        margin=SHARED_MARGIN,
        log=False,
        scales=False,
        place="one",
    ),
    function=token_losses,
)
