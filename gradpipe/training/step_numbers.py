"""The numbers of a step, per projection: means of statistics over layers, and their MAD."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from gradpipe.errors import StudyError, nearest
from gradpipe.statistics.curves import curves
from gradpipe.statistics.differences import mad
from gradpipe.statistics.reductions import REDUCTIONS
from gradpipe.statistics.table import DEFAULT_LABELS, statistics_table

#: The numbers that are logged by default.
DEFAULT_NUMBERS = ("nuclear_norm", "effective_rank", "nuclear_norm_mad")
#: The end of a number's name if it is the MAD of a statistic's curve over layers.
MAD_ENDING = "_mad"


def require_numbers(names: Sequence[str], statistics: Sequence[str] = tuple(REDUCTIONS)) -> None:
    """Raise StudyError for a name that is neither one of ``statistics`` nor one with ``_mad``."""
    known = [*statistics, *(f"{name}{MAD_ENDING}" for name in statistics)]
    for name in names:
        if name not in known:
            raise StudyError(f"There is no number {name!r} to log: {nearest(name, known)}")


def require_steps(every: int) -> None:
    """Raise StudyError unless ``every`` is a number of steps."""
    if not isinstance(every, int) or isinstance(every, bool) or every < 1:
        raise StudyError(f"`every` cannot be {every!r}: give a number of steps, at least 1.")


def step_numbers(spectra: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    """One row per projection, with the numbers ``names`` of one step.

    ``spectra`` is a table as ``extract_spectra`` returns it. A statistic is averaged over examples,
    then over layers; its MAD is that of the mean curve. Null where a number is not defined.
    """
    if not names:
        return spectra.select("projection").unique().sort("projection")
    statistics = list(dict.fromkeys(name.removesuffix(MAD_ENDING) for name in names))
    # One curve per projection, whatever the examples are.
    unlabeled = spectra.drop(*DEFAULT_LABELS, "item_id", "item", "index", strict=False)
    lines = curves(statistics_table(unlabeled, statistics), statistics)
    means = lines.group_by("projection", "statistic").agg(pl.col("mean").mean().alias("value"))
    mads = (
        mad(lines)
        .filter(segment="all")
        .select(
            "projection",
            pl.col("statistic") + MAD_ENDING,
            pl.col("mad").alias("value"),
        )
    )
    long = pl.concat([means, mads], how="diagonal")
    wide = long.pivot("statistic", index="projection", values="value")
    absent = [name for name in names if name not in wide.columns]
    return (
        wide.with_columns(pl.lit(None, pl.Float64).alias(name) for name in absent)
        .select("projection", *names)
        .sort("projection")
    )


def logged_numbers(numbers: pl.DataFrame, prefix: str) -> dict[str, float]:
    """The rows of ``step_numbers`` by the names in logs, such as ``gradpipe/nuclear_norm/q``."""
    long = numbers.unpivot(index="projection", variable_name="number").drop_nulls("value")
    names = pl.format(prefix + "/{}/{}", "number", "projection")
    return dict(long.sort("number", "projection").select(names, "value").iter_rows())
