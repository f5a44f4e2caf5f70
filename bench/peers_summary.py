"""The table of ``python -m bench peers``."""

from __future__ import annotations

import polars as pl

from bench.peers import PeersRun
from bench.peers_methods import OURS


def summarize_peers(run: PeersRun) -> pl.DataFrame:
    """One row per style and method, then one per method without numbers.

    ``seconds`` per example and ``peak`` are medians of the rounds, ``ratio`` is the method's time
    over that of gradpipe with cosines.
    """
    delivers = {method.name: method.delivers for method in run.methods}
    order = pl.Enum([method.name for method in run.methods])
    found = (
        run.timings.group_by("style", "method", maintain_order=True)
        .agg(
            seconds=(pl.col("seconds") / pl.col("examples")).median(),
            tokens=(pl.col("tokens") / pl.col("examples")).median(),
            batching=pl.col("batching").first(),
            peak=pl.col("peak").median(),
            above=pl.col("above").median(),
            rounds=pl.len(),
            version=pl.col("version").first(),
            torch=pl.col("torch").first(),
        )
        .with_columns(
            pl.col("method").cast(order),
            ratio=pl.col("seconds")
            / pl.col("seconds").filter(pl.col("method") == OURS).first().over("style"),
            delivers=pl.col("method").replace_strict(delivers, return_dtype=pl.String()),
        )
    )
    styles = pl.Enum(run.timings["style"].unique(maintain_order=True))
    rows = found.sort(pl.col("style").cast(styles), "method").with_columns(
        pl.col("method").cast(pl.String())
    )
    absent = pl.DataFrame(
        {"method": list(run.absent), "delivers": list(run.absent.values())},
        schema={"method": pl.String(), "delivers": pl.String()},
    )
    return pl.concat([rows, absent], how="diagonal").select(
        pl.concat_str("method", "style", separator=", ", ignore_nulls=True).alias("case"), pl.all()
    )
