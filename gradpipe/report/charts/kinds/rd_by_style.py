"""The RD of each pair of curves, by style, benchmark and projection."""

import altair as alt
import polars as pl

from gradpipe.report.charts.drawable_rows import in_dot_order
from gradpipe.report.charts.kind import ChartKind
from gradpipe.report.charts.notebook_tables import (
    ResultsFrame,
    checked,
    choose,
    choose_statistic,
    draw,
)
from gradpipe.report.charts.parts import dots_by_style, panels, value_title

_RD_COLUMNS = ("model", "benchmark", "style", "projection", "statistic", "rd")


def rd_by_style(
    styles: list[str], *, statistic: str | None = None, log: bool = False
) -> alt.FacetChart:
    """How far are irrelevant responses from correct ones, by style, benchmark and projection?

    One panel per projection, one dot per pair of curves.
    """
    title = value_title(statistic, "RD of ", unit=False)
    return panels(dots_by_style(styles, value="rd", title=title, log=log), own="x", height=None)


def rd_rows(rds: pl.DataFrame) -> pl.DataFrame:
    """The RDs of pairs of curves."""
    return in_dot_order(rds, "rd")


def relative_difference(
    rds: ResultsFrame,
    *,
    statistic: str | None = None,
    model: str | None = None,
    log: bool = False,
    title: str | None = None,
) -> alt.FacetChart:
    """Draw the RD of each pair of curves, for all benchmarks.

    One panel per projection and one dot per benchmark and style.

    Args:
        rds: RDs as ``gp.relative_difference`` returns them for ``column="relevance"``.
        statistic: As in ``gp.charts.mad``.
        model: As in ``gp.charts.mad``.
        log: Draw RDs on a logarithmic scale; those of zero are left out.
        title: As in ``gp.charts.mad``.

    Returns:
        An Altair chart with its data.

    Raises:
        DataError: As in ``gp.charts.mad``.

    Examples:
        >>> pairs = [("Add 2 and 2.", "4"), ("Add 2 and 2.", "Blue.")]
        >>> spectra = gp.extract_spectra(model, tokenizer, pairs).with_columns(
        ...     relevance=pl.col("example").replace_strict({0: "correct", 1: "irrelevant"})
        ... )
        >>> chart = gp.charts.relative_difference(gp.relative_difference(gp.curves(spectra)))
        >>> sorted(row["projection"] for row in chart.data.values)
        ['k', 'o', 'q', 'v']
    """
    frame = choose(checked(rds, _RD_COLUMNS, "gp.relative_difference"), model=model)
    table, chosen = choose_statistic(frame, statistic)
    needs = "pairs of curves with a finite RD"
    return draw(RD_BY_STYLE, table, needs=needs, statistic=chosen, log=log, title=title)


RD_BY_STYLE = ChartKind(
    name="relative-difference",
    draw=rd_by_style,
    rows=rd_rows,
    color="style",
    value="rd",
    log=False,
    subtitle="Relative difference of two curves: mean over layers of |s1 − s2| / |s1|",
    options=("statistic",),
    function=relative_difference,
)
