"""Charts of curves, as ``gp.curves`` returns them."""

import altair as alt
import polars as pl

from gradpipe.report.charts.notebook.tables import (
    ResultsFrame,
    checked,
    choose,
    choose_statistic,
    draw,
)
from gradpipe.report.charts.rows import two_models
from gradpipe.report.report_data import REPORT_CURVE_COLUMNS

_MADE_BY = "gp.curves"
_BOTH = "both correct and irrelevant responses of a style"


def curves(
    curves: ResultsFrame,
    *,
    statistic: str | None = None,
    model: str | None = None,
    benchmark: str | None = None,
    log: bool = False,
    title: str | None = None,
) -> alt.FacetChart:
    """Draw a statistic's curve through the layers, for each response style.

    One panel per projection and one line per style, for correct responses, with a band of one
    standard error each side.

    Args:
        curves: Curves as ``gp.curves`` returns them.
        statistic: The statistic to draw; by default "nuclear_norm", or else the first.
        model: The model to draw; needed if the table has several.
        benchmark: The benchmark to draw; needed if the table has several.
        log: Draw values on a logarithmic scale; values of zero or less are left out.
        title: The chart's title; by default the names of model and benchmark.

    Returns:
        An Altair chart with its data. ``chart.data.values`` are the rows that it draws.

    Raises:
        DataError: ``curves`` is another kind of table, has no such rows, or has several models or
            benchmarks and none is chosen.

    Examples:
        >>> pairs = [("Add 2 and 2.", "4"), ("Name a color.", "Blue, or a shade of it.")]
        >>> spectra = gp.extract_spectra(model, tokenizer, pairs)
        >>> chart = gp.charts.curves(gp.curves(spectra), statistic="effective_rank")
        >>> len(chart.data.values)  # 4 projections, 3 layers
        12
    """
    table, chosen = _one_cell(curves, statistic, model, benchmark)
    needs = "curves of correct responses"
    return draw("curves", table, needs=needs, statistic=chosen, log=log, title=title)


def style_ratios(
    curves: ResultsFrame,
    *,
    statistic: str | None = None,
    model: str | None = None,
    benchmark: str | None = None,
    log: bool = True,
    title: str | None = None,
) -> alt.FacetChart:
    """Draw one style's curve divided by another's, layer by layer.

    One panel per projection and one line per pair of styles, for correct responses, with a band of
    one standard error each side, as if the two curves were independent.

    Args:
        curves: Curves of several styles, as ``gp.curves`` returns them.
        statistic: As in ``gp.charts.curves``.
        model: As in ``gp.charts.curves``.
        benchmark: As in ``gp.charts.curves``.
        log: Draw ratios on a logarithmic scale.
        title: As in ``gp.charts.curves``.

    Returns:
        An Altair chart with its data.

    Raises:
        DataError: As in ``gp.charts.curves``, or there are no two styles to compare.

    Examples:
        >>> pairs = [("Add 2 and 2.", "4"), ("Add 2 and 2.", "2 + 2 = 4, so it is 4.")]
        >>> spectra = gp.extract_spectra(model, tokenizer, pairs).with_columns(
        ...     style=pl.col("example").replace_strict({0: "none", 1: "detailed"})
        ... )
        >>> chart = gp.charts.style_ratios(gp.curves(spectra))
        >>> {row["pair"] for row in chart.data.values}
        {'none / detailed'}
    """
    table, chosen = _one_cell(curves, statistic, model, benchmark)
    needs = "correct responses of two styles, such as none and detailed"
    return draw("ratio", table, needs=needs, statistic=chosen, log=log, title=title)


def relevance(
    curves: ResultsFrame,
    *,
    statistic: str | None = None,
    model: str | None = None,
    benchmark: str | None = None,
    log: bool = True,
    title: str | None = None,
) -> alt.FacetChart:
    """Draw the curves of correct and irrelevant responses together.

    One panel per projection and one color per style; solid lines for correct responses, dashed
    lines for irrelevant ones.

    Args:
        curves: Curves of correct and irrelevant responses, as ``gp.curves`` returns them.
        statistic: As in ``gp.charts.curves``.
        model: As in ``gp.charts.curves``.
        benchmark: As in ``gp.charts.curves``.
        log: Draw values on a logarithmic scale, where the gap between two lines is their ratio.
        title: As in ``gp.charts.curves``.

    Returns:
        An Altair chart with its data.

    Raises:
        DataError: As in ``gp.charts.curves``, or the curves are all of one relevance.

    Examples:
        >>> pairs = [("Add 2 and 2.", "4"), ("Add 2 and 2.", "Blue.")]
        >>> spectra = gp.extract_spectra(model, tokenizer, pairs).with_columns(
        ...     relevance=pl.col("example").replace_strict({0: "correct", 1: "irrelevant"})
        ... )
        >>> chart = gp.charts.relevance(gp.curves(spectra), log=False)
        >>> len(chart.data.values)  # 2 curves, 4 projections, 3 layers
        24
    """
    table, chosen = _one_cell(curves, statistic, model, benchmark)
    return draw("relevance", table, needs=_BOTH, statistic=chosen, log=log, title=title)


