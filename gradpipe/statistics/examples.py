"""Scores of single examples, and the most extreme examples with their texts and spectra."""

from collections.abc import Callable

import polars as pl

from gradpipe.gradients.rows import explode_matrices
from gradpipe.models.roles import PROJECTION_ORDER
from gradpipe.statistics.table import EXAMPLE_COLUMNS

MEASURED_COLUMNS = ("tokens", "response_tokens", "loss")
SCORES = ("nuclear_norm", "effective_rank", "sigma1_ratio")

#: Longer instructions and responses are cut to this many characters.
EXCERPT_CHARACTERS = 1200
#: How many singular values of a spectrum are shown, largest first.
EXCERPT_VALUES = 64


def mean_over_matrices(*names: str) -> list[pl.Expr]:
    """Mean of each statistic over the matrices for which it is defined, as Polars expressions."""
    return [pl.col(name).cast(pl.Float64).filter(pl.col(name).is_finite()).mean() for name in names]


def example_scores(table: pl.LazyFrame) -> pl.DataFrame:
    """The SCORES of each usable example: means over all of its layers and projections.

    ``table`` is a statistics table of any number of models and benchmarks; a statistic that it does
    not have is null. One row per example: ``model``, EXAMPLE_COLUMNS, MEASURED_COLUMNS and SCORES,
    sorted.
    """
    present = table.collect_schema().names()
    missing = [pl.lit(None, pl.Float64).alias(name) for name in SCORES if name not in present]
    first = ("model", "benchmark", "family", "item_id", "index", "style", "relevance")
    return (
        table.with_columns(missing)
        .group_by(*first, *MEASURED_COLUMNS)
        .agg(mean_over_matrices(*SCORES))
        .select(*first, *MEASURED_COLUMNS, *SCORES)
        .sort("model", "benchmark", "index", "item_id", "style", "relevance")
        .collect()
    )


def extremes(
    scores: pl.DataFrame,
    examples: pl.DataFrame,
    read_rows: Callable[[pl.Series], pl.LazyFrame],
    most: int = 3,
) -> pl.DataFrame:
    """The examples of one model and benchmark with the largest and the smallest nuclear norms.

    Args:
        scores: The table of ``example_scores``.
        examples: ``key``, EXAMPLE_COLUMNS, ``instruction`` and ``response``.
        read_rows: Returns the rows of ROW_SCHEMA, with ``key`` in place of ``row``, for given keys.
        most: The largest number of examples at each end. No example is at both ends, and of
            examples with equal texts only one is taken.

    Returns:
        One row per example, with its texts, cut to EXCERPT_CHARACTERS, and ``spectra``: for each
        projection the first EXCERPT_VALUES singular values at the layer with its largest nuclear
        norm.
    """
    chosen = _both_ends(scores.join(examples, on=EXAMPLE_COLUMNS), most)
    spectra = _largest_spectra(read_rows(chosen["key"]))
    return (
        chosen.join(spectra, on="key", how="left", maintain_order="left")
        .with_columns(
            excerpt("instruction", EXCERPT_CHARACTERS), excerpt("response", EXCERPT_CHARACTERS)
        )
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
    """The largest examples, then the smallest, the most extreme first; at most half at each end."""
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
    """``key`` and ``spectra``: for each projection, the layer with its largest nuclear norm."""
    spectrum = pl.struct("projection", "layer", pl.col("singular_values").list.head(EXCERPT_VALUES))
    return (
        explode_matrices(rows)
        .sort(pl.col("singular_values").list.sum(), descending=True, maintain_order=True)
        .unique(["key", "projection"], keep="first", maintain_order=True)
        .sort(pl.col("projection").cast(pl.Enum(PROJECTION_ORDER)))
        .group_by("key")
        .agg(spectrum.alias("spectra"))
        .collect()
    )


def excerpt(name: str, characters: int) -> pl.Expr:
    """A column of texts, those longer than that many characters cut."""
    text = pl.col(name)
    return (
        pl.when(text.str.len_chars() > characters)
        .then(text.str.head(characters - 1).str.strip_chars_end() + "…")
        .otherwise(text)
    )
