"""Summarize timings: medians per style of the seconds per example and of the rounds' ratios."""

from __future__ import annotations

import polars as pl

from bench.passes import SAME


def summarize_passes(timings: pl.DataFrame) -> pl.DataFrame:
    """One row per case of TIMINGS: medians over the rounds of seconds per example and of ratios.

    ``bare_seconds`` and ``over_bare`` use the faster of the two measured batchings of the bare
    passes. ``speedup`` compares the naive method with the time of ours for the same number of
    tokens; it is null without the naive method. ``spectra_share`` is the share of the time of ours
    that exceeds the bare passes in the same batches.
    """
    per_example = timings.with_columns(per_example=pl.col("seconds") / pl.col("examples"))
    rounds = _ours(per_example).join(_bare(per_example), on=["case", "round"])
    rounds = rounds.join(_naive(per_example), on=["case", "round"], how="left")
    token_seconds = pl.col("ours_seconds") * pl.col("examples") / pl.col("all_tokens")
    return (
        rounds.with_columns(
            over_bare=pl.col("ours_seconds") / pl.col("bare_seconds"),
            over_same=pl.col("ours_seconds") / pl.col("same_seconds"),
            spectra_share=1 - pl.col("same_seconds") / pl.col("ours_seconds"),
            speedup=pl.col("naive_seconds")
            * pl.col("naive_examples")
            / (token_seconds * pl.col("naive_tokens")),
        )
        .group_by("case", maintain_order=True)
        .agg(
            pl.col("examples").first(),
            tokens=(pl.col("all_tokens") / pl.col("examples")).first(),
            rounds=pl.len(),
            naive_examples=pl.col("naive_examples").first(),
            batching=pl.col("batching").first(),
            difference=pl.col("difference").max(),
            **{
                name: pl.col(name).median()
                for name in (
                    "ours_seconds",
                    "same_seconds",
                    "bare_seconds",
                    "naive_seconds",
                    "over_same",
                    "over_bare",
                    "speedup",
                    "spectra_share",
                )
            },
        )
    )


def _ours(per_example: pl.DataFrame) -> pl.DataFrame:
    return per_example.filter(pl.col("method") == "ours").select(
        "case",
        "round",
        "examples",
        pl.col("tokens").alias("all_tokens"),
        ours_seconds="per_example",
    )


def _naive(per_example: pl.DataFrame) -> pl.DataFrame:
    return per_example.filter(pl.col("method") == "naive").select(
        "case",
        "round",
        "difference",
        naive_seconds="per_example",
        naive_examples="examples",
        naive_tokens="tokens",
    )


def _bare(per_example: pl.DataFrame) -> pl.DataFrame:
    """The bare passes in the batches of ours, and in the batching with the lowest median."""
    bare = per_example.filter(pl.col("method") == "bare")
    median = pl.col("per_example").median().over("case", "batching")
    # If both batchings are the same, the tuned one sorts first.
    best = bare.sort("case", median, "batching").group_by("case", maintain_order=True).first()
    chosen = bare.join(best.select("case", "batching"), on=["case", "batching"])
    same = bare.filter(pl.col("batching") == SAME).select(
        "case", "round", same_seconds="per_example"
    )
    return chosen.select("case", "round", "batching", bare_seconds="per_example").join(
        same, on=["case", "round"]
    )
