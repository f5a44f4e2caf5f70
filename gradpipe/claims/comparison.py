"""Two models, protocols or data sets compared: the ratio of each curve's size and unevenness."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import compress, product
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from gradpipe.claims.bootstrap import FEWEST_ITEMS, LEVEL, seed_of
from gradpipe.claims.decisions import holm
from gradpipe.claims.ratios import QUANTITIES, Ratio, mean_and_mad, ratio_of
from gradpipe.claims.values import Array, CellValues, cell_values, mean_curves
from gradpipe.errors import DataError
from gradpipe.models.roles import ROLES
from gradpipe.styles import STYLES

Frame = pl.DataFrame | pl.LazyFrame

#: One row a curve that both sides have, statistic and quantity ("mean" over its layers, or "mad").
#: ``model``, ``benchmark``, ``style`` and ``relevance`` are what the two share, null where they
#: differ or have none. ``a`` and ``b`` are the quantity as measured, ``ratio`` is that of A to B
#: with its 95 % interval ``low`` to ``high``. ``p`` is two-sided against a ratio of one,
#: ``p_adjusted`` Holm's over the whole table; ``verdict`` is "higher" or "lower" (A than B) where
#: that is below 1 − LEVEL, else "undecided". ``paired``: both sides have the same items.
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
#: Only items that both sides have are compared where they are this part of the smaller side's.
_MOSTLY = 0.5


def compare(
    cells: Iterable[tuple[Frame, Frame]],
    statistics: Sequence[str],
    seed: int = 0,
    unpaired: bool = False,
) -> pl.DataFrame:
    """Sets A against B, curve by curve: a table of COMPARISON_SCHEMA.

    ``cells`` are pairs of tables of statistics, each of one model × benchmark. Every style ×
    relevance × projection that both have is compared. Means and MADs are over each model's own
    layers, so that models of different depth can be compared. Where the two sides share most of
    their items, only those are compared, and resampled together; else, and if ``unpaired``, each
    side is resampled by itself. The ratio of two MADs is one without the noise that shows in them,
    so it differs from ``a / b``. With fewer than FEWEST_ITEMS items on a side, and where a MAD may
    be noise alone, there is no ratio.

    Raises DataError for a table of several models or benchmarks, and where no curve is common.
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
            "The two have no style, relevance and projection in common: run both with the same "
            "styles and projections."
        )
    found = pl.DataFrame(rows, schema=COMPARISON_SCHEMA, orient="row").fill_nan(None)
    decided = pl.col("p_adjusted") < 1 - LEVEL
    return found.with_columns(p_adjusted=holm(pl.col("p"))).with_columns(
        verdict=pl.when(decided & (pl.col("ratio") > 1))
        .then(pl.lit("higher"))
        .when(decided & (pl.col("ratio") < 1))
        .then(pl.lit("lower"))
        .otherwise(pl.lit("undecided"))
    )


def extracted_statistics(path: Path) -> pl.LazyFrame:
    """The table of ``gradpipe extract`` as a table of statistics; rows of DATA are the items.

    It has no styles: everything in it is one curve a projection. Raises DataError where the file is
    no such table.
    """
    try:
        table = pl.scan_parquet(path)
        columns = table.collect_schema().names()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(
            f"{path} cannot be read as Parquet: make it with `gradpipe extract`."
        ) from error
    for column in ("example", "layer", "projection"):
        if column not in columns:
            raise DataError(
                f"{path} lacks the column {column!r}: give a file that `gradpipe extract` made."
            )
    names = {"model": str(path), "benchmark": str(path), "family": "", "style": "", "relevance": ""}
    return table.with_columns(
        *(pl.lit(value).alias(name) for name, value in names.items()),
        pl.col("example").cast(pl.String).alias("item_id"),
    )


@dataclass(frozen=True)
class _Curve:
    """One style and relevance on one side: ``values`` [item, projection, layer] of usable items."""

    items: tuple[str, ...]
    values: Array

    def of_items(self, items: Sequence[str]) -> _Curve:
        """The same for some of its items, in that order."""
        places = {item: place for place, item in enumerate(self.items)}
        return _Curve(tuple(items), self.values[[places[item] for item in items]])

    @property
    def levels(self) -> Array:
        """The mean curves' quantities: [projection · quantity]."""
        levels: Array = mean_and_mad(mean_curves(self.values, np.ones((1, len(self.items)))))[0]
        return levels


