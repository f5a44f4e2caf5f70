"""One statistic of one model and benchmark as an array, and mean curves of resampled items."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gradpipe.benchmarks.samples import base_item
from gradpipe.errors import DataError
from gradpipe.statistics.table import StatisticsFrame, with_labels

Array = NDArray[np.float64]

_AXES = ("item", "curve", "projection", "layer")


@dataclass(frozen=True, kw_only=True)
class CellValues:
    """One statistic of one cell: a model on a benchmark.

    ``values`` is [item, curve, projection, layer]. It is NaN over a whole curve if the example is
    missing or unusable, and at layers without the projection.
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
    #: For each style, the item that each item's irrelevant response was taken from, None if it was
    #: not taken from one.
    donors: Mapping[str, Mapping[str, str | None]] = field(default_factory=dict)


def split_cells(table: StatisticsFrame) -> dict[tuple[str, str], pl.LazyFrame]:
    """The parts of a statistics table by (model, benchmark), sorted; raises DataError."""
    labeled = with_labels(table.lazy())
    names = labeled.select("model", "benchmark").unique().sort("model", "benchmark").collect()
    return {
        (model, benchmark): labeled.filter(
            pl.col("model") == model, pl.col("benchmark") == benchmark
        )
        for model, benchmark in names.iter_rows()
    }


def tables_of_cells(table: StatisticsFrame | Sequence[StatisticsFrame]) -> list[pl.LazyFrame]:
    """The tables of single models and benchmarks, with all label columns."""
    if isinstance(table, pl.DataFrame | pl.LazyFrame):
        return list(split_cells(table).values())
    return [with_labels(cell.lazy()) for cell in table]


def tables_by_benchmark(tables: Sequence[pl.LazyFrame]) -> list[list[pl.LazyFrame]]:
    """Tables of single cells that have rows, grouped by benchmark in the order of its name."""
    groups: dict[str, list[pl.LazyFrame]] = {}
    for table in tables:
        first = table.select("benchmark").head(1).collect()
        if not first.is_empty():
            groups.setdefault(first.item(), []).append(table)
    return [groups[benchmark] for benchmark in sorted(groups)]


def read_values(
    tables: Sequence[pl.LazyFrame], columns: set[str]
) -> dict[tuple[str, str], CellValues]:
    """The values of ``columns``, by (model, column), as far as the tables of a benchmark have them.

    Columns are statistics, or those of examples, such as "response_tokens".
    """
    values = {}
    for table in tables:
        for column in sorted(columns & set(table.collect_schema().names())):
            cell = cell_values(table, column)
            values[cell.model, column] = cell
    return values


def cell_values(table: StatisticsFrame, statistic: str) -> CellValues:
    """A statistic's values from the statistics table of one model and benchmark.

    As in ``curves``, an example without a finite value at some layer of a projection is excluded
    from that whole curve. The samples of an item are one item, with the mean of their values: they
    are not independent of one another. ``donors`` come from the column ``donor_item_id``, if there
    is one.
    Raises DataError for a table without rows, with several models or benchmarks, or with two rows
    for the same matrix of an example.
    """
    labeled = with_labels(table.lazy())
    with_donors = "donor_item_id" in labeled.collect_schema().names()
    donor = pl.col("donor_item_id") if with_donors else pl.lit(None)
    rows = (
        labeled.select(
            "model",
            "benchmark",
            "family",
            pl.col("item_id").alias("item"),
            pl.struct("style", "relevance").alias("curve"),
            "projection",
            "layer",
            pl.col(statistic).cast(pl.Float64).fill_null(np.nan).alias("value"),
            donor.cast(pl.String).alias("donor"),
        )
        .with_columns((pl.col(_AXES).rank("dense") - 1).name.suffix("_index"))
        .collect()
    )
    cells = rows.select("model", "benchmark", "family").unique()
    if cells.height != 1:
        raise DataError(
            f"The table holds {cells.height} combinations of model, benchmark and family, and only "
            "one can be read: filter the table."
        )
    model, benchmark, family = cells.row(0)
    labels = {name: rows.get_column(name).unique().sort() for name in _AXES}
    indices = tuple(rows.get_column(f"{name}_index").to_numpy() for name in _AXES)
    values = np.full([len(labels[name]) for name in _AXES], np.nan)
    values[indices] = rows.get_column("value").to_numpy()
    present = np.zeros(values.shape, bool)
    present[indices] = True
    if present.sum() != rows.height:
        raise DataError(
            f"The statistics of model {model!r} on benchmark {benchmark!r} hold an example twice: "
            "keep one row per item, style, relevance, projection and layer."
        )
    broken = (present & ~np.isfinite(values)).any(-1)
    values[broken] = np.nan
    items, values = _means_of_samples(labels["item"], values)
    return CellValues(
        model=model,
        benchmark=benchmark,
        family=family,
        items=items,
        curves=tuple((curve["style"], curve["relevance"]) for curve in labels["curve"]),
        projections=tuple(labels["projection"]),
        layers=tuple(labels["layer"]),
        values=values,
        donors=_donors(rows) if with_donors else {},
    )


def _means_of_samples(ids: pl.Series, values: Array) -> tuple[tuple[str, ...], Array]:
    """The items of sorted ids of samples, and the mean of each item's samples: [item, ...]."""
    items = ids.to_frame("item").with_columns(base_item("item"))["item"]
    if items.n_unique() == len(ids):
        return tuple(ids), values
    names = items.unique().sort()
    places = items.rank("dense").to_numpy().astype(np.int64) - 1
    finite = np.isfinite(values)
    sums, counts = np.zeros((2, len(names), *values.shape[1:]))
    np.add.at(sums, places, np.where(finite, values, 0.0))
    np.add.at(counts, places, finite)
    with np.errstate(invalid="ignore", divide="ignore"):
        means: Array = sums / counts
    return tuple(names), means


def _donors(rows: pl.DataFrame) -> dict[str, dict[str, str | None]]:
    """The donor of each item's irrelevant responses, by style; None if they have several."""
    style, relevance = (pl.col("curve").struct.field(name) for name in ("style", "relevance"))
    irrelevant = (
        rows.filter(relevance == "irrelevant")
        .select(style.alias("style"), "item", "donor")
        .unique()
        .with_columns(base_item("item"), base_item("donor"))
        .group_by("style", "item")
        .agg(pl.when(pl.col("donor").n_unique() == 1).then(pl.col("donor").first()).alias("donor"))
    )
    return {
        str(name): dict(part.select("item", "donor").iter_rows())
        for (name,), part in irrelevant.group_by("style")
    }


def mean_curves(values: Array, counts: Array) -> Array:
    """The mean of each curve over resampled items.

    ``values`` [item, curve, projection, layer] is NaN as in CellValues; ``counts`` [resample, item]
    says how often each item was drawn. Returns [resample, curve, projection, layer]: NaN for a
    curve of which no example was drawn, and at layers where no example has a value. There may be
    any axes between the first and the last.
    """
    finite = np.isfinite(values)
    items, *middle, layers = values.shape
    drawn = counts.astype(values.dtype, copy=False)
    # [resample, item] @ [item, curve · projection · layer]
    sums = drawn @ np.where(finite, values, 0.0).reshape(items, -1)
    used = drawn @ finite.any(-1).reshape(items, -1).astype(values.dtype)
    with np.errstate(invalid="ignore", divide="ignore"):
        means: Array = sums.reshape(-1, *middle, layers) / used.reshape(-1, *middle, 1)
    means[:, ~finite.any(0)] = np.nan
    return means
