"""Charts of ratios with 95 % intervals: verdicts, controls for length, comparisons."""

from collections.abc import Sequence

import altair as alt
import polars as pl

from gradpipe.claims.comparison import COMPARISON_SCHEMA
from gradpipe.claims.contrasts import Claim, claims_table
from gradpipe.claims.length.effects import length_effects
from gradpipe.claims.paper import PAPER_CLAIMS
from gradpipe.claims.parse import parse_claim
from gradpipe.claims.schemas import CLAIM_SCHEMA, VERDICT_SCHEMA
from gradpipe.report.charts.notebook.tables import ResultsFrame, checked, choose, draw
from gradpipe.report.charts.rows import verdicts_with_statements
from gradpipe.statistics.reductions import REDUCTIONS
from gradpipe.statistics.table import with_labels


def verdicts(
    verdicts: ResultsFrame,
    claims: Sequence[Claim | str] | None = None,
    *,
    model: str | None = None,
    log: bool = True,
    title: str | None = None,
) -> alt.FacetChart:
    """Draw the verdicts on claims: each ratio with its 95 % interval, colored by verdict.

    One panel per claim. Each benchmark has its projections from top to bottom.

    Args:
        verdicts: Verdicts as ``gp.judge`` returns them.
        claims: The claims to draw, as they were given to ``gp.judge``; by default all.
        model: The model to draw; needed if the table has several.
        log: Draw ratios on a logarithmic scale.
        title: The chart's title; by default the names of the model and the benchmark.

    Returns:
        An Altair chart with its data. ``chart.data.values`` are the rows that it draws.

    Raises:
        DataError: ``verdicts`` is another kind of table, has no ratio with an interval, or has
            several models and none is chosen.
        StudyError: The text of a claim is malformed.

    Examples:
        >>> questions = [f"What is {n} plus {n}?" for n in range(10)]
        >>> answers = {"none": "It is {}.", "detailed": "Adding the two numbers gives us {}."}
        >>> table = pl.concat(
        ...     gp.extract_spectra(
        ...         model, tokenizer, [(q, text.format(2 * n)) for n, q in enumerate(questions)]
        ...     ).with_columns(style=pl.lit(style))
        ...     for style, text in answers.items()
        ... )
        >>> chart = gp.charts.verdicts(gp.judge(table, ["none > detailed on nuclear_norm"]))
        >>> [row["projection"] for row in chart.data.values]
        ['q', 'k', 'v', 'o']
    """
    frame = choose(checked(verdicts, tuple(VERDICT_SCHEMA), "gp.judge"), model=model)
    cells = frame.filter(pl.col("level") == "cell")
    judged = verdicts_with_statements(cells, _statements(cells, claims))
    needs = "verdicts on a benchmark that have an interval, which takes 8 items"
    return draw("verdicts", judged, needs=needs, log=log, title=title)


def _statements(cells: pl.DataFrame, claims: Sequence[Claim | str] | None) -> pl.DataFrame:
    """The claims to draw as a table of CLAIM_SCHEMA; an unknown claim's name is its statement."""
    if claims is not None:
        known = list(REDUCTIONS)
        return claims_table([parse_claim(c, known) if isinstance(c, str) else c for c in claims])
    paper = claims_table(PAPER_CLAIMS)
    unknown = cells.select("claim").unique(maintain_order=True).join(paper, on="claim", how="anti")
    named = unknown.with_columns(
        pl.col("claim").alias("statement") if name == "statement" else pl.lit(None).alias(name)
        for name in CLAIM_SCHEMA
        if name != "claim"
    )
    return pl.concat([named.select(pl.col(n).cast(t) for n, t in CLAIM_SCHEMA.items()), paper])


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
    return draw("length", effects, needs=needs, log=log, title=title)


def comparison(
    comparison: ResultsFrame, *, log: bool = True, title: str | None = None
) -> alt.FacetChart:
    """Draw a comparison of A with B: each ratio with its 95 % interval, colored by verdict.

    One panel per statistic and quantity (mean or MAD). Each curve has its projections from top to
    bottom.

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
    return draw("comparison", frame, needs=needs, log=log, title=title)
