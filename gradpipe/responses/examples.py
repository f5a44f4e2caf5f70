"""The example: item × style × relevance, one (instruction, response) pair."""

import polars as pl

#: One row an example. ``example_id`` hashes instruction and response only, so the same pair is the
#: same row of the store wherever it occurs; ``donor_item_id`` is the item an irrelevant response
#: was taken from (null for correct ones and for the release's own shuffles).
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
    }
)
