"""Contrasts of spans: the same answer after different chains of thought, and parts of one response.

Gradients are those of a span's own mean loss, so that spans of different responses can be compared.
A contrast is the geometric mean over items of a ratio within the item: A over B, each a mean over
layers. Its interval is Student's, of the items' log ratios, with one value per item.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

import polars as pl

from gradpipe.statistics.sample_means import mean_of_samples
from gradpipe.statistics.spans.curves import SPAN_LABELS
from gradpipe.statistics.t_intervals import t_quantiles
from gradpipe.statistics.table import ALL_PROJECTIONS
from gradpipe.styles import sorted_styles

#: The statistics that are compared, where a study has them.
CONTRAST_STATISTICS = ("nuclear_norm", "effective_rank")
#: The spans that hold an answer, and the controls of as many tokens elsewhere in the response.
_ANSWERS = ("final_answer", "answer")
_CONTROLS = ("first_k", "random_k")
#: What precedes the answer: its number of tokens is the length of the chain of thought.
_CHAINS = ("think", "rest")
#: Which items: all, or the third of them with the shortest or the longest chain of thought.
CHAINS = ("all", "shortest third", "longest third")
_SIDES = ("style", "relevance", "span")
_AGAINST = tuple(f"against_{name}" for name in _SIDES)
#: One row per contrast, model, benchmark, projection and statistic: ``ratio`` of the side named by
#: ``style``, ``relevance`` and ``span`` to the other, with its 95 % interval (null with one item).
#: ``chain`` is one of CHAINS, by the length of the other side's chain of thought. ``projection`` is
#: ALL_PROJECTIONS for geometric means over projections, and null for the statistic "loss". Tokens
#: are means over ``items``.
SPAN_CONTRAST_SCHEMA = pl.Schema(
    {
        **dict.fromkeys(("model", "benchmark", *_SIDES, *_AGAINST, "chain"), pl.String()),
        "projection": pl.String(),
        "statistic": pl.String(),
        "ratio": pl.Float64(),
        "low": pl.Float64(),
        "high": pl.Float64(),
        "items": pl.Int64(),
        "tokens": pl.Float64(),
        "against_tokens": pl.Float64(),
    }
)


class _Side(NamedTuple):
    """One side of a contrast."""

    style: str
    relevance: str
    span: str


def span_contrasts(matrices: pl.DataFrame) -> pl.DataFrame:
    """Compare spans by item (SPAN_CONTRAST_SCHEMA); no rows where there is nothing to compare.

    ``matrices`` are those of ``span_matrices`` with ``own_loss``. Compared are an answer, and its
    controls, in two styles of correct responses; an answer with the rest of its response, and with
    the controls; and the answer of wrong or irrelevant responses with that of correct ones.
    """
    span = [*SPAN_LABELS, "item_id", "span", "projection", "statistic"]
    values = mean_of_samples(item_values(matrices), span, ["value", "tokens", "chain_tokens"])
    sides = [_Side(*row) for row in values.select(_SIDES).unique().rows()]
    pairs = [(*one, *other) for one, other in _pairs(sides)]
    if not pairs:
        return SPAN_CONTRAST_SCHEMA.to_frame()
    table = pl.DataFrame(pairs, schema=[*_SIDES, *_AGAINST], orient="row")
    keys = ["model", "benchmark", "item_id", "projection", "statistic"]
    others = values.rename({name: f"against_{name}" for name in (*_SIDES, "value", "tokens")})
    joined = (
        values.drop("chain_tokens")
        .join(table, on=_SIDES)
        .join(others, on=[*keys, *_AGAINST], nulls_equal=True)
        .with_columns(log_ratio=(pl.col("value") / pl.col("against_value")).log())
        .filter(pl.col("log_ratio").is_finite())
    )
    contrast = ["model", "benchmark", *_SIDES, *_AGAINST, "projection", "statistic"]
    parts = [_with_intervals(part, contrast, chain) for chain, part in _by_chain(joined, contrast)]
    return pl.concat(parts).sort([*contrast, "chain"], nulls_last=True)


def item_values(matrices: pl.DataFrame) -> pl.DataFrame:
    """One ``value`` per item, kind of response, span, projection and statistic, with its tokens.

    A value is a mean over layers, null where a layer has none. ``chain_tokens`` are those of the
    thinking, or of the rest, of the same response; null without.
    """
    names = [name for name in CONTRAST_STATISTICS if name in matrices.columns]
    response = [*SPAN_LABELS, "item_id"]
    span = [*response, "span"]
    tokens = pl.col("response_tokens").first().cast(pl.Float64).alias("tokens")
    curves = matrices.group_by(*span, "projection").agg(
        tokens, *(_mean_of_all(pl.col(name)) for name in names)
    )
    pooled = curves.group_by(span).agg(
        pl.col("tokens").first(), *(_mean_of_all(pl.col(name).log()).exp() for name in names)
    )
    losses = matrices.group_by(span).agg(tokens, pl.col("loss").first())
    nothing = pl.lit(None, pl.String).alias("projection")
    parts = [
        *(frame.unpivot(names, index=[*span, "projection", "tokens"], variable_name="statistic")
          for frame in (curves, pooled.with_columns(projection=pl.lit(ALL_PROJECTIONS)))),
        losses.with_columns(nothing)
        .unpivot(["loss"], index=[*span, "projection", "tokens"], variable_name="statistic"),
    ]  # fmt: skip
    columns = [*span, "projection", "statistic", "value", "tokens"]
    chains = losses.filter(pl.col("span").is_in(_CHAINS)).select(
        *response, pl.col("tokens").alias("chain_tokens")
    )
    return pl.concat(part.select(columns) for part in parts).join(chains, on=response, how="left")


def _mean_of_all(values: pl.Expr) -> pl.Expr:
    """The mean, null if a value is missing or not finite."""
    return pl.when(values.is_finite().fill_null(value=False).all()).then(values.mean())


def _pairs(sides: Sequence[_Side]) -> Iterator[tuple[_Side, _Side]]:
    """The contrasts of the sides that there are."""
    present = set(sides)
    order = sorted_styles(side.style for side in present)
    for one, other in combinations(sorted(present, key=lambda s: order.index(s.style)), 2):
        both_correct = one.relevance == other.relevance == "correct"
        if both_correct and one.span == other.span and one.span in (*_ANSWERS, *_CONTROLS):
            yield one, other
    for side in sorted(present):
        if side.span not in _ANSWERS:
            continue
        spans = (*_CHAINS, *_CONTROLS) if side.relevance == "correct" else (side.span,)
        against = (_Side(side.style, "correct", span) for span in spans)
        yield from ((side, other) for other in against if other in present)


def _by_chain(joined: pl.DataFrame, contrast: Sequence[str]) -> Iterator[tuple[str, pl.DataFrame]]:
    """The ratios of all items, and of those with the shortest and longest chains of thought."""
    yield CHAINS[0], joined
    answers = joined.filter(
        pl.col("style") != pl.col("against_style"),
        pl.col("span").is_in(_ANSWERS),
        pl.col("chain_tokens").is_not_null(),
    )
    rank = (pl.col("chain_tokens").rank("ordinal") / pl.len()).over(contrast)
    ranked = answers.with_columns(rank=rank)
    yield CHAINS[1], ranked.filter(pl.col("rank") <= 1 / 3).drop("rank")
    yield CHAINS[2], ranked.filter(pl.col("rank") > 2 / 3).drop("rank")


def _with_intervals(joined: pl.DataFrame, contrast: Sequence[str], chain: str) -> pl.DataFrame:
    """The geometric mean of the items' ratios and its interval."""
    means = joined.group_by(contrast).agg(
        pl.col("log_ratio").mean().alias("center"),
        (pl.col("log_ratio").std() / pl.len().sqrt()).alias("se"),
        pl.len().cast(pl.Int64).alias("items"),
        pl.col("tokens").mean(),
        pl.col("against_tokens").mean(),
    )
    reach = pl.col("se") * pl.lit(student_quantiles(means["items"] - 1))
    return means.select(
        *contrast[:-2],
        pl.lit(chain).alias("chain"),
        *contrast[-2:],
        pl.col("center").exp().alias("ratio"),
        (pl.col("center") - reach).exp().alias("low"),
        (pl.col("center") + reach).exp().alias("high"),
        "items",
        "tokens",
        "against_tokens",
    ).match_to_schema(SPAN_CONTRAST_SCHEMA)


def student_quantiles(free: pl.Series) -> pl.Series:
    """The 0.975 quantile of Student's t for degrees of freedom; null below 1."""
    return pl.Series("quantile", t_quantiles(free)).fill_nan(None)
