"""The example: item × style × relevance, one (instruction, response) pair."""

import polars as pl

#: One row per example. ``example_id`` hashes only the instruction, the response and, if there is
#: one, the ``context`` of the item, so the same example is the same row of the store wherever it
#: occurs. ``donor_item_id`` is the item an irrelevant
#: response was taken from (null for correct responses and for shuffles). ``verdict`` is the gates'
#: verdict on a correct response with reasoning (null for others).
EXAMPLE_SCHEMA = pl.Schema(
    {
        "example_id": pl.String,
        "item_id": pl.String,
        "benchmark": pl.String,
        "family": pl.String,
        "index": pl.Int64,
        "style": pl.String,
        "relevance": pl.String,
        "instruction": pl.String,
        "response": pl.String,
        "donor_item_id": pl.String,
        "verdict": pl.String,
        "context": pl.String,
    }
)


def count_styles(examples: pl.DataFrame) -> pl.DataFrame:
    """Count the examples of each style and relevance, with their mean number of words."""
    return examples.group_by("style", "relevance", maintain_order=True).agg(
        pl.len().alias("examples"),
        pl.col("response").str.split(" ").list.len().mean().round(1).alias("mean_words"),
    )
