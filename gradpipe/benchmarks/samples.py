"""Samples: several responses of a model to one item, each an item of its own.

Sample 0 is the item itself. The id of sample k is the item's with ``#`` and k + 1 behind it, such
as ``0123456789abcdef0123#2``. Samples share their item's instruction, answer and index, so they are
not independent of one another: wherever items are counted or resampled, a sample counts as its
item, by ``base_item``.
"""

import polars as pl

from gradpipe.benchmarks.items import ITEM_SCHEMA

# The whole id, so that an item of a user's own table that is named "a#2" stays an item.
_SAMPLE = r"^([0-9a-f]{20})#([0-9]+)$"


def sample_id(item_id: str, sample: int) -> str:
    """Return the item id of a sample, which counts from 0."""
    return f"{item_id}#{sample + 1}" if sample else item_id


def base_item(column: str = "item_id") -> pl.Expr:
    """The item that each sample in a column of item ids belongs to, under the column's name."""
    text = pl.col(column).cast(pl.String)
    return text.str.replace(_SAMPLE, "$1").alias(column)


def sample_number(column: str = "item_id") -> pl.Expr:
    """The number of each sample in a column of item ids, from 0: 0 for the item itself."""
    number = pl.col(column).cast(pl.String).str.extract(_SAMPLE, 2).cast(pl.Int64) - 1
    return number.fill_null(0).alias("sample")


def with_samples(items: pl.DataFrame, samples: int) -> pl.DataFrame:
    """Return ``items`` (ITEM_SCHEMA) with the further samples of each behind it.

    A further sample has no ready-made responses: those are the item's.
    """
    if samples == 1 or items.is_empty():
        return items
    numbers = pl.DataFrame({"sample": range(samples)}, schema={"sample": pl.Int64})
    further = pl.col("sample") > 0
    return (
        items.join(numbers, how="cross", maintain_order="left_right")
        .with_columns(
            pl.when(further)
            .then(pl.format("{}#{}", "item_id", pl.col("sample") + 1))
            .otherwise("item_id")
            .alias("item_id"),
            pl.when(further)
            .then(pl.lit([], dtype=ITEM_SCHEMA["responses"]))
            .otherwise("responses")
            .alias("responses"),
        )
        .match_to_schema(ITEM_SCHEMA, extra_columns="ignore")
    )
