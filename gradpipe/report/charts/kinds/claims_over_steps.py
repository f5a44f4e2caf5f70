"""The ratio that a claim is about against the training step, with its interval and verdict."""

import textwrap
from collections.abc import Iterator

import altair as alt
import polars as pl

from gradpipe.report.charts.chart_files import ChartFile
from gradpipe.report.charts.kind import ChartKind
from gradpipe.report.charts.page_figure import PageFigure, PageRows, Picker
from gradpipe.report.charts.parts import (
    color_by,
    cycled,
    layered,
    legend,
    line_of_no_difference,
    panels,
    selected_in_legend,
    tooltip_value,
    unless_dimmed,
)
from gradpipe.report.charts.step_axis import SERIES_PICKER, STEPS_SECTION, StepExtent, step_axis
from gradpipe.report.page.pack import COARSE, EXACT
from gradpipe.report.report_data import ReportInputs
from gradpipe.report.style import BENCHMARK_COLORS, VERDICT_SHAPES

#: Characters per line of a panel's title.
_TITLE_WIDTH = 46


def claims_over_steps(
    series: list[str], *, log: bool = False, steps: StepExtent = (0.0, 1.0, 10.0)
) -> alt.FacetChart:
    """From which step on does a claim hold?

    One panel per part of the claim, one line with its 95 % interval per series. The shape of a dot
    is the verdict on that checkpoint alone. A rule marks a ratio of 1. ``log`` is about the steps.
    """
    colors = cycled(BENCHMARK_COLORS, series)
    color = color_by("series", series, colors, title="training run", symbol="stroke")
    selected, x = selected_in_legend("series"), step_axis(steps, log)
    scale = alt.Scale(type="log", nice=False, padding=8)
    shapes = alt.Scale(domain=list(VERDICT_SHAPES), range=list(VERDICT_SHAPES.values()))
    base = alt.Chart()
    band = base.mark_area(aria=False).encode(
        x=x,
        y=alt.Y("low:Q", title="ratio", scale=scale),
        y2="high:Q",
        color=color,
        opacity=unless_dimmed(selected, 0.15),
    )
    y = alt.Y("effect:Q", title="ratio", scale=scale).axis(format="~g", tickCount=5)
    line = base.mark_line(aria=False).encode(x=x, y=y, color=color, opacity=unless_dimmed(selected))
    dots = base.mark_point(size=40, filled=True, aria=False).encode(
        x=x,
        y=y,
        color=color,
        shape=alt.Shape("verdict:N", scale=shapes, legend=legend("verdict at this step", "circle")),
        opacity=unless_dimmed(selected),
        tooltip=[
            "series:N",
            alt.Tooltip("step:Q", format=",~r"),
            tooltip_value("effect", "ratio"),
            tooltip_value("low", "95 % from"),
            tooltip_value("high", "to"),
            "verdict:N",
            "items:Q",
        ],
    )
    return panels(
        layered(line_of_no_difference(), band, line.add_params(selected), dots), field="part"
    )


def claim_step_rows(ratios: pl.DataFrame) -> pl.DataFrame:
    """The ratios of the parts of one claim that have an interval."""
    columns = ("part", "series", "step", "effect", "low", "high", "verdict", "items")
    return ratios.select(columns)


def _ratios(inputs: ReportInputs) -> pl.DataFrame:
    """The ratios at each step with their claims, in the order of the claims."""
    named = inputs.claims.select("claim", "group", "title", "statement")
    titles = {text: "\n".join(textwrap.wrap(text, _TITLE_WIDTH)) for text in named["statement"]}
    ratios = inputs.claim_steps.filter(
        pl.all_horizontal(pl.col("effect", "low", "high").is_finite()), pl.col("low") > 0
    )
    joined = named.join(ratios, on="claim", maintain_order="left_right")
    return joined.with_columns(part=pl.col("statement").replace(titles))


def _files(inputs: ReportInputs, _: str) -> Iterator[ChartFile]:
    """One file per group of claims, of all series."""
    for (group, title), rows in _ratios(inputs).group_by("group", "title", maintain_order=True):
        yield ChartFile((str(group),), rows, str(title))


def _page_rows(inputs: ReportInputs) -> pl.DataFrame:
    rows = _ratios(inputs)
    return claim_step_rows(rows).with_columns(trend=rows["group"])


def _series(inputs: ReportInputs) -> list[str]:
    return _ratios(inputs).get_column("series").unique().sort().to_list()


def _groups(inputs: ReportInputs) -> list[tuple[str, str]]:
    groups = _ratios(inputs).select("group", "title").unique("group", maintain_order=True)
    return [(str(group), str(title)) for group, title in groups.rows()]


CLAIMS_OVER_STEPS = ChartKind(
    name="claims-by-steps",
    draw=claims_over_steps,
    rows=claim_step_rows,
    color="series",
    value="effect",
    subtitle="Ratio with its 95 % interval at each step; a dot's shape is the verdict at that step",
    log=False,
    log_of="step",
    options=("steps",),
    every_checkpoint=True,
    files=_files,
    in_large_studies=True,
    figure=PageFigure(
        id="claims-by-steps",
        section=STEPS_SECTION,
        names=_series,
        caption=(
            "The ratio that the claim is about, as a mean over benchmarks and projections, with "
            "its 95 % interval over items. The shape of a dot is the verdict on this checkpoint "
            "alone, not corrected for the number of steps. The dotted line marks no difference."
        ),
        log=False,
        pickers=(Picker(name="trend", label="Claim", choices=_groups), SERIES_PICKER),
        rows=PageRows(
            table=_page_rows,
            where=("trend", "series"),
            caption="{trend} · {series}",
            marks="Line chart of ratios over training steps",
            precision={"step": EXACT} | dict.fromkeys(("effect", "low", "high"), COARSE / 4),
        ),
    ),
)
