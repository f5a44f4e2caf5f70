"""Each example's own statistics, and the examples at both ends with their texts and spectra."""

from collections.abc import Callable

import polars as pl

from gradpipe.gradients.rows import explode_matrices
from gradpipe.models.roles import ROLES
from gradpipe.statistics.table import EXAMPLE_COLUMNS

MEASURED_COLUMNS = ("tokens", "response_tokens", "loss")
SCORES = ("nuclear_norm", "effective_rank", "sigma1_ratio")

#: Characters of an instruction, or a response, beyond which it is cut.
MOST_CHARACTERS = 1200
#: Singular values of a spectrum that are shown.
MOST_VALUES = 64


def mean_over_matrices(*names: str) -> list[pl.Expr]:
    """Statistics of one example as means over its layers and projections, where they have one."""
    return [pl.col(name).cast(pl.Float64).filter(pl.col(name).is_finite()).mean() for name in names]


def example_scores(statistics: pl.LazyFrame) -> pl.DataFrame:
    """SCORES of each usable example, as means over all layers and projections.

    ``statistics`` is the table of ``statistics_table``, of any number of models and benchmarks. A
    statistic that it was made without is null. One row an example: ``model``, EXAMPLE_COLUMNS,
    MEASURED_COLUMNS and SCORES, sorted.
    """
    present = statistics.collect_schema().names()
    missing = [pl.lit(None, pl.Float64).alias(name) for name in SCORES if name not in present]
    first = ("model", "benchmark", "family", "item_id", "index", "style", "relevance")
    return (
        statistics.with_columns(missing)
        .group_by(*first, *MEASURED_COLUMNS)
        .agg(mean_over_matrices(*SCORES))
        .select(*first, *MEASURED_COLUMNS, *SCORES)
        .sort("model", "benchmark", "index", "item_id", "style", "relevance")
        .collect()
    )


def extremes(
    scores: pl.DataFrame,
    examples: pl.DataFrame,
    rows_of: Callable[[pl.Series], pl.LazyFrame],
    most: int = 3,
) -> pl.DataFrame:
    """The examples of one model and benchmark with the largest and the smallest nuclear norms.

    ``scores`` is the table of ``example_scores``; ``examples`` has ``key``, EXAMPLE_COLUMNS,
    ``instruction`` and ``response``; ``rows_of`` gives the rows of ROW_SCHEMA, with ``key`` in
    place of ``row``, that have one of some keys. At most ``most`` of each end, none at both, and of
    examples with the same text one. Each comes with its texts, cut to MOST_CHARACTERS, and for each
    projection the first MOST_VALUES singular values at the layer where its nuclear norm is largest.
    """
    chosen = _both_ends(scores.join(examples, on=EXAMPLE_COLUMNS), most)
    spectra = _largest_spectra(rows_of(chosen["key"]))
    return (
        chosen.join(spectra, on="key", how="left", maintain_order="left")
        .with_columns(_cut("instruction"), _cut("response"))
        .select(
            "model",
            "benchmark",
            "end",
            "place",
            "item_id",
            "index",
            "style",
            "relevance",
            "response_tokens",
            "loss",
            "nuclear_norm",
            "instruction",
            "response",
            "spectra",
        )
    )


def _both_ends(candidates: pl.DataFrame, most: int) -> pl.DataFrame:
    """The largest, then the smallest, the utmost first; few are shared out between the ends."""
    ordered = (
        candidates.filter(pl.col("nuclear_norm").is_not_null())
        .sort(
            "nuclear_norm",
            "index",
            "item_id",
            "style",
            "relevance",
            descending=[True] + [False] * 4,
        )
        .unique("key", keep="first", maintain_order=True)
    )
    smallest = min(most, ordered.height // 2)
    largest = min(most, ordered.height - smallest)
    ends = {"largest": ordered.head(largest), "smallest": ordered.tail(smallest).reverse()}
    return pl.concat(
        frame.with_columns(
            pl.lit(end).alias("end"), pl.int_range(1, pl.len() + 1).cast(pl.Int64).alias("place")
        )
        for end, frame in ends.items()
    )


def _largest_spectra(rows: pl.LazyFrame) -> pl.DataFrame:
    """``key`` and ``spectra``: for each projection its layer with the largest nuclear norm."""
    spectrum = pl.struct("projection", "layer", pl.col("singular_values").list.head(MOST_VALUES))
    return (
        explode_matrices(rows)
        .sort(pl.col("singular_values").list.sum(), descending=True, maintain_order=True)
        .unique(["key", "projection"], keep="first", maintain_order=True)
        .sort(pl.col("projection").cast(pl.Enum(list(ROLES))))
        .group_by("key")
        .agg(spectrum.alias("spectra"))
        .collect()
    )


def _cut(name: str) -> pl.Expr:
    text = pl.col(name)
    return (
        pl.when(text.str.len_chars() > MOST_CHARACTERS)
        .then(text.str.head(MOST_CHARACTERS - 1).str.strip_chars_end() + "…")
        .otherwise(text)
    )
