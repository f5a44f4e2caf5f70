"""Layers by training step as a heatmap: where in the model a statistic changes along the run."""

from collections.abc import Iterator, Mapping

import altair as alt
import polars as pl

from gradpipe.report.chart_data import distinct
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
from gradpipe.report.charts.parts import panels, tooltip_value
from gradpipe.report.charts.step_axis import STEP_LABEL, STEPS_SECTION
from gradpipe.report.page.pack import COARSE, EXACT
from gradpipe.report.report_data import REPORT_CURVE_COLUMNS, ReportInputs
from gradpipe.report.step_values import layers_by_step
from gradpipe.report.steps import MOST_HEATMAP_STEPS, steps_of, thinned
from gradpipe.report.style import AUROC_COLORS, style_label

#: The page has room for this many cells of heatmaps.
MOST_STEP_CELLS = 200_000
_LEGEND_PIXELS = 180
_AROUND_ONE = (0.95, 1 / 0.95)


def layers_over_steps(
    projections: list[str], *, statistic: str | None = None, log: bool = False
) -> alt.FacetChart:
    """In which layers does a statistic change along training?

    One panel per projection: layers from bottom to top, steps from left to right. The color is the
    ratio to the same layer at the run's first step, and diverges from 1. ``log`` is ignored: the
    steps are evenly spaced by their order.
    """
    bar = alt.Legend(
        title="ratio to the first step", gradientLength=_LEGEND_PIXELS, format="~g", tickCount=4
    )
    cells = alt.Chart().mark_rect(aria=False)
    encoded = cells.encode(
        x=alt.X("step:O", title="training step").axis(
            labelOverlap="greedy",
            labelSeparation=6,
            labelAngle=0,
            ticks=False,
            labelExpr=STEP_LABEL,
        ),
        y=alt.Y("layer:O", title="layer", sort="descending").axis(
            labelOverlap="greedy", ticks=False
        ),
        color=alt.Color(
            "change:Q",
            scale=alt.Scale(
                type="log",
                # 1 is inside the domain, also if every layer only rises or only falls.
                domain=alt.DomainUnionWith(unionWith=list(_AROUND_ONE)),
                domainMid=1,
                range=list(AUROC_COLORS),
                interpolate="rgb",
                nice=False,
            ),
            legend=bar,
        ),
        tooltip=[
            "step:O",
            "layer:O",
            tooltip_value("change", "ratio to the first step"),
        ],
    )
    return panels(encoded, own=None, height=220)


def change_rows(layers: pl.DataFrame) -> pl.DataFrame:
    """The cells of one heatmap, as `layers_by_step` has them."""
    return layers.select("projection", "step", "layer", "change")


def layers_by_steps(
    curves: ResultsFrame,
    steps: Mapping[str, float],
    *,
    statistic: str | None = None,
    benchmark: str | None = None,
    style: str | None = None,
    title: str | None = None,
) -> alt.FacetChart:
    """Draw how a statistic changes along training, layer by layer, as a heatmap.

    One panel per projection, for correct responses: layers from bottom to top, checkpoints from
    left to right. The color is the ratio to the same layer at the first step.

    Args:
        curves: Curves of the checkpoints as ``gp.curves`` returns them.
        steps: The step of each model; other models are ignored.
        statistic: The statistic to draw; by default "nuclear_norm", or else the first.
        benchmark: The benchmark to draw; needed if the table has several.
        style: The response style to draw; needed if the table has several.
        title: The chart's title; by default the names of benchmark and style.

    Returns:
        An Altair chart with its data. ``chart.data.values`` are the rows that it draws.

    Raises:
        DataError: ``curves`` is another kind of table, has no such rows, or has several benchmarks
            or styles and none is chosen.

    Examples:
        >>> spectra = gp.extract_spectra(model, tokenizer, [("Add 2 and 2.", "4")])
        >>> curves = gp.curves(
        ...     pl.concat(spectra.with_columns(model=pl.lit(f"run@{step}")) for step in (10, 20))
        ... )
        >>> chart = gp.charts.layers_by_steps(curves, {"run@10": 10, "run@20": 20})
        >>> len(chart.data.values)  # 4 projections, 3 layers, 2 steps
        24
    """
    table = checked(curves, REPORT_CURVE_COLUMNS, "gp.curves")
    cell, chosen = choose_statistic(choose(table, benchmark=benchmark, style=style), statistic)
    rows = layers_by_step(cell, steps_of(steps))
    if title is None:
        names = [*rows["benchmark"].unique(), *map(style_label, rows["style"].unique())]
        title = " · ".join(name for name in names if name)
    needs = "correct responses of models with a step"
    return draw(LAYERS_OVER_STEPS, rows.drop("model"), needs=needs, statistic=chosen, title=title)


