"""The rows that each kind of chart draws, from a table of results.

Names stay as they are in the table; `ChartKind.chart` replaces them by their labels. Rows are in
reading order, which decides the order of panels.
"""

import textwrap
from collections.abc import Iterable

import polars as pl

from gradpipe.report.chart_data import (
    IS_KNOWLEDGE,
    compared_as,
    drawn_curves,
    in_reading_order,
    layer_differences,
    relevance_ratio_table,
    spectra_rows,
    style_ratio_table,
    with_errors,
)
from gradpipe.report.style import DRAWN_RELEVANCES, STYLE_LABELS, statistic_label

_LINE = ("projection", "style", "relevance", "layer")
_POINT = ("mean", "low", "high", "se", "examples")
_RATIO = ("ratio", "low", "high", "se", "examples")
_EFFECT = ("effect", "low", "high")
#: A logarithmic scale has no zero.
_HAS_INTERVAL = pl.all_horizontal(pl.col(_EFFECT).is_finite(), pl.col("low") > 0)
#: Characters per line of a panel's title.
_TITLE_WIDTH = 46


def mean_rows(curves: pl.DataFrame) -> pl.DataFrame:
    """The curves of correct responses, with a band of one standard error each side."""
    return _in_line_order(_correct(curves), _POINT)


def ratio_rows(curves: pl.DataFrame) -> pl.DataFrame:
    """One style's curve divided by another's, for correct responses."""
    return _in_line_order(style_ratio_table(_correct(curves)), ("pair", *_RATIO))


def relevance_rows(curves: pl.DataFrame) -> pl.DataFrame:
    """The curves of correct and irrelevant responses; no rows if one of the two is missing."""
    rows = _of_drawn_relevances(_drawable(curves))
    if rows.get_column("relevance").n_unique() < 2:
        rows = rows.clear()
    return _in_line_order(rows, _POINT)


def relevance_ratio_rows(curves: pl.DataFrame) -> pl.DataFrame:
    """The irrelevant curve divided by the correct one."""
    ratios = relevance_ratio_table(_drawable(curves))
    return _in_line_order(ratios, _RATIO)


def difference_rows(curves: pl.DataFrame) -> pl.DataFrame:
    """RD before its mean over layers, and whether a layer is among the largest of its curve."""
    differences = layer_differences(_drawable(curves))
    return _in_line_order(differences, ("rd", "largest", "se", "examples"))


def two_models(curves: pl.DataFrame, base: str, tuned: str) -> pl.DataFrame:
    """The curves of two models, with ``tuning``: "base" or "tuned"."""
    return pl.concat(
        curves.filter(pl.col("model") == model).with_columns(tuning=pl.lit(tuning))
        for tuning, model in (("base", base), ("tuned", tuned))
    )


def tuning_rows(curves: pl.DataFrame) -> pl.DataFrame:
    """The curves of correct responses of `two_models`; no rows if one of them has none."""
    rows = _correct(curves)
    if rows.get_column("tuning").n_unique() < 2:
        rows = rows.clear()
    return _in_line_order(rows, ("tuning", "model", *_POINT))


def mad_rows(mads: pl.DataFrame) -> pl.DataFrame:
    """The MADs of reasoning styles, over one segment of the layers."""
    return _in_dot_order(_of_drawn_relevances(mads.filter(~IS_KNOWLEDGE)), "mad", "relevance")


def knowledge_rows(mads: pl.DataFrame) -> pl.DataFrame:
    """The MADs of the lengths of a knowledge answer, over one segment of the layers."""
    return _in_dot_order(_of_drawn_relevances(mads.filter(IS_KNOWLEDGE)), "mad", "relevance")


def rd_rows(rds: pl.DataFrame) -> pl.DataFrame:
    """The RDs of pairs of curves."""
    return _in_dot_order(rds, "rd")


def verdict_rows(verdicts: pl.DataFrame) -> pl.DataFrame:
    """The cells' verdicts that have a ratio with an interval; panels (``part``) by statement.

    ``verdicts`` has a column ``statement``, in the order of the panels.
    """
    width = _TITLE_WIDTH
    titles = {text: "\n".join(textwrap.wrap(text, width)) for text in verdicts["statement"]}
    part = pl.col("statement").replace(titles).alias("part")
    names = ("benchmark", "projection", "verdict")
    return verdicts.filter(pl.col("level") == "cell", _HAS_INTERVAL).select(
        part, *names, *_EFFECT, "p_adjusted", "items", "reason"
    )


def verdicts_with_statements(verdicts: pl.DataFrame, claims: pl.DataFrame) -> pl.DataFrame:
    """Verdicts with the statement, title and group of their claims, in the order of ``claims``."""
    ordered = in_reading_order(verdicts, "benchmark", "projection", "verdict")
    return claims.join(ordered, on="claim", maintain_order="left_right")


