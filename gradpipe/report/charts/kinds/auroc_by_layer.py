"""The AUROC of a statistic at each layer and projection."""

from itertools import accumulate

import altair as alt
import polars as pl

from gradpipe.report.chart_data import distinct, in_reading_order
from gradpipe.report.charts import sections
from gradpipe.report.charts.chart_files import files_of_cells
from gradpipe.report.charts.kind import ChartKind
from gradpipe.report.charts.notebook_tables import (
    ResultsFrame,
    checked,
    choose,
    choose_statistic,
    draw,
)
from gradpipe.report.charts.page_figure import WIDE_MARGIN, PageFigure
from gradpipe.report.charts.parts import name_axis, panels, tooltip_value
from gradpipe.report.report_data import ReportInputs
from gradpipe.report.style import AUROC_COLORS, DEFAULT_STATISTIC, statistic_label, style_labels

#: The statistics whose AUROCs by layer come first, and the number of AUROCs that a page has room
#: for: those of all statistics of a small study, of one for the paper's grid.
_FIRST_STATISTICS = ("nuclear_norm", "effective_rank")
MOST_AUROCS = 60_000
_LEGEND_PIXELS = 180
_COLUMNS = (
    *("model", "benchmark", "style", "first", "second"),
    *("projection", "layer", "statistic", "auroc"),
)


def auroc_by_layer(
    projections: list[str], *, statistic: str | None = None, log: bool = False
) -> alt.FacetChart:
    """Where in the model does the gradient distinguish single responses?

    One panel per comparison, whose title has the AUROC of the loss. Layers are columns and
    projections rows; the color diverges from 0.5, which is chance. ``log`` is ignored: an AUROC has
    no logarithmic scale.
    """
    title = f"AUROC of {statistic_label(statistic)}" if statistic else "AUROC"
    ticks = [0, 0.25, 0.5, 0.75, 1]
    bar = alt.Legend(title=title, gradientLength=_LEGEND_PIXELS, values=ticks, format="~g")
    cells = alt.Chart().mark_rect(aria=False)
    encoded = cells.encode(
        x=alt.X("layer:O", title="layer").axis(labelOverlap=True, labelAngle=0, ticks=False),
        y=alt.Y("projection:N", sort=projections, title=None, axis=name_axis()),
        color=alt.Color(
            "auroc:Q",
            scale=alt.Scale(domain=[0, 0.5, 1], range=list(AUROC_COLORS), interpolate="rgb"),
            legend=bar,
        ),
        tooltip=[
            "projection:N",
            "layer:O",
            tooltip_value("auroc", "AUROC"),
            tooltip_value("loss", "AUROC of the loss"),
        ],
    )
    return panels(encoded.properties(height=alt.Step(22)), field="part", own=None, height=None)


def auroc_rows(discrimination: pl.DataFrame) -> pl.DataFrame:
    """AUROCs by layer and projection, of the table `beside_the_loss`.

    Panels (``part``) are comparisons, with the AUROC of the loss over all layers.
    """
    ordered = in_reading_order(discrimination.drop_nulls("layer"), "style", "first", "projection")
    loss = pl.when(pl.col("loss").is_not_null()).then(pl.format(" · loss: {}", _hundredths("loss")))
    against = pl.format(
        "{}, {} against {}{}",
        pl.col("style").replace(style_labels()),
        "first",
        "second",
        loss.fill_null(""),
    )
    return ordered.select(against.alias("part"), "projection", "layer", "auroc", "loss")


def beside_the_loss(discrimination: pl.DataFrame) -> pl.DataFrame:
    """The AUROCs of statistics, with that of the loss of the same responses as ``loss``."""
    keys = ["model", "benchmark", "style", "first", "second"]
    loss = discrimination.filter(statistic="loss").select(*keys, pl.col("auroc").alias("loss"))
    gradients = discrimination.drop_nulls("projection")
    return gradients.join(loss, on=keys, how="left", maintain_order="left")


