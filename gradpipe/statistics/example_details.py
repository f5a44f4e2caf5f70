"""Single examples in detail: their texts, their curves, and the losses of their tokens."""

from collections.abc import Callable

import numpy as np
import polars as pl

from gradpipe.statistics.examples import EXCERPT_CHARACTERS, SCORES, excerpt
from gradpipe.statistics.table import EXAMPLE_COLUMNS

#: One row per example: its texts, each statistic of SCORES at each layer and projection (null where
#: it is not defined or not among the study's statistics), and the cross-entropy in nats of each
#: token that carries loss. These are null if the row store does not have them, as rows of earlier
#: versions do not.
DETAIL_SCHEMA = pl.Schema(
    {
        **dict.fromkeys(("model", "benchmark", "item_id", "style", "relevance"), pl.String()),
        "index": pl.Int64(),
        "instruction": pl.String(),
        "response": pl.String(),
        "curves": pl.List(
            pl.Struct(
                {
                    "projection": pl.String,
                    "layer": pl.Int64,
                    **dict.fromkeys(SCORES, pl.Float64),
                }
            )
        ),
        "token_losses": pl.List(pl.Float32),
    }
)
#: Examples at each end that are always among those with details.
_ENDS = 3


def spread_ranks(count: int, most: int) -> list[int]:
    """At most ``most`` of the ranks 0 to ``count`` - 1: those at the ends and others between."""
    if count <= most:
        return list(range(count))
    ends = min(_ENDS, most // 2)
    between = np.linspace(ends - 1, count - ends, most - 2 * ends + 2)[1:-1].round().astype(int)
    return sorted({*range(ends), *between.tolist(), *range(count - ends, count)})


def example_details(
    scores: pl.DataFrame,
    examples: pl.DataFrame,
    statistics: pl.DataFrame,
    read_rows: Callable[[pl.Series], pl.LazyFrame],
    most: int,
) -> pl.DataFrame:
    """Details of at most ``most`` examples of one model and benchmark, by their nuclear norms.

    These are the largest, the smallest and evenly spaced ones between: DETAIL_SCHEMA, largest
    first. ``scores`` is the table of ``example_scores``, ``statistics`` the one that it is from;
    ``examples`` and ``read_rows`` are those of ``extremes``.
    """
    ranked = (
        scores.filter(pl.col("nuclear_norm").is_not_null())
        .join(examples.select("key", *EXAMPLE_COLUMNS, "instruction", "response"), EXAMPLE_COLUMNS)
        .sort("nuclear_norm", *EXAMPLE_COLUMNS, descending=[True] + [False] * len(EXAMPLE_COLUMNS))
    )
    chosen = ranked[spread_ranks(ranked.height, most)]
    curves = _curves(statistics.join(chosen, on=EXAMPLE_COLUMNS, how="semi"))
    detailed = chosen.join(curves, on=EXAMPLE_COLUMNS, how="left", maintain_order="left").join(
        _token_losses(read_rows(chosen["key"])), on="key", how="left", maintain_order="left"
    )
    return detailed.with_columns(
        excerpt("instruction", EXCERPT_CHARACTERS), excerpt("response", EXCERPT_CHARACTERS)
    ).select(pl.col(name).cast(kind) for name, kind in DETAIL_SCHEMA.items())


def _curves(statistics: pl.DataFrame) -> pl.DataFrame:
    """EXAMPLE_COLUMNS and ``curves``."""
    missing = [pl.lit(None, pl.Float64).alias(n) for n in SCORES if n not in statistics.columns]
    point = pl.struct("projection", "layer", *SCORES)
    return (
        statistics.with_columns(missing)
        .sort("projection", "layer")
        .group_by(EXAMPLE_COLUMNS)
        .agg(point.alias("curves"))
    )


def _token_losses(rows: pl.LazyFrame) -> pl.DataFrame:
    """``key`` and ``token_losses``; reads these columns only."""
    return rows.select("key", "token_losses").unique("key", keep="first").collect()
