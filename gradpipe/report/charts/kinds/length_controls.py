"""Comparisons of styles as measured, and with length held constant."""

import altair as alt
import polars as pl

from gradpipe.claims.length.effects import length_effects
from gradpipe.report.charts import sections
from gradpipe.report.charts.chart_files import files_of_cells
from gradpipe.report.charts.drawable_rows import EFFECT, HAS_INTERVAL
from gradpipe.report.charts.interval_dots import INTERVAL_TOOLTIP, interval_dots
from gradpipe.report.charts.kind import ChartKind
from gradpipe.report.charts.notebook_tables import ResultsFrame, checked, choose, draw
from gradpipe.report.charts.page_figure import WIDE_MARGIN, PageFigure, Picker
from gradpipe.report.charts.parts import color_by, cycled, panels
from gradpipe.report.report_data import ReportInputs
from gradpipe.report.style import CONTROL_COLORS, style_labels
from gradpipe.report.tables.verdicts import CONTROL_LABELS
from gradpipe.statistics.table import with_labels

_QUANTITY_LABELS = {"mean": "mean over layers", "mad": "MAD"}


def length_held_still(controls: list[str], *, log: bool = True) -> alt.FacetChart:
    """How much of a difference between styles remains if length is held constant?

    One panel per projection. Each comparison of styles has its ratio as measured and with each
    control, with 95 % intervals. A rule marks a ratio of 1. ``controls`` are names or their labels.
    """
    labels = [CONTROL_LABELS.get(control, control) for control in controls]
    colors = cycled(CONTROL_COLORS, labels)
    layers = interval_dots(
        field="control",
        color=color_by("control", labels, colors, title="length", symbol="circle"),
        row="pair",
        offset=alt.YOffset("control:N", sort=labels, scale=alt.Scale(domain=labels)),
        tooltip=["pair:N", "control:N", "how:N", *INTERVAL_TOOLTIP, "items:Q"],
        log=log,
        more={},
    )
    return panels(layers, own="x", height=None)


def length_rows(effects: pl.DataFrame) -> pl.DataFrame:
    """The ratios of two styles that have an interval, by control for length."""
    styles = [pl.col(column).replace(style_labels()) for column in ("style", "against")]
    return effects.filter(HAS_INTERVAL).select(
        "projection",
        pl.concat_str(styles, separator=" / ").alias("pair"),
        "control",
        *EFFECT,
        "how",
        "items",
    )


def length(
    table: ResultsFrame,
    *,
    model: str | None = None,
    benchmark: str | None = None,
    quantity: str = "mean",
    seed: int = 0,
    log: bool = True,
    title: str | None = None,
) -> alt.FacetChart:
    """Draw the ratio of two styles' nuclear norms, as measured and with length controlled for.

    One panel per projection. Each pair of styles has its ratio as measured and with each control
    for length, with 95 % intervals over items. See "Length as a confounder" in the documentation.

    Args:
        table: A statistics table, as ``gp.statistics_table`` returns it, or the table that
            ``extract_spectra`` returned, with a column ``style``.
        model: The model to draw; needed if the table has several.
        benchmark: The benchmark to draw; needed if the table has several.
        quantity: "mean" (over layers) or "mad".
        seed: Seed of the resamples.
        log: Draw ratios on a logarithmic scale.
        title: The chart's title; by default the names of model and benchmark.

    Returns:
        An Altair chart with its data.

    Raises:
        DataError: ``table`` is another kind of table, has no two styles with at least 8 common
            items, or has several models or benchmarks and none is chosen.

    Examples:
        >>> questions = [f"What is {n} plus {n}?" for n in range(10)]
        >>> answers = {"none": "It is {}.", "detailed": "Adding the two numbers gives us {}."}
        >>> table = pl.concat(
        ...     gp.extract_spectra(
        ...         model, tokenizer, [(q, text.format(2 * n)) for n, q in enumerate(questions)]
        ...     ).with_columns(style=pl.lit(style))
        ...     for style, text in answers.items()
        ... )
        >>> chart = gp.charts.length(table)
        >>> {row["pair"] for row in chart.data.values}
        {'none / detailed'}
    """
    columns = ("style", "layer", "projection", "response_tokens", "nuclear_norm")
    frame = with_labels(checked(table, columns, "gp.statistics_table").lazy()).collect()
    cell = choose(frame, model=model, benchmark=benchmark)
    effects = choose(length_effects(cell, seed), quantity=quantity)
    needs = "correct responses of two styles to at least 8 common items"
    return draw(LENGTH_BY_CONTROL, effects, needs=needs, log=log, title=title)


def _means(inputs: ReportInputs) -> pl.DataFrame:
    return inputs.length.filter(pl.col("quantity") == "mean")


def _controls(inputs: ReportInputs) -> list[str]:
    present = set(inputs.length.filter(pl.col("effect").is_finite()).get_column("control"))
    return [label for control, label in CONTROL_LABELS.items() if control in present]


def _quantities(inputs: ReportInputs) -> list[tuple[str, str]]:
    present = set(inputs.length.get_column("quantity"))
    return [(name, label) for name, label in _QUANTITY_LABELS.items() if name in present]


LENGTH_BY_CONTROL = ChartKind(
    name="length",
    draw=length_held_still,
    rows=length_rows,
    color="control",
    value="effect",
    subtitle="Ratio of mean nuclear norms with its 95 % interval, with length held constant",
    files=files_of_cells(_means),
    figure=PageFigure(
        id="length",
        section=sections.LENGTH_SECTION,
        heading="Ratios of two styles with length held constant",
        names=_controls,
        caption=(
            "Each comparison of styles as measured, and with three controls for length: the summed "
            "instead of the mean loss, responses of matched length, and a regression on the "
            "logarithm of the number of tokens, where the lengths of the two styles overlap. An "
            "effect that disappears at equal length is due to length."
        ),
        margin=WIDE_MARGIN,
        pickers=(Picker(name="quantity", label="Compared", choices=_quantities),),
    ),
    function=length,
)
