"""The samples of an item as one: they are not independent, so intervals count the item once."""

from collections.abc import Sequence

import polars as pl

from gradpipe.benchmarks.samples import base_item, sample_number


def mean_of_samples(rows: pl.DataFrame, keys: Sequence[str], values: Sequence[str]) -> pl.DataFrame:
    """Replace the samples of each item by one row with the mean of their ``values``.

    ``keys`` are the other columns to keep, among them ``item_id``, which becomes the item's. Rows
    without samples are returned as they are. A value that is null is left out of the mean.
    """
    items = rows.with_columns(base_item())
    if items["item_id"].equals(rows["item_id"]):
        return rows
    return items.group_by(keys, maintain_order=True).agg(pl.col(values).mean())


def first_samples(rows: pl.LazyFrame, response: Sequence[str]) -> pl.LazyFrame:
    """Keep the first sample that an item has of each kind of response, under the item's own id.

    ``response`` are the columns that tell kinds of responses apart, beside ``item_id``.
    """
    further = rows.select((sample_number() > 0).any()).collect().item()
    if not further:
        return rows
    first = sample_number().min().over([*response, base_item()])
    columns = [name for name in ("item_id", "donor_item_id") if name in rows.collect_schema()]
    return rows.filter(sample_number() == first).with_columns(map(base_item, columns))