def _compared(
    a: CellValues, b: CellValues, statistic: str, seed: int, unpaired: bool
) -> Iterator[tuple[Any, ...]]:
    """Rows of COMPARISON_SCHEMA for every curve of two cells; ``p_adjusted`` is still p."""
    projections = [name for name in ROLES if name in a.projections and name in b.projections]
    model = a.model if a.model == b.model else None
    benchmark = a.benchmark if a.benchmark == b.benchmark else None
    for style, relevance in sorted(set(a.curves) & set(b.curves), key=_place):
        one, other = (_curve(cell, (style, relevance), projections) for cell in (a, b))
        common = [item for item in one.items if item in set(other.items)]
        paired = not unpaired and len(common) >= _MOSTLY * min(len(one.items), len(other.items))
        if paired:
            one, other = one.of_items(common), other.of_items(common)
        found = _ratio(one, other, paired, seed_of(seed, a.benchmark, b.benchmark))
        columns = zip(
            one.levels,
            other.levels,
            found.ratio,
            found.low,
            found.high,
            found.p,
            found.p,
            strict=True,
        )
        for place, numbers in zip(product(projections, QUANTITIES), columns, strict=True):
            of = (model, benchmark, style or None, relevance or None, place[0], statistic, place[1])
            yield *of, *numbers, "", len(one.items), len(other.items), paired


def _place(curve: tuple[str, str]) -> tuple[int, str]:
    """The place of (style, relevance) among others: styles in their own order."""
    style, relevance = curve
    return STYLES.index(style) if style in STYLES else len(STYLES), relevance


def _curve(cell: CellValues, curve: tuple[str, str], projections: Sequence[str]) -> _Curve:
    kept = [cell.projections.index(name) for name in projections]
    values = cell.values[:, cell.curves.index(curve)][:, kept]
    usable = np.isfinite(np.fmax.reduce(values, axis=(1, 2)))
    return _Curve(tuple(compress(cell.items, usable)), values[usable])


def _ratio(one: _Curve, other: _Curve, paired: bool, seed: int) -> Ratio:
    if min(len(one.items), len(other.items)) < FEWEST_ITEMS:
        return Ratio(*[np.full(one.levels.shape, np.nan)] * 4)
    return ratio_of(one.values, other.values, paired, seed)


_OF = {"mean": "mean over layers", "mad": "MAD"}
#: What may tell curves apart, beside the projection.
_LABELS = ("model", "benchmark", "style", "relevance")
#: Groups of curves that a sentence names before it points at the table.
_NAMED = 6


def summary(comparison: pl.DataFrame, a: str, b: str) -> str:
    """One line: what was compared, and how many of the differences are decided.

    ``comparison`` as ``compare`` gives it; ``a`` and ``b`` are what the two sides are called.
    """
    higher, lower = (comparison.filter(verdict=verdict).height for verdict in ("higher", "lower"))
    return (
        f"A is {a}, B is {b}: of {comparison.height} differences {higher + lower} are decided at "
        f"{1 - LEVEL:.0%} after Holm's correction; A is higher in {higher} and lower in {lower}."
    )


def sentences(comparison: pl.DataFrame) -> Iterator[str]:
    """A sentence on the items, then one a statistic and quantity that says what is decided."""
    yield _items(comparison)
    labels = [name for name in _LABELS if comparison[name].n_unique() > 1]
    groups = comparison.partition_by("statistic", "quantity", maintain_order=True, as_dict=True)
    for (statistic, quantity), rows in groups.items():
        parts = [
            part for verdict in ("higher", "lower") if (part := _decided(rows, verdict, labels))
        ]
        undecided = rows.filter(verdict="undecided").height
        if undecided:
            parts.append(f"{_number(undecided, rows.height)} undecided")
        yield f"{statistic}, {_OF[str(quantity)]}: {'; '.join(parts)}."


def _items(comparison: pl.DataFrame) -> str:
    def among(rows: pl.DataFrame, column: str) -> str:
        numbers = sorted(rows[column])
        return " to ".join(map(str, dict.fromkeys((numbers[0], numbers[-1]))))

    said = []
    paired, apart = comparison.filter("paired"), comparison.filter(~pl.col("paired"))
    if paired.height:
        said.append(f"the same {among(paired, 'items_a')} items of both, resampled together")
    if apart.height:
        said.append(
            f"{among(apart, 'items_a')} items of A and {among(apart, 'items_b')} of B, each "
            "resampled by itself"
        )
    return f"Intervals (95 %) are over {'; or '.join(said)}."


def _decided(rows: pl.DataFrame, verdict: str, labels: Sequence[str]) -> str:
    found = rows.filter(verdict=verdict)
    if found.is_empty():
        return ""
    ratios = sorted(found["ratio"])
    ends = dict.fromkeys(f"{ratio:.3g}" for ratio in (ratios[0], ratios[-1]))
    span = f"{' to '.join(ends)} times"
    where = "" if found.height == rows.height else f": {_places(found, labels)}"
    return f"A is {verdict} in {_number(found.height, rows.height)} ({span}{where})"


def _number(part: int, whole: int) -> str:
    return f"all {whole}" if part == whole else f"{part} of {whole}"


def _places(found: pl.DataFrame, labels: Sequence[str]) -> str:
    """The curves by name: what tells them from others (``labels``), and the projections."""
    label = pl.concat_str(pl.lit(""), *labels, separator=" ").alias("label")
    groups = found.group_by(label, maintain_order=True).agg(pl.col("projection").str.join(" "))
    named = [f"{label} {projections}".strip() for label, projections in groups.head(_NAMED).rows()]
    rest = groups.height - len(named)
    return ", ".join(named) + (f" and {rest} more, see the table" if rest else "")
