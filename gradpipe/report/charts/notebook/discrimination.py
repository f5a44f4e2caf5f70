"""The chart of AUROCs by layer: the table of ``gp.discrimination``."""

import altair as alt

from gradpipe.report.charts.notebook.tables import (
    ResultsFrame,
    checked,
    choose,
    choose_statistic,
    draw,
)
from gradpipe.report.charts.rows import beside_the_loss

_COLUMNS = (
    *("model", "benchmark", "style", "first", "second"),
    *("projection", "layer", "statistic", "auroc"),
)


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
    return draw("discrimination", table, needs=needs, statistic=chosen, title=title)
