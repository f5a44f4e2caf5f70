"""Comparisons of two sides, A and B, as ``gp.compare`` returns them."""

import altair as alt
import polars as pl

from gradpipe.claims.comparison import COMPARISON_SCHEMA
from gradpipe.report.chart_data import in_reading_order
from gradpipe.report.charts.drawable_rows import EFFECT, HAS_INTERVAL
from gradpipe.report.charts.interval_dots import INTERVAL_TOOLTIP, interval_dots
from gradpipe.report.charts.kind import ChartKind
from gradpipe.report.charts.notebook_tables import ResultsFrame, checked, draw
from gradpipe.report.charts.parts import color_by, panels, tooltip_value
from gradpipe.report.style import SIDE_COLORS, statistic_label, style_labels


def comparison_of_two_sides(verdicts: list[str], *, log: bool = True) -> alt.FacetChart:
    """Where are A's curves larger, or more uneven, than B's?

    One panel per statistic and quantity, with one row per curve and projection: the ratio of A to B
    and its 95 % interval, colored by verdict. A rule marks a ratio of 1.
    """
    colors = [SIDE_COLORS[verdict] for verdict in verdicts]
    layers = interval_dots(
        field="verdict",
        color=color_by("verdict", verdicts, colors, title="A against B", symbol="circle"),
        row="place",
        tooltip=[
            "curve:N",
            "projection:N",
            "verdict:N",
            *INTERVAL_TOOLTIP,
            tooltip_value("p_adjusted", "adjusted p"),
        ],
        log=log,
        more={},
    )
    return panels(layers, field="part", own="x", height=None)


def comparison_rows(comparison: pl.DataFrame) -> pl.DataFrame:
    """The ratios of `gradpipe.claims.comparison.compare` that have an interval.

    ``part`` is the statistic and quantity, ``curve`` the curve's labels as far as it has any.
    """
    labels = {name: statistic_label(name) for name in comparison["statistic"].unique()}
    quantity = pl.col("quantity").replace({"mean": "mean over layers", "mad": "MAD"})
    curve = pl.concat_str(
        "model",
        "benchmark",
        pl.col("style").replace(style_labels()),
        "relevance",
        separator=", ",
        ignore_nulls=True,
    )
    rows = comparison.rename({"ratio": "effect"}).filter(HAS_INTERVAL)
    means_first = rows.sort("quantity", descending=True, maintain_order=True)
    ordered = in_reading_order(means_first, "statistic")
    return ordered.select(
        pl.format("{}: {}", pl.col("statistic").replace(labels), quantity).alias("part"),
        curve.alias("curve"),
        pl.concat_str(curve, "projection", separator=" · ").alias("place"),
        "projection",
        "verdict",
        *EFFECT,
        "p_adjusted",
    )


def comparison(
    comparison: ResultsFrame, *, log: bool = True, title: str | None = None
) -> alt.FacetChart:
    """Draw a comparison of A with B: each ratio with its 95 % interval, colored by verdict.

    One panel per statistic and quantity (mean or MAD), with one row per curve and projection.

    Args:
        comparison: A comparison as ``gp.compare`` returns it.
        log: Draw ratios on a logarithmic scale.
        title: The chart's title; by default the names of the common model and benchmark.

    Returns:
        An Altair chart with its data.

    Raises:
        DataError: ``comparison`` is another kind of table, or has no ratio with an interval.

    Examples:
        >>> short = [(f"What is {n} plus {n}?", f"It is {2 * n}.") for n in range(10)]
        >>> long = [(q, f"Adding the two numbers gives us: {text}") for q, text in short]
        >>> comparison = gp.compare(
        ...     gp.extract_spectra(model, tokenizer, short),
        ...     gp.extract_spectra(model, tokenizer, long),
        ...     ["nuclear_norm"],
        ... )
        >>> chart = gp.charts.comparison(comparison)
        >>> [row["verdict"] for row in chart.data.values][:4]
        ['higher', 'higher', 'higher', 'higher']
    """
    frame = checked(comparison, tuple(COMPARISON_SCHEMA), "gp.compare")
    needs = "ratios with an interval, which take 8 items on each side"
    return draw(COMPARISON_OF_SIDES, frame, needs=needs, log=log, title=title)


COMPARISON_OF_SIDES = ChartKind(
    name="comparison",
    draw=comparison_of_two_sides,
    rows=comparison_rows,
    color="verdict",
    value="effect",
    subtitle="Ratio of A to B with its 95 % interval, one row per curve and projection",
    function=comparison,
)
