"""Which items of a benchmark a study takes: the first, or a seeded random few."""

from typing import Literal

import polars as pl

from gradpipe.errors import DataError
from gradpipe.hashing import content_hash

How = Literal["first", "random"]


def sample_items(
    items: pl.DataFrame, sample: int | None, how: How = "first", seed: int = 0
) -> pl.DataFrame:
    """``sample`` of the items in source order; all of them for None or when there are fewer.

    A larger sample contains every smaller one of the same seed. Raises DataError below 1.
    """
    if sample is not None and sample < 1:
        raise DataError(f"a sample of {sample} items is empty: take 1 or more, or null for all.")
    taken = items if sample is None else sampling_order(items, how, seed).head(sample)
    return taken.sort("index")


def sampling_order(items: pl.DataFrame, how: How = "first", seed: int = 0) -> pl.DataFrame:
    """The rows in the order in which a growing sample takes them; wants ``index``, ``item_id``."""
    if how == "first":
        return items.sort("index")
    keys = [content_hash(seed, item_id) for item_id in items["item_id"]]
    return items.sort(pl.Series(keys, dtype=pl.String))
