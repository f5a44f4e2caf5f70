"""One example of those in the scatter: its curves, and the loss of each of its tokens."""

import altair as alt
import polars as pl

from gradpipe.report.chart_data import distinct
from gradpipe.report.charts import sections
from gradpipe.report.charts.curve_lines import curve_lines
from gradpipe.report.charts.kind import OF_STATISTIC, ChartKind
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
        .mark_rule(strokeWidth=2, aria=False)
        .encode(
            x=alt.X(
                "token:Q", title="token of the response", scale=alt.Scale(nice=False, padding=4)
            ).axis(tickMinStep=1, format="d"),
            y=alt.Y("loss:Q", title="loss (nats)", scale=alt.Scale(zero=True)),
            y2=alt.Y2Datum(0),
            color=color_by_style(styles),
            opacity=unless_dimmed(selected),
            tooltip=["token:Q", tooltip_value("loss", "loss")],
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
    rows = kept.select("index", "style", "relevance", token, loss="token_losses")
    return rows.explode("token", "loss")


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
)
