"""Curves: a statistic's mean over examples, per layer."""

from collections.abc import Sequence

import polars as pl

from gradpipe.statistics.reductions import REDUCTIONS

#: What one curve is of. ``model`` is a column too wherever tables of several models meet.
GROUP = ("model", "benchmark", "family", "style", "relevance", "projection")


def curves(statistics: pl.LazyFrame, names: Sequence[str] = tuple(REDUCTIONS)) -> pl.DataFrame:
    """Mean and standard deviation over examples of each statistic, per layer.

    ``statistics`` has one row a (example, layer, projection) with the columns of GROUP,
    ``item_id``, ``layer`` and the named statistics. As in the reference, an example that lacks a
    statistic at any layer of a projection is left out of that whole curve. Returns GROUP,
    ``statistic``, ``layer``, ``mean``, ``sd`` (null for a single example) and ``examples``, sorted.
    """
    example = [*GROUP, "item_id"]
    return (
        statistics.unpivot(
            on=list(names),
            index=[*example, "layer"],
            variable_name="statistic",
            value_name="value",
        )
        .filter(pl.col("value").is_finite().fill_null(False).all().over(*example, "statistic"))
        .group_by(*GROUP, "statistic", "layer")
        .agg(
            pl.col("value").mean().alias("mean"),
            pl.col("value").std().alias("sd"),
            pl.len().cast(pl.Int64).alias("examples"),
        )
        .sort(*GROUP, "statistic", "layer")
        .collect()
    )
