"""Made-up responses with where they come from."""

from datetime import UTC, datetime

import polars as pl

from gradpipe.report.origins import ORIGIN_SCHEMA, REPORT_RESPONSE_SCHEMA
from gradpipe.responses.provenance import THE_SOURCE

#: The styles that a model wrote.
WRITTEN = ("simplified", "detailed", "length_100", "length_500", "length_1000")


def responses_of(benchmarks: dict[str, str], items: int, text: str) -> pl.DataFrame:
    """Responses of a model in two styles, and of the source; ``text`` is in the model's name."""
    made = (
        pl.DataFrame({"benchmark": list(benchmarks)})
        .join(pl.DataFrame({"style": [*WRITTEN, "none"]}), how="cross")
        .join(pl.DataFrame({"index": list(range(items))}), how="cross")
    )
    by_model = pl.col("style") != "none"
    known = made.with_columns(
        pl.format("{}-{}", "benchmark", "index").alias("item_id"),
        pl.when(by_model).then(pl.lit(f"writer {text}")).otherwise(pl.lit(THE_SOURCE)).alias("by"),
        pl.when(by_model).then(pl.format("{}-{}-{}", "benchmark", "style", "index")).alias("key"),
        pl.when(pl.col("index") % 4 == 0)
        .then(pl.lit("no_answer"))
        .otherwise(pl.lit("passed"))
        .alias("verdict"),
    )
    of_call = {
        "written_by": pl.col("by"),
        "found_answer": pl.lit(text),
        "answered_by": pl.format("writer-{}", "index"),
        "fingerprint": pl.format("fp_{}", pl.col("key").hash(seed=1)),
        "prompt_hash": pl.lit("0123456789abcdef"),
        "temperature": pl.lit(0.7),
        "seed": pl.lit(3),
        "request": pl.lit('{"top_k": 20}'),
        "max_tokens": pl.lit(2048),
        "finish_reason": pl.lit("stop"),
        "prompt_tokens": 50 + pl.col("index"),
        "response_tokens": 300 + pl.col("index"),
        "reasoning_tokens": 200 + pl.col("index"),
        "answer_tokens": pl.lit(100),
        "cut": pl.lit(None),
        "cost": 0.001 * (1 + pl.col("index")),
        "seconds": 1.5 + pl.col("key").hash(seed=2) % 10_000 / 1000,
        "created": pl.lit(datetime(2026, 1, 2, 3, 4, tzinfo=UTC)),
    }
    calls = known.with_columns(
        (pl.when(by_model).then(value) if name != "written_by" else value).alias(name)
        for name, value in of_call.items()
    )
    return calls.select(pl.col(name).cast(kind) for name, kind in REPORT_RESPONSE_SCHEMA.items())


def origins_of(extremes: pl.DataFrame, responses: pl.DataFrame) -> pl.DataFrame:
    """Where the responses of the extreme examples come from."""
    written = responses.drop("benchmark")
    joined = extremes.drop("index").join(written, on=["item_id", "style"])
    return joined.with_columns(source=pl.lit("files")).select(list(ORIGIN_SCHEMA))
