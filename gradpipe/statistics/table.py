"""The statistics table: every example of a model and benchmark, every layer and projection."""

from collections.abc import Iterable, Sequence

import polars as pl

from gradpipe.gradients.rows import explode_matrices
from gradpipe.statistics.reductions import reduce_spectra

EXAMPLE_COLUMNS = ("item_id", "benchmark", "family", "index", "style", "relevance")
ROW_COLUMNS = ("loss", "tokens", "response_tokens", "layer", "projection")

#: Rows that are reduced at once: the spectra of a hundred are some 50 MB in float64.
ROWS_AT_ONCE = 100


def as_table(frame: pl.DataFrame, schema: pl.Schema) -> pl.DataFrame:
    """The columns of a schema, in its order and types; those that the frame lacks as nulls."""
    absent = [name for name in schema if name not in frame.columns]
    return frame.with_columns(pl.lit(None).alias(name) for name in absent).select(
        pl.col(name).cast(dtype) for name, dtype in schema.items()
    )


def statistics_table(
    examples: pl.DataFrame,
    spectra: Iterable[pl.DataFrame],
    names: Sequence[str],
    model: str,
) -> pl.DataFrame:
    """The named statistics of every usable example, without the spectra.

    ``examples`` has ``key`` and EXAMPLE_COLUMNS; ``spectra`` are frames of ROW_SCHEMA with ``key``
    in place of ``row``. Sorted by item, style, relevance, layer and projection.
    """
    columns = ["key", *ROW_COLUMNS, *names]
    reduced = [
        reduce_spectra(explode_matrices(rows.lazy()), names).select(columns).collect()
        for chunk in spectra
        for rows in chunk.iter_slices(ROWS_AT_ONCE)
    ]
    empty = pl.DataFrame(
        schema=dict.fromkeys(columns, pl.Float64)
        | {"key": pl.String, "projection": pl.String}
        | dict.fromkeys(("tokens", "response_tokens", "layer"), pl.Int64)
    )
    return (
        examples.select("key", *EXAMPLE_COLUMNS)
        .join(pl.concat(reduced) if reduced else empty, on="key")
        .select(pl.lit(model).alias("model"), *EXAMPLE_COLUMNS, *ROW_COLUMNS, *names)
        .sort("index", "item_id", "style", "relevance", "layer", "projection")
    )
