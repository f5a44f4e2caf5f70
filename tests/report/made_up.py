"""Made-up results of a study: curves, and the tables computed from them."""

from typing import Any

import polars as pl

from gradpipe.report.report_data import REPORT_CURVE_COLUMNS

BENCHMARKS = {
    "mini_maths": "math",
    "mini_commonsense": "commonsense",
    "mini_popular": "knowledge",
    "mini_unpopular": "knowledge",
}
SIZES = {
    "none": 9.0,
    "simplified": 2.4,
    "detailed": 1.0,
    "length_100": 1.9,
    "length_500": 1.6,
    "length_1000": 1.5,
}
LENGTHS = {
    "none": 3.0,
    "simplified": 48.0,
    "detailed": 131.0,
    "length_100": 104.0,
    "length_500": 489.0,
    "length_1000": 950.0,
}
STYLES_OF = {
    "math": ["none", "simplified", "detailed"],
    "commonsense": ["none", "simplified", "detailed"],
    "knowledge": ["length_100", "length_500", "length_1000"],
}
CURVE = ["model", "benchmark", "family", "style", "relevance", "projection", "statistic"]
LAYER = pl.col("layer")
STATISTICS = ("nuclear_norm", "sigma1_ratio", "effective_rank")


def styles_of(benchmarks: dict[str, str]) -> pl.DataFrame:
    """One row per benchmark × style."""
    styles = pl.DataFrame(
        [
            (name, family, style)
            for name, family in benchmarks.items()
            for style in STYLES_OF[family]
        ],
        schema=["benchmark", "family", "style"],
        orient="row",
    )
    return styles.filter(
        (pl.col("benchmark") != "mini_unpopular") | (pl.col("style") == "length_500")
    )


def curves_of(
    models: list[str],
    benchmarks: dict[str, str],
    layers: int,
    examples: int,
    statistics: tuple[str, ...] = STATISTICS,
) -> pl.DataFrame:
    """Curves that fall with thought, wave over the layers, and part for irrelevant detail."""
    grid = styles_of(benchmarks)
    for column, values in {
        "model": models,
        "relevance": ["correct", "irrelevant"],
        "projection": ["q", "k", "v", "o"],
        "statistic": list(statistics),
        "layer": list(range(layers)),
    }.items():
        grid = grid.join(pl.DataFrame({column: values}), how="cross")
    seed = pl.concat_str("model", "benchmark", "style", "projection", "layer").hash(seed=7)
    jitter = (seed % 1000) / 1000 - 0.5
    size = pl.col("style").replace_strict(SIZES, return_dtype=pl.Float64)
    scale = pl.col("projection").replace_strict({"q": 1.0, "k": 0.8, "v": 2.5, "o": 2.0})
    scale = scale * pl.col("statistic").str.contains("ratio").replace_strict({True: 0.05, False: 1})
    base = pl.when(pl.col("statistic") == "effective_rank").then(7.0).otherwise(0.0)
    apart = pl.when(pl.col("style") == "detailed").then(1.4).otherwise(1.03)
    apart = pl.when(pl.col("relevance") == "irrelevant").then(apart + jitter * 0.05).otherwise(1.0)
    shape = 1.2 + (LAYER / layers * 9).sin() * 0.5 - LAYER / layers * 0.6 + jitter * 0.4
    return (
        grid.with_columns(
            (base + size * scale * shape * apart).alias("mean"),
            pl.lit(examples, dtype=pl.Int64).alias("examples"),
            LAYER.cast(pl.Int64),
        )
        .with_columns((pl.col("mean") * 0.3).alias("sd"))
        .select(REPORT_CURVE_COLUMNS)
    )


def mad_of(curves: pl.DataFrame) -> pl.DataFrame:
    layers = int(curves["layer"].max() or 0) + 1  # type: ignore[arg-type]
    segment = pl.when(layers // 4 > LAYER).then(pl.lit("early")).when(layers * 3 // 4 > LAYER)
    parts = curves.with_columns(
        segment.then(pl.lit("mid")).otherwise(pl.lit("last")).alias("segment")
    )
    both = pl.concat([curves.with_columns(pl.lit("all").alias("segment")), parts], how="diagonal")
    values = pl.col("mean").sort_by("layer")
    jumps = values.diff().abs().mean()
    return both.group_by([*CURVE, "segment"], maintain_order=True).agg(
        jumps.alias("mad"),
        (jumps / values.mean()).alias("relative_mad"),
        values.log().diff().abs().mean().alias("log_mad"),
    )


def rd_of(curves: pl.DataFrame) -> pl.DataFrame:
    keys = [key for key in CURVE if key != "relevance"]
    sides = {
        r: pl.col("mean").filter(pl.col("relevance") == r).first()
        for r in ("correct", "irrelevant")
    }
    wide = curves.group_by([*keys, "layer"], maintain_order=True).agg(**sides)
    difference = (pl.col("irrelevant") - pl.col("correct")).abs() / pl.col("correct")
    return wide.group_by(keys, maintain_order=True).agg(
        difference.mean().alias("rd"),
        LAYER.sort_by(difference, descending=True).head(5).alias("largest_layers"),
    )


def rows_of(curves: pl.DataFrame) -> pl.DataFrame:
    tokens = pl.col("style").replace_strict(LENGTHS, return_dtype=pl.Float64)
    keys = ["model", "benchmark", "family", "style", "relevance"]
    return (
        curves.group_by(keys, maintain_order=True)
        .agg(pl.col("examples").first())
        .with_columns(
            (pl.col("style") == "detailed").cast(pl.Int64).alias("unusable"),
            pl.lit(1, dtype=pl.Int64).alias("truncated"),
            (tokens + 71).alias("mean_tokens"),
            tokens.alias("mean_response_tokens"),
            (8 / tokens.sqrt()).alias("mean_loss"),
        )
    )


def unusable_of(curves: pl.DataFrame, reason: str) -> pl.DataFrame:
    where = curves.select("model", "benchmark").unique(maintain_order=True).head(3)
    return where.with_columns(
        pl.int_range(pl.len(), dtype=pl.Int64).alias("index"),
        pl.lit("detailed").alias("style"),
        pl.lit("correct").alias("relevance"),
        pl.lit("3f9a0c").alias("example_id"),
        pl.lit(reason).alias("reason"),
    )


def provenance_of(models: list[str], benchmarks: dict[str, str]) -> dict[str, Any]:
    return {
        "study": {"name": "demo", "seed": 0},
        "study_yaml": "name: demo\nmodels: [demo]\nbenchmarks: [mini_maths]\n",
        "models": [
            {"name": m, "id": f"org/{m}", "revision": "12fd25f", "fingerprint": "9b1c44e0"}
            for m in models
        ],
        "benchmarks": [
            {"name": b, "source": "mini", "path": None, "version": "1", "items": 12}
            for b in benchmarks
        ],
        "protocol": {"preset": "standard", "chat": True, "max_length": 1024, "dtype": "float32"},
        "versions": {"gradpipe": "0.1", "torch": "2.9.0", "polars": "2.1.0"},
        "created": "2026-11-21T20:40:00+00:00",
        "hardware": "2 CPU cores, no accelerator",
    }