def relevance_ratios(
    curves: ResultsFrame,
    *,
    statistic: str | None = None,
    model: str | None = None,
    benchmark: str | None = None,
    log: bool = True,
    title: str | None = None,
) -> alt.FacetChart:
    """Draw the curve of irrelevant responses divided by that of correct ones.

    One panel per projection and one line per style, with a band of one standard error each side.

    Args:
        curves: Curves of correct and irrelevant responses, as ``gp.curves`` returns them.
        statistic: As in ``gp.charts.curves``.
        model: As in ``gp.charts.curves``.
        benchmark: As in ``gp.charts.curves``.
        log: Draw ratios on a logarithmic scale.
        title: As in ``gp.charts.curves``.

    Returns:
        An Altair chart with its data.

    Raises:
        DataError: As in ``gp.charts.relevance``.

    Examples:
        >>> pairs = [("Add 2 and 2.", "4"), ("Add 2 and 2.", "Blue.")]
        >>> spectra = gp.extract_spectra(model, tokenizer, pairs).with_columns(
        ...     relevance=pl.col("example").replace_strict({0: "correct", 1: "irrelevant"})
        ... )
        >>> chart = gp.charts.relevance_ratios(gp.curves(spectra))
        >>> len(chart.data.values)  # 4 projections, 3 layers
        12
    """
    table, chosen = _one_cell(curves, statistic, model, benchmark)
    kind = "irrelevant-over-correct"
    return draw(kind, table, needs=_BOTH, statistic=chosen, log=log, title=title)


def difference_by_layer(
    curves: ResultsFrame,
    *,
    statistic: str | None = None,
    model: str | None = None,
    benchmark: str | None = None,
    log: bool = True,
    title: str | None = None,
) -> alt.FacetChart:
    """Draw how far irrelevant responses are from correct ones at each layer.

    |correct − irrelevant| / |correct|, which RD averages over layers. One panel per projection and
    one line per style; dots mark the layers with the largest differences.

    Args:
        curves: Curves of correct and irrelevant responses, as ``gp.curves`` returns them.
        statistic: As in ``gp.charts.curves``.
        model: As in ``gp.charts.curves``.
        benchmark: As in ``gp.charts.curves``.
        log: Draw differences on a logarithmic scale; those of zero are left out.
        title: As in ``gp.charts.curves``.

    Returns:
        An Altair chart with its data.

    Raises:
        DataError: As in ``gp.charts.relevance``.

    Examples:
        >>> pairs = [("Add 2 and 2.", "4"), ("Add 2 and 2.", "Blue.")]
        >>> spectra = gp.extract_spectra(model, tokenizer, pairs).with_columns(
        ...     relevance=pl.col("example").replace_strict({0: "correct", 1: "irrelevant"})
        ... )
        >>> chart = gp.charts.difference_by_layer(gp.curves(spectra))
        >>> [row["layer"] for row in chart.data.values if row["projection"] == "q"]
        [0, 1, 2]
    """
    table, chosen = _one_cell(curves, statistic, model, benchmark)
    return draw("rd", table, needs=_BOTH, statistic=chosen, log=log, title=title)


def base_and_tuned(
    curves: ResultsFrame,
    base: str,
    tuned: str,
    *,
    statistic: str | None = None,
    benchmark: str | None = None,
    log: bool = False,
    title: str | None = None,
) -> alt.FacetChart:
    """Draw the curves of a base model and of a model tuned from it together.

    One panel per projection and one color per style, for correct responses; solid lines for the
    base model, dashed lines for the tuned one.

    Args:
        curves: Curves of both models, as ``gp.curves`` returns them.
        base: The name of the base model in the column ``model``.
        tuned: The name of the tuned model.
        statistic: As in ``gp.charts.curves``.
        benchmark: As in ``gp.charts.curves``.
        log: As in ``gp.charts.curves``.
        title: The chart's title; by default the names of the models and the benchmark.

    Returns:
        An Altair chart with its data.

    Raises:
        DataError: As in ``gp.charts.curves``, or one of the models has no curves.

    Examples:
        >>> spectra = gp.extract_spectra(model, tokenizer, [("Add 2 and 2.", "4")])
        >>> curves = gp.curves(
        ...     pl.concat(spectra.with_columns(model=pl.lit(name)) for name in ("one", "other"))
        ... )
        >>> chart = gp.charts.base_and_tuned(curves, "one", "other")
        >>> {row["tuning"] for row in chart.data.values} == {"base", "tuned"}
        True
    """
    table, chosen = choose_statistic(checked(curves, REPORT_CURVE_COLUMNS, _MADE_BY), statistic)
    for model in (base, tuned):
        choose(table, model=model)
    both = choose(two_models(table, base, tuned), benchmark=benchmark)
    if title is None:
        names = [f"{base} and {tuned}", *both.get_column("benchmark").unique()]
        title = " · ".join(name for name in names if name)
    needs = "correct responses of both models to one benchmark"
    return draw("twins", both, needs=needs, statistic=chosen, log=log, title=title)


def _one_cell(
    curves: ResultsFrame, statistic: str | None, model: str | None, benchmark: str | None
) -> tuple[pl.DataFrame, str]:
    """The curves of one statistic, model and benchmark, and the statistic's name."""
    table = checked(curves, REPORT_CURVE_COLUMNS, _MADE_BY)
    return choose_statistic(choose(table, model=model, benchmark=benchmark), statistic)
