"""Verdicts on the claims of the paper's sequel, from the tables of a study of data quality."""

from collections.abc import Sequence
from typing import NamedTuple

import polars as pl

from gradpipe.claims.inference.bootstrap import MIN_ITEMS, RESAMPLES
from gradpipe.claims.length.matched_items import EqualLengthClaim
from gradpipe.claims.quality.claims import (
    ALL_SEQUEL_CLAIMS,
    COSINE_CLAIMS,
    COSINE_STATISTIC,
    HIGH,
    NEAR_ZERO_COSINE,
    REASONING_CLAIMS,
    SEQUEL_CLAIMS,
)
from gradpipe.claims.quality.unpaired import INSTRUCTION_DATA
from gradpipe.claims.schemas import LENGTH_CONTROL_SCHEMA, VERDICT_SCHEMA
from gradpipe.claims.verdicts import judge_claims
from gradpipe.statistics.table import StatisticsFrame, with_labels

#: The family of instruction data, and the benchmark label of S6.
INSTRUCTION_FAMILY = "instruction"
ALL_INSTRUCTION = "reasoning against instruction"
#: What a verdict at equal length counts, by the control.
_COUNTED = {"matched": "pairs of equal length", "regression": "examples per side inside"}
#: What identifies an example among the tables of several benchmarks.
_IDENTITY = ("loss", "tokens", "response_tokens")


class SequelJudgment(NamedTuple):
    """The verdicts on the sequel's claims (VERDICT_SCHEMA) and their LENGTH_CONTROL_SCHEMA."""

    verdicts: pl.DataFrame
    length_control: pl.DataFrame


def judge_sequel(
    statistics: Sequence[StatisticsFrame],
    alignments: Sequence[pl.LazyFrame],
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> SequelJudgment:
    """Judge the sequel's claims on data of low and high quality.

    Args:
        statistics: Statistics tables, each of one model and benchmark, with the styles
            ``quality_low`` and ``quality_high``.
        alignments: Tables of cosines (ALIGNMENT_TABLE_SCHEMA) of the same cells.
        seed: Seed of the resamples.
        resamples: Number of resamples.

    Returns:
        The verdicts on SEQUEL_CLAIMS, on COSINE_CLAIMS and on REASONING_CLAIMS, without claims for
        which the tables have no data: on families of models, only of several sizes and beside
        another family; on reasoning data, only beside instruction data (by ``family``). And what
        remains of the claims on two styles with length controlled for.

    Raises:
        DataError: A table holds an example twice.
    """
    of_cosines = [
        ([_cosines(table, kind) for table in alignments], claims)
        for kind, claims in COSINE_CLAIMS.items()
    ]
    pooled = _reasoning_and_instruction(statistics)
    parts = [
        (statistics, SEQUEL_CLAIMS),
        *of_cosines,
        *([(pooled, REASONING_CLAIMS)] if pooled else []),
    ]
    judged = [
        judge_claims(tables, claims, seed=seed, resamples=resamples) for tables, claims in parts
    ]
    verdicts = pl.concat([VERDICT_SCHEMA.to_frame(), *(one.verdicts for one in judged)])
    controls = [LENGTH_CONTROL_SCHEMA.to_frame(), *(one.length_control for one in judged)]
    return SequelJudgment(_with_reasons(verdicts), pl.concat(controls))


def _with_reasons(verdicts: pl.DataFrame) -> pl.DataFrame:
    """Say of claims at equal length that lengths do not overlap, where that is the reason."""
    counted = {
        claim.claim: _COUNTED[claim.control]
        for claim in ALL_SEQUEL_CLAIMS
        if isinstance(claim, EqualLengthClaim)
    }
    counts, least = pl.col("claim").replace(counted), pl.lit(MIN_ITEMS)
    enough = ~pl.col("claim").is_in(list(counted)) | (pl.col("items") >= MIN_ITEMS).fill_null(False)
    reason = (
        pl.when(enough)
        .then("reason")
        .when(pl.col("level") == "overall")
        .then(pl.format("lengths do not overlap enough: no cell has {} {}", least, counts))
        .otherwise(
            pl.format(
                "lengths do not overlap enough: {} {}, at least {} are required",
                "items",
                counts,
                least,
            )
        )
    )
    return verdicts.with_columns(reason=reason)


def _cosines(alignments: pl.LazyFrame, kind: str) -> StatisticsFrame:
    """Absolute cosines of one kind as a statistics table whose projections are pairs."""
    size = pl.col("cosine").cast(pl.Float64).abs() / NEAR_ZERO_COSINE
    return alignments.filter(pl.col("kind") == kind).with_columns(
        size.alias(COSINE_STATISTIC), pl.col("pair").alias("projection")
    )


def _reasoning_and_instruction(statistics: Sequence[StatisticsFrame]) -> list[pl.LazyFrame]:
    """High-quality data of both kinds as one benchmark: one table per model, if it has both.

    An example that several measures select, by its loss and tokens, counts once.
    """
    columns = ("model", "item_id", "index", "relevance", "layer", "projection", *_IDENTITY)
    kind = (
        pl.when(pl.col("family") == INSTRUCTION_FAMILY)
        .then(pl.lit(INSTRUCTION_DATA))
        .otherwise("style")
    )
    statistic = REASONING_CLAIMS[0].statistic
    high = [
        with_labels(table.lazy())
        .filter(pl.col("style") == HIGH)
        .select(
            *columns,
            statistic,
            style=kind,
            benchmark=pl.lit(ALL_INSTRUCTION),
            family=pl.lit(""),
        )
        for table in statistics
        if statistic in table.lazy().collect_schema().names()
    ]
    if not high:
        return []
    # Equal examples in other batches have losses that differ by rounding.
    rounded = pl.col("loss").cast(pl.Float64).round(4)
    rows = (
        pl.concat(high)
        .with_columns(rounded)
        .unique(("model", "style", "layer", "projection", *_IDENTITY), keep="first")
        .collect()
    )
    kinds = rows.group_by("model").agg(pl.col("style").n_unique()).filter(pl.col("style") > 1)
    return [rows.filter(pl.col("model") == model).lazy() for model in sorted(kinds["model"])]