def _drawn(inputs: ReportInputs) -> pl.DataFrame:
    """The cells of as many steps as the page has room for, at most MOST_HEATMAP_STEPS per series.

    Changes are those since the first step of the run.
    """
    steps = thinned(inputs.steps, MOST_HEATMAP_STEPS)
    cells = layers_by_step(inputs.curves, steps)
    room = int(len(steps) * MOST_STEP_CELLS / max(cells.height, 1))
    kept = thinned(steps, max(room // max(steps.get_column("series").n_unique(), 1), 2))
    return cells.join(kept, on=["series", "step"], how="semi", maintain_order="left")


def _files(inputs: ReportInputs, statistic: str) -> Iterator[ChartFile]:
    """One file per series, benchmark and style."""
    rows = _drawn(inputs).filter(pl.col("statistic") == statistic)
    for (series, benchmark, style), part in rows.group_by(
        "series", "benchmark", "style", maintain_order=True
    ):
        title = f"{series} · {benchmark} · {style_label(str(style))}"
        names = (str(series), str(benchmark), str(style), statistic)
        yield ChartFile(names, part, title, statistic)


def _page_rows(inputs: ReportInputs) -> pl.DataFrame:
    renamed = {"series": "heatmap_series", "style": "heatmap_style"}
    return _drawn(inputs).drop("model", "mean").rename(renamed)


def _projections(inputs: ReportInputs) -> list[str]:
    return distinct(_of_checkpoints(inputs), "projection")


def _of_checkpoints(inputs: ReportInputs) -> pl.DataFrame:
    checkpoints = pl.col("model").is_in(inputs.steps.get_column("model").implode())
    return inputs.curves.filter(checkpoints, pl.col("relevance") == "correct")


def _series(inputs: ReportInputs) -> list[tuple[str, str]]:
    return [(name, name) for name in inputs.steps.get_column("series").unique().sort()]


def _styles(inputs: ReportInputs) -> list[tuple[str, str]]:
    return [(name, style_label(name)) for name in distinct(_of_checkpoints(inputs), "style")]


LAYERS_OVER_STEPS = ChartKind(
    name="layers-by-steps",
    draw=layers_over_steps,
    rows=change_rows,
    color="projection",
    value="change",
    subtitle="Ratio of each layer's mean to its mean at the first step, correct responses",
    log=False,
    options=("statistic",),
    every_checkpoint=True,
    files=_files,
    in_large_studies=True,
    figure=PageFigure(
        id="layers-by-steps",
        section=STEPS_SECTION,
        heading="Change of each layer along training",
        names=_projections,
        caption=(
            "Each layer’s mean over correct responses as a ratio to the same layer at the first "
            "step: orange where it is larger than then, blue where it is smaller. Steps are evenly "
            "spaced by their order."
        ),
        margin=(42, 12),
        log=False,
        scales=False,
        pickers=(
            Picker(name="heatmap_series", label="Series", choices=_series),
            Picker(name="heatmap_style", label="Style", choices=_styles),
        ),
        rows=PageRows(
            table=_page_rows,
            block=("statistic",),
            where=("heatmap_series", "heatmap_style", "benchmark"),
            caption="{statistic} by layer and step · {heatmap_series} · {heatmap_style} · "
            "{benchmark}",
            marks="Heatmap",
            precision={"step": EXACT, "change": COARSE * 2},
        ),
    ),
    function=layers_by_steps,
)
