"""The ratio that a claim is about against the training step, with its interval and verdict."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence

import altair as alt
import polars as pl

from gradpipe.claims.contrasts import Claim, claims_table
from gradpipe.claims.paper import PAPER_CLAIMS
from gradpipe.claims.parse import parse_claim
from gradpipe.claims.trends import claims_in_time
from gradpipe.report.charts.chart_files import ChartFile
from gradpipe.report.charts.interval_dots import INTERVAL_TOOLTIP
from gradpipe.report.charts.kind import ChartKind
from gradpipe.report.charts.notebook_tables import draw
from gradpipe.report.charts.page_figure import PageFigure, PageRows, Picker
from gradpipe.report.charts.parts import (
    color_by,
    cycled,
    layered,
    legend,
    line_of_no_difference,
    panels,
    selected_in_legend,
    unless_dimmed,
)
from gradpipe.report.charts.step_axis import SERIES_PICKER, STEPS_SECTION, StepExtent, step_axis
from gradpipe.report.page.pack import COARSE, EXACT
from gradpipe.report.report_data import ReportInputs
from gradpipe.report.style import BENCHMARK_COLORS, VERDICT_SHAPES
from gradpipe.statistics.reductions import REDUCTIONS
from gradpipe.statistics.table import StatisticsFrame

#: Characters per line of a panel's title.
_TITLE_WIDTH = 46


def claims_over_steps(
    series: list[str], *, log: bool = False, steps: StepExtent = (0.0, 1.0, 10.0)
) -> alt.FacetChart:
    """From which step on does a claim hold?

    One panel per part of the claim, one line with its interval per series. The shape of a dot
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
            *INTERVAL_TOOLTIP,
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


def claims_by_steps(
    table: StatisticsFrame | Sequence[StatisticsFrame],
    steps: Mapping[str, float],
    claims: Sequence[Claim | str] = PAPER_CLAIMS,
    *,
    seed: int = 0,
    log: bool = False,
    title: str = "",
) -> alt.FacetChart:
    """Draw the ratio that each claim is about against the training step.

    One panel per claim: the ratio at each checkpoint with its interval (95 %, or 90 % for a
    claim that a ratio is within a margin or not above it), as a mean over
    benchmarks and projections. The shape of a dot is the verdict on that checkpoint alone.

    Args:
        table: A statistics table of the checkpoints, or a sequence of tables, as for ``gp.judge``.
        steps: The step of each model; other models are ignored.
        claims: Claims, or their text, as for ``gp.trends``.
        seed: Seed of the resamples.
        log: Draw steps on a logarithmic scale, which has a place for step 0.
        title: The chart's title.

    Returns:
        An Altair chart with its data. ``chart.data.values`` are the rows that it draws.

    Raises:
        DataError: ``table`` is another kind of table, holds none of the models in ``steps``, or
            has no ratio with an interval.
        StudyError: The text of a claim is malformed.

    Examples:
        >>> pairs = [(f"What is {n} plus {n}?", f"It is {2 * n}.") for n in range(10)]
        >>> spectra = gp.extract_spectra(model, tokenizer, pairs)
        >>> table = pl.concat(
        ...     spectra.with_columns(
        ...         pl.col("nuclear_norm") * (step if style == "none" else 1),
        ...         model=pl.lit(f"run@{step}"),
        ...         style=pl.lit(style),
        ...     )
        ...     for step in (1, 2, 3)
        ...     for style in ("none", "detailed")
        ... )
        >>> steps = {f"run@{step}": step for step in (1, 2, 3)}
        >>> chart = gp.charts.claims_by_steps(table, steps, ["none > detailed on nuclear_norm"])
        >>> [round(row["effect"], 3) for row in chart.data.values]
        [1.0, 2.0, 3.0]
    """
    ratios = claims_in_time(table, steps, claims, seed=seed).by_step
    known = list(REDUCTIONS)
    stated = [parse_claim(claim, known) if isinstance(claim, str) else claim for claim in claims]
    rows = _with_claims(ratios.with_columns(series=pl.lit("run")), claims_table(stated))
    needs = "claims on styles that models with a step have, on at least 8 items"
    return draw(CLAIMS_OVER_STEPS, rows.drop("model"), needs=needs, log=log, title=title)


def _ratios(inputs: ReportInputs) -> pl.DataFrame:
    return _with_claims(inputs.claim_steps, inputs.claims)


def _with_claims(by_step: pl.DataFrame, claims: pl.DataFrame) -> pl.DataFrame:
    """The ratios that have an interval with their claims, in the order of the claims."""
    named = claims.select("claim", "group", "title", "statement")
    titles = {text: "\n".join(textwrap.wrap(text, _TITLE_WIDTH)) for text in named["statement"]}
    ratios = by_step.filter(
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
    subtitle="Ratio with its interval at each step; a dot's shape is the verdict at that step",
    log=False,
    log_of="step",
    options=("steps",),
    every_checkpoint=True,
    files=_files,
    in_large_studies=True,
    figure=PageFigure(
        id="claims-by-steps",
        section=STEPS_SECTION,
        heading="Ratio of a claim along training",
        names=_series,
        caption=(
            "The ratio that the claim is about, as a mean over benchmarks and projections, with "
            "its interval over items: 95 %, or 90 % for a claim that a ratio is within a margin or "
            "not above it. The shape of a dot is the verdict on this checkpoint "
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
    function=claims_by_steps,
)
