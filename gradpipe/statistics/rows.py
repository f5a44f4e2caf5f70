"""Counts of examples: how many of each kind, how long, and which of them are unusable."""

import polars as pl

EXAMPLE_KIND = ("model", "benchmark", "family", "style", "relevance")


def count_rows(examples: pl.DataFrame) -> pl.DataFrame:
    """Usable and unusable examples of each model, benchmark, style and relevance.

    ``examples`` has one row per example with the columns of EXAMPLE_KIND, ``tokens``,
    ``response_tokens``, ``truncated``, ``loss`` and ``reason`` (null if usable). In the result,
    ``examples`` counts the usable ones, which the means are over, and ``unusable`` the others.
    """
    usable = pl.col("reason").is_null()
    return (
        examples.group_by(EXAMPLE_KIND)
        .agg(
            usable.sum().cast(pl.Int64).alias("examples"),
            (~usable).sum().cast(pl.Int64).alias("unusable"),
            pl.col("truncated").sum().cast(pl.Int64).alias("truncated"),
            *(
                pl.col(name).filter(usable).mean().alias(f"mean_{name}")
                for name in ("tokens", "response_tokens", "loss")
            ),
        )
        .sort(EXAMPLE_KIND)
    )


def summarize_rows(examples: pl.DataFrame, computed: pl.DataFrame) -> dict[str, int | float]:
    """What a partition holds, and how fast the examples of this run, ``computed``, were."""
    seconds = float(computed["seconds"].sum())
    loss = examples["loss"].drop_nans().mean()
    return {
        "tokens": int(examples["tokens"].sum()),
        "tokens_per_second": round(int(computed["tokens"].sum()) / seconds, 1) if seconds else 0.0,
        "unusable": examples.filter(pl.col("reason").is_not_null()).height,
        "truncated": int(examples["truncated"].sum()),
    } | ({"mean_loss": round(loss, 4)} if isinstance(loss, float) else {})


def unusable_rows(examples: pl.DataFrame) -> pl.DataFrame:
    """The unusable examples, each with its reason."""
    return (
        examples.filter(pl.col("reason").is_not_null())
        .select("model", "benchmark", "index", "style", "relevance", "example_id", "reason")
        .sort("model", "benchmark", "index", "style", "relevance")
    )
