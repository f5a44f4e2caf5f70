"""The statistics table: one row per example, layer and projection."""

from collections.abc import Sequence

import polars as pl

from gradpipe.errors import DataError
from gradpipe.gradients.rows import explode_matrices
from gradpipe.models.layer_types import SOFTMAX_ATTENTION
from gradpipe.statistics.reductions import (
    available_statistics,
    computable_statistics,
    reduce_spectra,
    require_statistics,
)

#: A statistics table, in memory or scanned.
StatisticsFrame = pl.DataFrame | pl.LazyFrame

EXAMPLE_COLUMNS = ("item_id", "benchmark", "family", "index", "style", "relevance")
ROW_COLUMNS = ("loss", "tokens", "response_tokens", "layer", "projection")
#: In tables of results, the projection that stands for all of them together.
ALL_PROJECTIONS = "all"

#: Label columns, and the value of each in a table without that column.
DEFAULT_LABELS = {
    "model": "",
    "benchmark": "",
    "family": "",
    "style": "",
    "relevance": "correct",
}


def statistics_table(
    spectra: StatisticsFrame, statistics: Sequence[str] | None = None
) -> pl.DataFrame:
    """Reduce spectra to statistics: one row per example, layer and projection.

    The result is what ``gp.curves``, ``gp.judge`` and ``gp.compare`` take. It has the columns of a
    workspace's statistics tables, and no spectra, so tables of many models fit in memory.

    Args:
        spectra: The table that ``extract_spectra`` returned, or several of them concatenated. Add
            columns to say what its examples are: ``model``, ``benchmark``, ``family`` ("math",
            "commonsense" or "knowledge"), ``item`` (the question that an example answers, shared
            by its responses in all styles), ``style`` and ``relevance`` ("correct" or
            "irrelevant"). Missing ones are empty; ``relevance`` is "correct" and ``item`` the
            example's number. Rows of spans and of unusable examples are left out. Rows of a
            workspace's row store, joined with their examples, are accepted too.
        statistics: Names of statistics, by default all that follow from the columns of ``spectra``.

    Returns:
        ``model``, ``item_id``, ``benchmark``, ``family``, ``index`` (the item's position, from 0),
        ``style``, ``relevance``, ``loss`` (nats per response token), ``tokens``,
        ``response_tokens``, ``layer`` (from 0), ``projection`` and one column per statistic, null
        where it is not defined. Sorted by model, benchmark and the columns up to ``projection``.

    Raises:
        DataError: ``spectra`` is another kind of table.
        StudyError: A statistic is unknown or does not follow from the columns.

    Examples:
        >>> pairs = [("Add 2 and 2.", "4"), ("Name a color.", "Blue, or a shade of it.")]
        >>> spectra = gp.extract_spectra(model, tokenizer, pairs)
        >>> spectra = spectra.with_columns(model=pl.lit("tiny"), style=pl.lit("none"))
        >>> table = gp.statistics_table(spectra, ["nuclear_norm", "stable_rank"])
        >>> table.height  # 2 examples, 3 layers, 4 projections
        24
        >>> table.columns[-3:]
        ['projection', 'nuclear_norm', 'stable_rank']
        >>> table["item_id"].unique().sort().to_list()
        ['0', '1']
    """
    matrices = spectra.lazy()
    if "matrices" in matrices.collect_schema().names():
        matrices = explode_matrices(matrices)
    matrices = with_labels(matrices)
    columns = matrices.collect_schema().names()
    if statistics is None:
        statistics = available_statistics(columns)
    require_statistics(statistics, available_statistics(columns))
    computable = [name for name in statistics if name in computable_statistics(columns)]
    return (
        reduce_spectra(matrices, computable)
        .select("model", *EXAMPLE_COLUMNS, *ROW_COLUMNS, *statistics)
        .sort("model", "benchmark", "index", "item_id", "style", "relevance", "layer", "projection")
        .collect()
    )


def with_labels(table: pl.LazyFrame) -> pl.LazyFrame:
    """A table of matrices with every label column: DEFAULT_LABELS, ``item_id`` and ``index``.

    ``item_id`` is the column ``item``, or else ``example``; ``index`` is ``example``, or else the
    item's rank among the items of its model and benchmark. Rows of spans are left out. Projections
    of layers of other types have names of their own, see ``name_by_layer_type``. Raises DataError
    for a table without ``layer``, ``projection``, or any column that identifies the example.
    """
    table = name_by_layer_type(whole_responses(table))
    columns = table.collect_schema().names()
    item = next((name for name in ("item_id", "item", "example") if name in columns), None)
    missing = [name for name in ("layer", "projection") if name not in columns]
    if item is None or missing:
        raise DataError(
            f"The table has no column {(missing or ['example'])[0]!r}, only {', '.join(columns)}: "
            "pass the table that extract_spectra returned, with columns added, or one of its "
            "statistics."
        )
    labeled = table.with_columns(
        pl.lit(default).alias(name)
        for name, default in DEFAULT_LABELS.items()
        if name not in columns
    )
    if item != "item_id":
        labeled = labeled.with_columns(pl.col(item).cast(pl.String).alias("item_id"))
    if "index" not in columns:
        rank = (pl.col("item_id").rank("dense") - 1).over("model", "benchmark")
        number = pl.col("example") if "example" in columns else rank
        labeled = labeled.with_columns(number.cast(pl.Int64).alias("index"))
    return labeled


def name_by_layer_type(table: pl.LazyFrame) -> pl.LazyFrame:
    """Name projections by the type of their layer, and drop the column ``layer_type``.

    In a model that mixes layers, gradients of different types of attention are not comparable. So
    ``q`` is that of softmax attention only, and that of a linear attention is
    ``q linear_attention``: a projection of its own, with its own curves. Layers without a
    projection have no rows. Tables without ``layer_type`` are returned as they are.
    """
    if "layer_type" not in table.collect_schema().names():
        return table
    other = pl.col("layer_type") != SOFTMAX_ATTENTION
    named = pl.concat_str("projection", "layer_type", separator=" ")
    return table.with_columns(
        pl.when(other).then(named).otherwise("projection").alias("projection")
    ).drop("layer_type")


def whole_responses(table: pl.LazyFrame) -> pl.LazyFrame:
    """Drop the rows of spans and of unusable examples from a table of ``extract_spectra``.

    The columns ``span`` and ``reason`` are dropped too.
    """
    columns = [name for name in ("span", "reason") if name in table.collect_schema().names()]
    if not columns:
        return table
    return table.filter(pl.col(name).is_null() for name in columns).drop(columns)


def conform_to_schema(frame: pl.DataFrame, schema: pl.Schema) -> pl.DataFrame:
    """The columns of a schema, in its order and types; missing ones are null."""
    absent = [name for name in schema if name not in frame.columns]
    return frame.with_columns(pl.lit(None).alias(name) for name in absent).select(
        pl.col(name).cast(dtype) for name, dtype in schema.items()
    )
