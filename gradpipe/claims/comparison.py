"""Two models, protocols or data sets compared: the ratio of each curve's size and unevenness."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import compress, product
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from gradpipe.claims.inference.bootstrap import CONFIDENCE_LEVEL, MIN_ITEMS, derive_seed
from gradpipe.claims.inference.decisions import holm
from gradpipe.claims.ratios import MEAN_AND_MAD, Ratio, mean_and_mad, ratio_of
from gradpipe.claims.values import Array, CellValues, cell_values, mean_curves, split_cells
from gradpipe.errors import DataError
from gradpipe.models.roles import ROLES
from gradpipe.statistics.reductions import REDUCTIONS, require_statistics
from gradpipe.statistics.table import StatisticsFrame
from gradpipe.styles import STYLES

#: One row per curve that both sides have, statistic and quantity ("mean" over its layers, or
#: "mad"). ``model``, ``benchmark``, ``style`` and ``relevance`` are what the two share, null if
#: they differ or have none. ``a`` and ``b`` are the measured quantities, ``ratio`` is that of A to
#: B with its 95 % interval ``low`` to ``high``. ``p`` is two-sided against a ratio of one,
#: ``p_adjusted`` corrected by Holm's method for the whole table. ``verdict`` is "higher" or "lower"
#: (A than B) if ``p_adjusted`` is below 1 − CONFIDENCE_LEVEL, otherwise "undecided". ``paired``:
#: both sides have the same items.
COMPARISON_SCHEMA = pl.Schema(
    {
        "model": pl.String,
        "benchmark": pl.String,
        "style": pl.String,
        "relevance": pl.String,
        "projection": pl.String,
        "statistic": pl.String,
        "quantity": pl.String,
        "a": pl.Float64,
        "b": pl.Float64,
        "ratio": pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
        "p": pl.Float64,
        "p_adjusted": pl.Float64,
        "verdict": pl.String,
        "items_a": pl.Int64,
        "items_b": pl.Int64,
        "paired": pl.Boolean,
    }
)
#: The statistics that are compared by default, as far as both sides have them.
DEFAULT_COMPARED = ("nuclear_norm", "effective_rank")
#: If this part of the smaller side's items are on both sides, only these items are compared.
_MOSTLY = 0.5


def compare(
    a: StatisticsFrame,
    b: StatisticsFrame,
    statistics: Sequence[str] | None = None,
    *,
    seed: int = 0,
    unpaired: bool = False,
) -> pl.DataFrame:
    """Compare A with B: by which ratio its curves are larger, and more uneven.

    For every style, relevance and projection that both have, the ratio of A to B of a statistic's
    geometric mean over layers, and of its MAD, with 95 % bootstrap intervals over items. If both
    sides share most of their items, only these are compared, and resampled together; otherwise
    each side is resampled separately. The ratio of two MADs is corrected for noise, so it differs
    from ``a / b``. It is null with fewer than 8 items on a side, or if a MAD may be noise alone.

    Args:
        a: A statistics table, as ``gp.statistics_table`` returns it, or the table that
            ``extract_spectra`` returned.
        b: Another one. If both hold a single model and benchmark, these are compared, whatever
            their names. If both hold a single model, their common benchmarks are compared; if both
            hold a single benchmark, their common models; otherwise what has the same model and
            benchmark.
        statistics: Names of statistics, by default "nuclear_norm" and "effective_rank".
        seed: Seed of the resamples.
        unpaired: Treat items as different even if they have the same id.

    Returns:
        One row per curve, ``statistic`` and ``quantity`` ("mean" or "mad"): ``model``,
        ``benchmark``, ``style`` and ``relevance`` (null if the sides differ or have none),
        ``projection``, ``a`` and ``b`` (the quantity in the statistic's unit), ``ratio`` with its
        interval ``low`` to ``high``, ``p`` (two-sided, against a ratio of 1), ``p_adjusted``
        (Holm's correction for the whole table), ``verdict`` ("higher" or "lower" for A if
        ``p_adjusted`` < 0.05, otherwise "undecided"), ``items_a``, ``items_b`` and ``paired``.

    Raises:
        DataError: A table is of another kind, or the two have no curve in common.
        StudyError: A statistic is missing from one of the tables.

    Examples:
        >>> short = [(f"What is {n} plus {n}?", f"It is {2 * n}.") for n in range(10)]
        >>> long = [(q, f"Adding the two numbers gives us: {text}") for q, text in short]
        >>> comparison = gp.compare(
        ...     gp.extract_spectra(model, tokenizer, short),
        ...     gp.extract_spectra(model, tokenizer, long),
        ...     ["nuclear_norm"],
        ... )
        >>> comparison.filter(quantity="mean")["verdict"].to_list()
        ['higher', 'higher', 'higher', 'higher']
        >>> comparison["paired"].all()
        True
    """
    sides = split_cells(a), split_cells(b)
    columns = [set(table.lazy().collect_schema().names()) for table in (a, b)]
    known = [name for name in REDUCTIONS if all(name in names for names in columns)]
    if statistics is None:
        statistics = [name for name in DEFAULT_COMPARED if name in known]
    require_statistics(statistics, known)
    pairs = [(sides[0][one], sides[1][other]) for one, other in _matching_cells(*sides)]
    return compare_cells(pairs, statistics, seed, unpaired)


def compare_cells(
    cells: Iterable[tuple[StatisticsFrame, StatisticsFrame]],
    statistics: Sequence[str],
    seed: int = 0,
    unpaired: bool = False,
) -> pl.DataFrame:
    """Compare pairs of statistics tables, each of one model and benchmark; see ``compare``.

    Means and MADs are over each model's own layers, so models of different depth can be compared.
    Returns a table of COMPARISON_SCHEMA. Raises DataError for a table of several models or
    benchmarks, and if the two sides have no curve in common.
    """
    rows = [
        row
        for a, b in cells
        for statistic in statistics
        for row in _compared(
            cell_values(a, statistic), cell_values(b, statistic), statistic, seed, unpaired
        )
    ]
    if not rows:
        raise DataError(
            "The two sides have no style, relevance and projection in common: run both with the "
            "same styles and projections."
        )
    table = pl.DataFrame(rows, schema=COMPARISON_SCHEMA).fill_nan(None)
    significant = pl.col("p_adjusted") < 1 - CONFIDENCE_LEVEL
    return table.with_columns(p_adjusted=holm(pl.col("p"))).with_columns(
        verdict=pl.when(significant & (pl.col("ratio") > 1))
        .then(pl.lit("higher"))
        .when(significant & (pl.col("ratio") < 1))
        .then(pl.lit("lower"))
        .otherwise(pl.lit("undecided"))
    )


def extracted_statistics(path: Path) -> pl.LazyFrame:
    """A file of ``gradpipe extract`` as a statistics table whose items are the rows of its data.

    It has no styles: there is one curve per projection. Raises DataError if the file is of another
    kind.
    """
    try:
        # Without `glob=False` a name such as `a[1].parquet` would be a pattern.
        table = pl.scan_parquet(path, glob=False)
        columns = table.collect_schema().names()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(
            f"{path} cannot be read as Parquet: give a file that `gradpipe extract` wrote."
        ) from error
    for column in ("example", "layer", "projection"):
        if column not in columns:
            raise DataError(
                f"{path} has no column {column!r}: give a file that `gradpipe extract` wrote."
            )
    labels = {"model": str(path), "benchmark": str(path), "family": ""}
    return table.with_columns(
        *(pl.lit(value).alias(name) for name, value in labels.items()),
        *(pl.lit("").alias(name) for name in ("style", "relevance")),
        pl.col("example").cast(pl.String).alias("item_id"),
    )


def _matching_cells(
    a: Iterable[tuple[str, str]], b: Iterable[tuple[str, str]]
) -> Iterator[tuple[tuple[str, str], tuple[str, str]]]:
    """The cells of two tables, (model, benchmark), that are compared with each other."""
    ones, others = list(a), list(b)
    if len(ones) == len(others) == 1:
        yield ones[0], others[0]
        return
    # What both sides have only one of need not have the same name.
    shared = [
        axis
        for axis in (0, 1)
        if any(len({cell[axis] for cell in side}) > 1 for side in (ones, others))
    ]
    by_name = {tuple(cell[axis] for axis in shared): cell for cell in others}
    for one in ones:
        other = by_name.get(tuple(one[axis] for axis in shared))
        if other is not None:
            yield one, other


@dataclass(frozen=True)
class _Curve:
    """One style and relevance on one side: ``values`` [item, projection, layer] of usable items."""

    items: tuple[str, ...]
    values: Array

    def select(self, items: Sequence[str]) -> _Curve:
        """The curve of some of its items, in the given order."""
        rows = {item: row for row, item in enumerate(self.items)}
        return _Curve(tuple(items), self.values[[rows[item] for item in items]])

    @property
    def levels(self) -> Array:
        """The quantities of the mean curves: [projection · quantity]."""
        levels: Array = mean_and_mad(mean_curves(self.values, np.ones((1, len(self.items)))))[0]
        return levels


def _compared(
    a: CellValues, b: CellValues, statistic: str, seed: int, unpaired: bool
) -> Iterator[dict[str, Any]]:
    """Rows of COMPARISON_SCHEMA for the common curves of two cells, without adjusted p-values."""
    projections = [name for name in ROLES if name in a.projections and name in b.projections]
    labels = {
        "model": (a.model or None) if a.model == b.model else None,
        "benchmark": (a.benchmark or None) if a.benchmark == b.benchmark else None,
        "statistic": statistic,
    }
    for style, relevance in sorted(set(a.curves) & set(b.curves), key=_curve_order):
        one, other = (_curve(cell, (style, relevance), projections) for cell in (a, b))
        common = [item for item in one.items if item in set(other.items)]
        paired = not unpaired and len(common) >= _MOSTLY * min(len(one.items), len(other.items))
        if paired:
            one, other = one.select(common), other.select(common)
        ratio = _ratio(one, other, paired, derive_seed(seed, a.benchmark, b.benchmark))
        levels = one.levels, other.levels
        for index, (projection, quantity) in enumerate(product(projections, MEAN_AND_MAD)):
            yield labels | {
                "style": style or None,
                "relevance": relevance or None,
                "projection": projection,
                "quantity": quantity,
                "a": levels[0][index],
                "b": levels[1][index],
                "ratio": ratio.ratio[index],
                "low": ratio.low[index],
                "high": ratio.high[index],
                "p": ratio.p[index],
                "items_a": len(one.items),
                "items_b": len(other.items),
                "paired": paired,
            }


def _curve_order(curve: tuple[str, str]) -> tuple[int, str, str]:
    """Sorts (style, relevance) by the order of STYLES, other styles by name."""
    style, relevance = curve
    return STYLES.index(style) if style in STYLES else len(STYLES), style, relevance


def _curve(cell: CellValues, curve: tuple[str, str], projections: Sequence[str]) -> _Curve:
    kept = [cell.projections.index(name) for name in projections]
    values = cell.values[:, cell.curves.index(curve)][:, kept]
    usable = np.isfinite(np.fmax.reduce(values, axis=(1, 2)))
    return _Curve(tuple(compress(cell.items, usable)), values[usable])


def _ratio(one: _Curve, other: _Curve, paired: bool, seed: int) -> Ratio:
    if min(len(one.items), len(other.items)) < MIN_ITEMS:
        missing = np.full(one.levels.shape, np.nan)
        return Ratio(ratio=missing, low=missing, high=missing, p=missing)
    return ratio_of(one.values, other.values, paired, seed)
