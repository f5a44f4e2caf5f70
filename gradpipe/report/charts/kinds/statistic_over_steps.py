"""A statistic against the training step, by response style and series."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import altair as alt
import polars as pl

from gradpipe.errors import DataError
from gradpipe.report.chart_data import distinct, in_reading_order
from gradpipe.report.charts.chart_files import ChartFile
from gradpipe.report.charts.kind import ChartKind
from gradpipe.report.charts.notebook_tables import (
    ResultsFrame,
    checked,
    choose,
    choose_statistic,
    draw,
)
from gradpipe.report.charts.page_figure import PageFigure, PageRows, Picker
from gradpipe.report.charts.parts import (
    color_by_style,
    layered,
    legend,
    panels,
    selected_in_legend,
    tooltip_value,
    unless_dimmed,
    value_title,
)
from gradpipe.report.charts.step_axis import SERIES_PICKER, STEPS_SECTION, StepExtent, step_axis
from gradpipe.report.page.pack import COARSE, EXACT
from gradpipe.report.report_data import ReportInputs
from gradpipe.report.step_values import (
    STEP_QUANTITIES,
    mads_by_step,
    means_by_step,
    rds_by_step,
    step_values,
)
from gradpipe.report.steps import MOST_DRAWN_STEPS, steps_of, thinned

#: Dashes of series drawn over one another, repeated if there are more.
_DASHES = [[1, 0], [5, 3], [2, 2], [8, 3, 2, 3], [1, 4]]
_CORRECT = pl.col("relevance") == "correct"
#: The page has room for this many values over steps.
MOST_STEP_VALUES = 120_000


def statistic_over_steps(
    styles: list[str],
    *,
    statistic: str | None = None,
    log: bool = False,
    steps: StepExtent = (0.0, 1.0, 10.0),
) -> alt.FacetChart:
    """How does a statistic change along training?

    One panel per projection, one color per style and one dash per series, with a dot per checkpoint
    and a band of one standard error each side. ``log`` is about the axis of steps.
    """
    color, selected = color_by_style(styles), selected_in_legend("style")
    x, title = step_axis(steps, log), value_title(statistic)
    y = alt.Y("value:Q", title=title, scale=alt.Scale(zero=False, padding=6))
    base = alt.Chart()
    band = base.mark_area(aria=False).encode(
        x=x, y=alt.Y("low:Q", title=title), y2="high:Q", color=color, detail="series:N"
    )
    dashes = alt.StrokeDash(
        "series:N", scale=alt.Scale(range=_DASHES), legend=legend("training run")
    )
    line = base.mark_line(aria=False).encode(
        x=x, y=y, color=color, strokeDash=dashes, opacity=unless_dimmed(selected)
    )
    dots = base.mark_circle(size=26, aria=False).encode(
        x=x,
        y=y,
        color=color,
        opacity=unless_dimmed(selected),
        tooltip=[
            "series:N",
            alt.Tooltip("step:Q", format=",~r"),
            "style:N",
            tooltip_value("value", "value"),
        ],
    )
    shaded = band.encode(opacity=unless_dimmed(selected, 0.15))
    return panels(layered(shaded, line.add_params(selected), dots))


def step_rows(values: pl.DataFrame) -> pl.DataFrame:
    """The values of one statistic and quantity, as `step_values` has them."""
    columns = ["projection", "style", "series", "step", "value", "low", "high"]
    return in_reading_order(values.sort("step").select(columns), "projection", "style", "series")


def over_steps(
    table: ResultsFrame,
    steps: Mapping[str, float] | ResultsFrame,
    *,
    statistic: str | None = None,
    benchmark: str | None = None,
    log: bool = False,
    title: str | None = None,
) -> alt.FacetChart:
    """Draw a statistic against the training step: its mean over layers, MAD or RD.

    One panel per projection, one line per style, for correct responses. Each model is a checkpoint.

    Args:
        table: Curves of the checkpoints as ``gp.curves`` returns them, or the MADs or RDs that
            ``gp.mad`` or ``gp.relative_difference`` returns for them.
        steps: The step of each model; other models are ignored. For several runs, a table with
            columns ``model``, ``series`` and ``step``.
        statistic: The statistic to draw; by default "nuclear_norm", or else the first.
        benchmark: The benchmark to draw; needed if the table has several.
        log: Draw steps on a logarithmic scale, which has a place for step 0.
        title: The chart's title; by default the benchmark's name.

    Returns:
        An Altair chart with its data. ``chart.data.values`` are the rows that it draws.

    Raises:
        DataError: ``table`` is another kind of table, has none of the models in ``steps``, or has
            several benchmarks and none is chosen.

    Examples:
        >>> spectra = gp.extract_spectra(model, tokenizer, [("Add 2 and 2.", "4")])
        >>> curves = gp.curves(
        ...     pl.concat(spectra.with_columns(model=pl.lit(f"run@{step}")) for step in (10, 20))
        ... )
        >>> chart = gp.charts.over_steps(curves, {"run@10": 10, "run@20": 20})
        >>> [row["step"] for row in chart.data.values if row["projection"] == "q"]
        [10.0, 20.0]
    """
    frame = table.lazy().collect()
    makers = {"mad": mads_by_step, "rd": rds_by_step, "mean": means_by_step}
    quantity = next((name for name in makers if name in frame.columns), "mean")
    columns = ("model", "benchmark", "style", "projection", "statistic", quantity)
    known = checked(frame, columns, "gp.curves, gp.mad or gp.relative_difference")
    chosen_rows, chosen = choose_statistic(choose(known, benchmark=benchmark), statistic)
    placed = steps_of(steps)
    if chosen_rows.join(placed, on="model", how="semi").is_empty():
        named = ", ".join(placed["model"].head(3)) or "none"
        raise DataError(f"The table has no model with a step ({named}): name models as it does.")
    values = makers[quantity](chosen_rows, placed)
    if title is None:
        title = " · ".join(name for name in values["benchmark"].unique() if name)
    needs = "correct responses of models with a step"
    return draw(
        STATISTIC_OVER_STEPS,
        values.drop("model"),
        needs=needs,
        statistic=chosen,
        log=log,
        title=f"{title}: {STEP_QUANTITIES[quantity]}" if title else STEP_QUANTITIES[quantity],
    )


def _files(inputs: ReportInputs, statistic: str) -> Iterator[ChartFile]:
    """One file per quantity and benchmark, of all series."""
    values = _drawn(inputs).filter(pl.col("statistic") == statistic)
    for (quantity, benchmark), rows in values.group_by(
        "quantity", "benchmark", maintain_order=True
    ):
        series = " and ".join(rows["series"].unique().sort())
        title = f"{series} · {benchmark}: {STEP_QUANTITIES[str(quantity)]}"
        names = (str(quantity), str(benchmark), statistic)
        yield ChartFile(names, rows, title, statistic)


def _drawn(inputs: ReportInputs) -> pl.DataFrame:
    """The values of as many steps of each series as the page has room for."""
    steps = thinned(inputs.steps, MOST_DRAWN_STEPS)
    values = step_values(replace(inputs, steps=steps))
    room = int(len(steps) * MOST_STEP_VALUES / max(values.height, 1))
    most = room // max(steps.get_column("series").n_unique(), 1)
    kept = thinned(steps, max(most, 2))
    return values.join(kept, on=["series", "step"], how="semi", maintain_order="left")


def _page_rows(inputs: ReportInputs) -> pl.DataFrame:
    return _drawn(inputs).drop("model").rename({"quantity": "step_quantity"})


def _styles(inputs: ReportInputs) -> list[str]:
    checkpoints = pl.col("model").is_in(inputs.steps.get_column("model").implode())
    return distinct(inputs.curves.filter(_CORRECT, checkpoints), "style")


def _quantities(inputs: ReportInputs) -> list[tuple[str, str]]:
    tables = {"mean": inputs.curves, "mad": inputs.mad, "rd": inputs.rd}
    return [(name, label) for name, label in STEP_QUANTITIES.items() if tables[name].height]


STATISTIC_OVER_STEPS = ChartKind(
    name="steps",
    draw=statistic_over_steps,
    rows=step_rows,
    color="style",
    value="value",
    subtitle="One dot per checkpoint, correct responses; step 0: the base model",
    log=False,
    log_of="step",
    options=("statistic", "steps"),
    every_checkpoint=True,
    files=_files,
    in_large_studies=True,
    figure=PageFigure(
        id="steps",
        section=STEPS_SECTION,
        heading="A statistic along training",
        axis="{statistic}: {step_quantity}",
        names=_styles,
        caption=(
            "One dot per checkpoint, for correct responses; step 0 is the base model. A dash per "
            "series. The band around a mean is one standard error on each side, as a mean over "
            "layers. RD is that of irrelevant from correct responses."
        ),
        log=False,
        pickers=(
            SERIES_PICKER,
            Picker(name="step_quantity", label="Quantity", choices=_quantities),
        ),
        rows=PageRows(
            table=_page_rows,
            block=("statistic",),
            where=("step_quantity", "series", "benchmark"),
            caption="{statistic}: {step_quantity} · {series} · {benchmark}",
            marks="Line chart over training steps",
            precision={"step": EXACT, "value": COARSE / 4, "low": COARSE, "high": COARSE},
        ),
    ),
    function=over_steps,
)
