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
    """What a partition holds, and how fast the examples of this run, ``computed``, were.

    Without any, there is no speed: zeros would look like slow runs in a plot.
    """
    seconds = float(computed["seconds"].sum())
    loss = examples["loss"].drop_nans().mean()
    unusable = examples.filter(pl.col("reason").is_not_null()).height
    speed = round(int(computed["tokens"].sum()) / seconds, 1) if seconds else None
    return {
        "tokens": int(examples["tokens"].sum()),
        "unusable": unusable,
        "unusable_share": round(unusable / max(examples.height, 1), 4),
        "truncated": int(examples["truncated"].sum()),
        **({"tokens_per_second": speed} if speed is not None else {}),
        **({"mean_loss": round(loss, 4)} if isinstance(loss, float) else {}),
    }


def unusable_rows(examples: pl.DataFrame) -> pl.DataFrame:
    """The unusable examples, each with its reason."""
    return (
        examples.filter(pl.col("reason").is_not_null())
        .select("model", "benchmark", "index", "style", "relevance", "example_id", "reason")
        .sort("model", "benchmark", "index", "style", "relevance")
    )


def mean_by_style(statistics: pl.DataFrame, statistic: str) -> dict[str, float]:
    """The mean of a statistic over the matrices of all correct responses, by style.

    ``statistics`` is a statistics table. Values that are not finite are left out.
    """
    correct = pl.col("relevance") == "correct"
    means = (
        statistics.lazy()
        .filter(correct & pl.col(statistic).is_finite())
        .group_by("style")
        .agg(pl.col(statistic).mean())
        .sort("style")
        .collect()
    )
    return dict(means.iter_rows())
