"""One statistic of one model × benchmark as an array, and its mean curves under resampled items."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gradpipe.errors import DataError

Array = NDArray[np.float64]

_PLACES = ("item", "curve", "projection", "layer")


@dataclass(frozen=True)
class CellValues:
    """One statistic of one model × benchmark.

    ``values`` is [item, curve, projection, layer]: NaN over a whole curve where an example is
    missing or unusable, and at layers that have no such projection.
    """

    model: str
    benchmark: str
    family: str
    #: Item ids, sorted.
    items: tuple[str, ...]
    #: (style, relevance), sorted.
    curves: tuple[tuple[str, str], ...]
    projections: tuple[str, ...]
    layers: tuple[int, ...]
    values: Array


def cell_values(statistics: pl.DataFrame | pl.LazyFrame, statistic: str) -> CellValues:
    """A statistic's values from the table of statistics of one model × benchmark.

    As in the reference (see gradpipe/statistics/curves.py), an example that lacks a finite value at
    any layer of a projection is left out of that whole curve. Raises DataError where the table
    holds no rows, several models or benchmarks, or an example twice.
    """
    rows = (
        statistics.lazy()
        .select(
            "model",
            "benchmark",
            "family",
            pl.col("item_id").alias("item"),
            pl.struct("style", "relevance").alias("curve"),
            "projection",
            "layer",
            pl.col(statistic).cast(pl.Float64).fill_null(np.nan).alias("value"),
        )
        .with_columns((pl.col(_PLACES).rank("dense") - 1).name.suffix("_place"))
        .collect()
    )
    of = rows.select("model", "benchmark", "family").unique()
    if of.height != 1:
        raise DataError(
            f"The statistics of one model and benchmark were asked for, but there are {of.height}: "
            "filter the table to one of each."
        )
    model, benchmark, family = of.row(0)
    known = {name: rows.get_column(name).unique().sort() for name in _PLACES}
    places = tuple(rows.get_column(f"{name}_place").to_numpy() for name in _PLACES)
    values = np.full([len(known[name]) for name in _PLACES], np.nan)
    values[places] = rows.get_column("value").to_numpy()
    present = np.zeros(values.shape, bool)
    present[places] = True
    if present.sum() != rows.height:
        raise DataError(
            f"The statistics of {model} on {benchmark} hold an item's example twice: "
            "keep one row an item, style, relevance, projection and layer."
        )
    broken = (present & ~np.isfinite(values)).any(-1)
    values[broken] = np.nan
    return CellValues(
        model,
        benchmark,
        family,
        tuple(known["item"]),
        tuple((curve["style"], curve["relevance"]) for curve in known["curve"]),
        tuple(known["projection"]),
        tuple(known["layer"]),
        values,
    )


def mean_curves(values: Array, counts: Array) -> Array:
    """Each curve's mean over items that are drawn ``counts`` times.

    ``values`` [item, curve, projection, layer], NaN as in CellValues; ``counts`` [resample, item].
    Returns [resample, curve, projection, layer]: NaN where no example was drawn, and at layers
    where no example has a value. Any axes may stand between the first and the last one.
    """
    finite = np.isfinite(values)
    items, *places, layers = values.shape
    drawn = counts.astype(values.dtype, copy=False)
    # [resample, item] @ [item, curve · projection · layer]
    sums = drawn @ np.where(finite, values, 0.0).reshape(items, -1)
    used = drawn @ finite.any(-1).reshape(items, -1).astype(values.dtype)
    with np.errstate(invalid="ignore", divide="ignore"):
        means: Array = sums.reshape(-1, *places, layers) / used.reshape(-1, *places, 1)
    means[:, ~finite.any(0)] = np.nan
    return means