def _hundredths(column: str) -> pl.Expr:
    """A number between 0 and 1 with two decimals, also 0.50."""
    digits = (pl.col(column) * 100).round().cast(pl.Int64).cast(pl.String)
    padded = digits.str.zfill(3)
    return padded.str.head(1) + "." + padded.str.tail(2)


def discrimination(
    aurocs: ResultsFrame,
    *,
    statistic: str | None = None,
    model: str | None = None,
    benchmark: str | None = None,
    title: str | None = None,
) -> alt.FacetChart:
    """Draw the AUROC of a statistic at each layer and projection as a heatmap.

    One panel per style and kind of responses, whose title has the AUROC of the loss. Orange: the
    first kind has the larger values; blue: the smaller ones; pale: 0.5, which is chance.

    Args:
        aurocs: AUROCs as ``gp.discrimination`` returns them, of responses that differ in relevance.
        statistic: The statistic to draw; by default "nuclear_norm", or else the first.
        model: The model to draw; needed if the table has several.
        benchmark: The benchmark to draw; needed if the table has several.
        title: The chart's title; by default the names of model and benchmark.

    Returns:
        An Altair chart with its data. ``chart.data.values`` are the rows that it draws.

    Raises:
        DataError: ``aurocs`` is another kind of table, has no such rows, or has several models or
            benchmarks and none is chosen.

    Examples:
        >>> pairs = [("Add 2 and 2.", "4"), ("Add 2 and 2.", "Blue.")]
        >>> spectra = gp.extract_spectra(model, tokenizer, pairs).with_columns(
        ...     item=pl.lit("sum"),
        ...     relevance=pl.col("example").replace_strict({0: "correct", 1: "irrelevant"}),
        ... )
        >>> chart = gp.charts.discrimination(gp.discrimination(spectra))
        >>> len(chart.data.values)  # 4 projections, 3 layers
        12
    """
    frame = choose(checked(aurocs, _COLUMNS, "gp.discrimination"), model=model, benchmark=benchmark)
    table, chosen = choose_statistic(beside_the_loss(frame), statistic)
    needs = "AUROCs of single layers"
    return draw(AUROC_BY_LAYER, table, needs=needs, statistic=chosen, title=title)


def heatmap_statistics(discrimination: pl.DataFrame) -> list[str]:
    """The statistics whose AUROCs by layer the page has room for, the most important first."""
    by_layer = discrimination.drop_nulls("layer")
    present = distinct(by_layer, "statistic")
    ordered = [*(name for name in _FIRST_STATISTICS if name in present)]
    ordered += [name for name in present if name not in ordered]
    counts = dict(by_layer.group_by("statistic").len().rows())
    sizes = accumulate(counts[name] for name in ordered)
    room = sum(size <= MOST_AUROCS for size in sizes)
    return ordered[: max(room, 1)]


def _defaults(inputs: ReportInputs) -> pl.DataFrame:
    return beside_the_loss(inputs.discrimination).filter(statistic=DEFAULT_STATISTIC)


def _projections(inputs: ReportInputs) -> list[str]:
    drawn = heatmap_statistics(inputs.discrimination)
    return distinct(inputs.discrimination, "projection") if drawn else []


AUROC_BY_LAYER = ChartKind(
    name="discrimination",
    draw=auroc_by_layer,
    rows=auroc_rows,
    color="projection",
    value="auroc",
    subtitle="AUROC by layer and projection; 0.5 is chance, and the loss needs no gradient",
    log=False,
    options=("statistic",),
    files=files_of_cells(_defaults, labeled=DEFAULT_STATISTIC),
    figure=PageFigure(
        id="aurocs",
        section=sections.DISCRIMINATION_SECTION,
        heading="AUROC at each layer and projection",
        names=_projections,
        caption=(
            "AUROC of a statistic at each layer and projection: orange if irrelevant, wrong or "
            "rejected responses have the larger values, blue if they have the smaller ones, pale "
            "at 0.5, which is chance. The title of each panel has the AUROC of the loss. The best "
            "of many cells is partly luck."
        ),
        margin=WIDE_MARGIN,
        log=False,
        scales=False,
    ),
    function=discrimination,
)
