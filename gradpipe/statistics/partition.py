"""The tables of one model and benchmark, from one pass over its spectra."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import polars as pl

from gradpipe.gradients.rows import explode_matrices
from gradpipe.statistics.alignment import AlignmentCollector
from gradpipe.statistics.reductions import TOKEN_STATISTICS, reduce_spectra
from gradpipe.statistics.sets.example_sets import example_sets
from gradpipe.statistics.table import EXAMPLE_COLUMNS, ROW_COLUMNS, name_by_layer_type

#: Rows that are reduced together: the spectra of a hundred take about 50 MB in float64.
ROWS_AT_ONCE = 100


@dataclass(frozen=True, kw_only=True)
class PartitionTables:
    """The ``statistics``, ``alignments`` and ``sets`` of one model and benchmark."""

    statistics: pl.DataFrame
    alignments: pl.DataFrame
    sets: pl.DataFrame


def partition_tables(
    examples: pl.DataFrame,
    spectra: Iterable[pl.DataFrame],
    statistics: Sequence[str],
    model: str,
) -> PartitionTables:
    """Reduce the spectra of every usable example of one model and benchmark.

    ``examples`` has ``key`` and EXAMPLE_COLUMNS; ``spectra`` are frames of ROW_SCHEMA with ``key``
    in place of ``row``, each row once, and are read once. The statistics table has ``model``,
    EXAMPLE_COLUMNS, ROW_COLUMNS, the named statistics and TOKEN_STATISTICS, sorted by item, style,
    relevance, layer and projection; for the alignments see ``AlignmentCollector``, for the sets
    ``example_sets``. Raises StudyError for an unknown statistic.
    """
    statistics = list(dict.fromkeys([*statistics, *TOKEN_STATISTICS]))
    columns = ["key", *ROW_COLUMNS, *statistics]
    empty = pl.DataFrame(
        schema=dict.fromkeys(columns, pl.Float64)
        | dict.fromkeys(("key", "projection", "layer_type"), pl.String)
        | dict.fromkeys(("tokens", "response_tokens", "layer"), pl.Int64)
    )
    reduced: list[pl.DataFrame] = []
    alignments = AlignmentCollector(examples)
    for chunk in spectra:
        for rows in chunk.iter_slices(ROWS_AT_ONCE):
            matrices = explode_matrices(rows.lazy()).collect()
            reduced.append(
                reduce_spectra(matrices.lazy(), statistics).select(*columns, "layer_type").collect()
            )
            alignments.add(rows, matrices)
    both = pl.concat(reduced) if reduced else empty
    # Types belong to the model; rows of earlier versions do not have them.
    layer_type = pl.col("layer_type").drop_nulls().first().over("layer", "projection")
    named = name_by_layer_type(both.lazy().with_columns(layer_type)).collect()
    table = (
        examples.select("key", *EXAMPLE_COLUMNS)
        .join(named, on="key")
        .select(pl.lit(model).alias("model"), *EXAMPLE_COLUMNS, *ROW_COLUMNS, *statistics)
        .sort("index", "item_id", "style", "relevance", "layer", "projection")
    )
    return PartitionTables(
        statistics=table,
        alignments=alignments.table(model),
        sets=example_sets(examples, alignments.sketches(), model),
    )
