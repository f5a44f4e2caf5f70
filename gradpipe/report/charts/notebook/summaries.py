"""Charts of one number per curve: the tables of ``gp.mad`` and ``gp.relative_difference``."""

import altair as alt

from gradpipe.report.charts.notebook.tables import (
    ResultsFrame,
    checked,
    choose,
    choose_statistic,
    draw,
)

_MAD_COLUMNS = (
    "model",
    "benchmark",
    "style",
    "relevance",
    "projection",
    "statistic",
    "segment",
    "mad",
)
_RD_COLUMNS = ("model", "benchmark", "style", "projection", "statistic", "rd")


def mad(
    mads: ResultsFrame,
    *,
    statistic: str | None = None,
    model: str | None = None,
    segment: str = "all",
    log: bool = True,
    title: str | None = None,
) -> alt.FacetChart:
    """Draw the MAD of each curve of a reasoning style, for all benchmarks.

    One panel per projection and one dot per benchmark, style and relevance; dots of irrelevant
    responses are hollow.

    Args:
        mads: MADs as ``gp.mad`` returns them.
        statistic: The statistic to draw; by default "nuclear_norm", or else the first.
        model: The model to draw; needed if the table has several.
        segment: The layers that the MAD is taken over: "all", "early", "mid" or "last".
        log: Draw MADs on a logarithmic scale; those of zero are left out.
        title: The chart's title; by default the model's name.

    Returns:
        An Altair chart with its data. ``chart.data.values`` are the rows that it draws.

    Raises:
        DataError: ``mads`` is another kind of table, has no such rows, or has several models and
            none is chosen.

    Examples:
        >>> spectra = gp.extract_spectra(model, tokenizer, [("Add 2 and 2.", "4")])
        >>> mads = gp.mad(gp.curves(spectra))
        >>> chart = gp.charts.mad(mads)
        >>> sorted(row["projection"] for row in chart.data.values)
        ['k', 'o', 'q', 'v']
    """
    frame = choose(checked(mads, _MAD_COLUMNS, "gp.mad"), model=model, segment=segment)
    table, chosen = choose_statistic(frame, statistic)
    needs = "MADs of styles that are not lengths of a knowledge answer"
    return draw("mad", table, needs=needs, statistic=chosen, log=log, title=title)


def knowledge(
    mads: ResultsFrame,
    *,
    statistic: str | None = None,
    model: str | None = None,
    segment: str = "all",
    log: bool = False,
    title: str | None = None,
) -> alt.FacetChart:
    """Draw the MAD of knowledge questions by the length of the answer.

    One panel per projection and one color per benchmark; solid lines for correct responses, dashed
    lines for irrelevant ones.

    Args:
        mads: MADs as ``gp.mad`` returns them, of the styles "length_100", "length_500",
            "length_1000" or "article".
        statistic: As in ``gp.charts.mad``.
        model: As in ``gp.charts.mad``.
        segment: As in ``gp.charts.mad``.
        log: As in ``gp.charts.mad``.
        title: As in ``gp.charts.mad``.

    Returns:
        An Altair chart with its data.

    Raises:
        DataError: As in ``gp.charts.mad``.

    Examples:
        >>> spectra = gp.extract_spectra(model, tokenizer, [("What is bee?", "An insect.")])
        >>> curves = gp.curves(spectra.with_columns(style=pl.lit("length_100")))
        >>> chart = gp.charts.knowledge(gp.mad(curves))
        >>> {row["style"] for row in chart.data.values}
        {'100 tokens'}
    """
    frame = choose(checked(mads, _MAD_COLUMNS, "gp.mad"), model=model, segment=segment)
    table, chosen = choose_statistic(frame, statistic)
    needs = "MADs of the styles length_100, length_500, length_1000 or article"
    return draw("knowledge", table, needs=needs, statistic=chosen, log=log, title=title)


def relative_difference(
    rds: ResultsFrame,
    *,
    statistic: str | None = None,
    model: str | None = None,
    log: bool = True,
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
    return draw("relative-difference", table, needs=needs, statistic=chosen, log=log, title=title)