def length_rows(effects: pl.DataFrame) -> pl.DataFrame:
    """The ratios of two styles that have an interval, by control for length."""
    styles = [pl.col(column).replace(STYLE_LABELS) for column in ("style", "against")]
    return effects.filter(_HAS_INTERVAL).select(
        "projection",
        pl.concat_str(styles, separator=" / ").alias("pair"),
        "control",
        *_EFFECT,
        "how",
        "items",
    )


def comparison_rows(comparison: pl.DataFrame) -> pl.DataFrame:
    """The ratios of `gradpipe.claims.comparison.compare` that have an interval.

    ``part`` is the statistic and quantity, ``curve`` the curve's labels as far as it has any.
    """
    labels = {name: statistic_label(name) for name in comparison["statistic"].unique()}
    quantity = pl.col("quantity").replace({"mean": "mean over layers", "mad": "MAD"})
    curve = pl.concat_str(
        "model",
        "benchmark",
        pl.col("style").replace(STYLE_LABELS),
        "relevance",
        separator=", ",
        ignore_nulls=True,
    )
    rows = comparison.rename({"ratio": "effect"}).filter(_HAS_INTERVAL)
    means_first = rows.sort("quantity", descending=True, maintain_order=True)
    ordered = in_reading_order(means_first, "statistic")
    return ordered.select(
        pl.format("{}: {}", pl.col("statistic").replace(labels), quantity).alias("part"),
        curve.alias("curve"),
        "projection",
        "verdict",
        *_EFFECT,
        "p_adjusted",
    )


def auroc_rows(discrimination: pl.DataFrame) -> pl.DataFrame:
    """AUROCs by layer and projection, of the table `beside_the_loss`.

    Panels (``part``) are comparisons, with the AUROC of the loss over all layers.
    """
    ordered = in_reading_order(discrimination.drop_nulls("layer"), "style", "first", "projection")
    loss = pl.when(pl.col("loss").is_not_null()).then(pl.format(" · loss: {}", _hundredths("loss")))
    against = pl.format(
        "{}, {} against {}{}",
        pl.col("style").replace(STYLE_LABELS),
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


def alignment_rows(cosines: pl.DataFrame) -> pl.DataFrame:
    """The curves of cosines of one kind, with a band of one standard error each side."""
    return _cosines(cosines).select("pair", "style", "relevance", "layer", *_POINT)


def response_rows(cosines: pl.DataFrame) -> pl.DataFrame:
    """The curves of cosines of two responses; ``pair`` names the two."""
    named = _cosines(cosines).with_columns(
        pl.col("pair").alias("projection"), compared_as().alias("pair")
    )
    return named.select("projection", "pair", "layer", *_POINT)


def example_rows(scores: pl.DataFrame) -> pl.DataFrame:
    """Single examples with a nuclear norm, and their lengths."""
    columns = ("index", "style", "relevance", "response_tokens", "nuclear_norm", "loss")
    return scores.filter(pl.col("nuclear_norm") > 0).select(columns)


def extreme_rows(extremes: pl.DataFrame) -> pl.DataFrame:
    """The spectra of the most extreme examples, one row per singular value."""
    return spectra_rows(extremes).drop("model")


def _drawable(curves: pl.DataFrame) -> pl.DataFrame:
    return drawn_curves(curves).filter(pl.col("mean").is_not_null())


def _of_drawn_relevances(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.filter(pl.col("relevance").is_in(list(DRAWN_RELEVANCES)))


def _correct(curves: pl.DataFrame) -> pl.DataFrame:
    return _drawable(curves).filter(pl.col("relevance") == "correct")


def _in_line_order(rows: pl.DataFrame, values: Iterable[str]) -> pl.DataFrame:
    return in_reading_order(rows.select(*_LINE, *values), *_LINE)


def _in_dot_order(table: pl.DataFrame, value: str, *labels: str) -> pl.DataFrame:
    columns = ("benchmark", "projection", "style", *labels)
    finite = table.filter(pl.col(value).is_finite())
    return in_reading_order(finite.select(*columns, value), *columns)


def _cosines(cosines: pl.DataFrame) -> pl.DataFrame:
    """Curves of cosines with their bands, which may be negative."""
    rows = with_errors(cosines).filter(pl.col("mean").is_not_null())
    error = pl.col("se").fill_null(0.0)
    rows = rows.with_columns(low=pl.col("mean") - error, high=pl.col("mean") + error)
    return in_reading_order(rows.sort("layer"), "pair", "style", "relevance")
