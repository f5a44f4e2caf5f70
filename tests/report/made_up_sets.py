"""Made-up tables about sets of examples, for every style of made-up benchmarks."""

import numpy as np
import polars as pl

from gradpipe.report.style import PROJECTIONS
from gradpipe.statistics.sets.cosines import SET_COSINE_SCHEMA
from gradpipe.statistics.sets.tables import SET_CONSENSUS_SCHEMA, SET_DIVERSITY_SCHEMA, SetTables
from tests.report.made_up import styles_of

_BESIDE = {"style": "against_style", "benchmark": "against_benchmark"}


def sets_of(models: list[str], benchmarks: dict[str, str], examples: int) -> SetTables:
    """Random values for every set at two sizes, and for every two sets that are compared."""
    of_sets = styles_of(benchmarks)
    for column, values in {
        "model": models,
        "relevance": ["correct", "irrelevant"],
        "projection": [*PROJECTIONS[:4], "all"],
    }.items():
        of_sets = of_sets.join(pl.DataFrame({column: values}), how="cross")
    of_sets = of_sets.with_columns(examples=pl.lit(examples))
    sizes = of_sets.join(pl.DataFrame({"size": [8, examples // 2, examples]}), how="cross")
    keys = ["model", "family", "relevance", "projection", "examples"]
    pairs = of_sets.join(of_sets, on=keys, suffix="_other").rename(
        {f"{name}_other": beside for name, beside in _BESIDE.items()}
    )
    same_style = pl.col("style") == pl.col("against_style")
    same_benchmark = pl.col("benchmark") == pl.col("against_benchmark")
    of_kind = pl.when(same_benchmark).then(pl.lit("styles")).otherwise(pl.lit("benchmarks"))
    ordered = (pl.col("benchmark") < pl.col("against_benchmark")) | (
        pl.col("style") < pl.col("against_style")
    )
    compared = pairs.filter(same_style ^ same_benchmark, ordered).with_columns(
        kind=of_kind, against_examples=pl.lit(examples)
    )
    return SetTables(
        _filled(sizes, SET_DIVERSITY_SCHEMA, "diversity"),
        _filled(of_sets, SET_CONSENSUS_SCHEMA, "mean_cosine"),
        _filled(compared, SET_COSINE_SCHEMA, "cosine", "norm_ratio"),
    )


def _filled(rows: pl.DataFrame, schema: pl.Schema, *estimates: str) -> pl.DataFrame:
    """The rows with random numbers in the missing columns, the estimates inside intervals."""
    random = np.random.default_rng(6)
    numbers = {n: random.random(rows.height) + 1 for n in schema if n not in rows.columns}
    for name in estimates:
        low, numbers[name], high = np.sort(random.random((3, rows.height)), axis=0) + 1
        numbers |= {f"{name}_low": low, f"{name}_high": high}
    columns = rows.with_columns(pl.Series(name, values) for name, values in numbers.items())
    return columns.select(pl.col(name).cast(kind) for name, kind in schema.items())
