"""Alignments: which gradients point the same way, as cosines.

Three kinds of pairs: two projections of one layer, one projection in adjacent layers, and one
projection's gradients of two responses to the same item. The first two are exact and come with the
spectra; the third is estimated from sketches, and as exact as ``gradients.sketches`` says: each
within some hundredths, their means over examples and layers much closer.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from gradpipe.gradients.rows import explode_layers, explode_matrices
from gradpipe.gradients.spectra.inner_products import SAME_LAYER
from gradpipe.statistics.table import EXAMPLE_COLUMNS, ROWS_AT_ONCE, as_table
from gradpipe.styles import STYLES

if TYPE_CHECKING:
    from numpy.typing import NDArray

MATRIX_COLUMNS = ("key", "layer", "projection", "next_layer_cosine", "sketch")
ITEM_COLUMNS = ("item_id", "benchmark", "family", "index")
RESPONSE_COLUMNS = ("style", "relevance", "against_style", "against_relevance")
#: What one curve of cosines is of.
CURVE_COLUMNS = ("model", "benchmark", "family", "kind", "pair", *RESPONSE_COLUMNS)
TABLE_SCHEMA = pl.Schema(
    {"model": pl.String}
    | dict.fromkeys(ITEM_COLUMNS, pl.String)
    | {"index": pl.Int64}
    | dict.fromkeys((*RESPONSE_COLUMNS, "kind", "pair"), pl.String)
    | {"layer": pl.Int64, "cosine": pl.Float32}
)
#: Pairs of sketches that are multiplied at once: of 512 numbers each, 32 MB in single precision.
PAIRS_AT_ONCE = 2**13


def alignment_table(
    examples: pl.DataFrame, spectra: Iterable[pl.DataFrame], model: str
) -> pl.DataFrame:
    """The cosines of every usable example: one row a (example, layer, kind, pair) that has one.

    ``examples`` has ``key`` and EXAMPLE_COLUMNS; ``spectra`` are frames of ROW_SCHEMA with ``key``
    in place of ``row``, of which only the sketches are kept. ``kind`` is

    * "same_layer", ``pair`` one of SAME_LAYER: two projections' gradients in a layer;
    * "next_layer", ``pair`` a projection: its gradient in a layer with that in the next;
    * "responses", ``pair`` a projection: one item's correct responses of two styles, in the order
      of STYLES, and its correct and irrelevant response of one style. The second of the two is in
      ``against_style`` and ``against_relevance``, null for the other kinds.

    A gradient of zero has no direction, and no row. Sorted by item, kind, pair, responses, layer.
    """
    examples = examples.select("key", *EXAMPLE_COLUMNS)
    within, sketches = [], []
    for chunk in spectra:
        for rows in chunk.iter_slices(ROWS_AT_ONCE):
            matrices = explode_matrices(rows.lazy()).select(MATRIX_COLUMNS).collect()
            within += [_same_layer(rows), _next_layer(matrices)]
            sketches.append(matrices.drop("next_layer_cosine").drop_nulls("sketch"))
    parts = [examples.join(cosines, on="key") for cosines in within]
    parts += _responses(examples, pl.concat(sketches)) if sketches else []
    return (
        pl.concat([TABLE_SCHEMA.to_frame(), *(as_table(part, TABLE_SCHEMA) for part in parts)])
        .with_columns(model=pl.lit(model))
        .filter(pl.col("cosine").is_finite())
        .sort("index", "item_id", "kind", "pair", *RESPONSE_COLUMNS, "layer")
    )


def alignment_curves(alignments: pl.LazyFrame) -> pl.DataFrame:
    """Mean and standard deviation over examples of each kind of cosine, per layer.

    ``alignments`` is the table of ``alignment_table``, of any number of models and benchmarks. A
    cosine that is not there leaves its example out at that layer only. Returns CURVE_COLUMNS,
    ``layer``, ``mean``, ``sd`` (null for a single example) and ``examples``, sorted.
    """
    cosine = pl.col("cosine").cast(pl.Float64)
    return (
        alignments.filter(cosine.is_finite())
        .group_by(*CURVE_COLUMNS, "layer")
        .agg(
            cosine.mean().alias("mean"),
            cosine.std().alias("sd"),
            pl.len().cast(pl.Int64).alias("examples"),
        )
        .sort(*CURVE_COLUMNS, "layer")
        .collect()
    )


def _same_layer(rows: pl.DataFrame) -> pl.DataFrame:
    columns = {f"{pair}_cosine": pair for pair in SAME_LAYER}
    return (
        explode_layers(rows.lazy())
        .rename(columns)
        .unpivot(
            on=list(SAME_LAYER),
            index=["key", "layer"],
            variable_name="pair",
            value_name="cosine",
        )
        .with_columns(kind=pl.lit("same_layer"))
        .collect()
    )


def _next_layer(matrices: pl.DataFrame) -> pl.DataFrame:
    return matrices.select(
        "key",
        "layer",
        pl.col("projection").alias("pair"),
        pl.col("next_layer_cosine").alias("cosine"),
        pl.lit("next_layer").alias("kind"),
    )


def _responses(examples: pl.DataFrame, sketches: pl.DataFrame) -> list[pl.DataFrame]:
    """The cosines between one item's responses, a frame a projection."""
    pairs, found = _response_pairs(examples), []
    width = pl.col("sketch").list.len()
    for projection, values in sketches.select("projection", width).unique().sort(pl.all()).rows():
        of_projection = sketches.filter(pl.col("projection") == projection, width == values)
        places = of_projection.select("key", "layer").with_row_index("place")
        paired = pairs.join(places, on="key").join(
            places, left_on=["against_key", "layer"], right_on=["key", "layer"], suffix="_against"
        )
        vectors = of_projection["sketch"].list.to_array(values).to_numpy()
        cosines = _cosines(vectors, paired["place"].to_numpy(), paired["place_against"].to_numpy())
        found.append(
            paired.with_columns(
                pl.Series("cosine", cosines),
                pair=pl.lit(projection),
                kind=pl.lit("responses"),
            )
        )
    return found


def _response_pairs(examples: pl.DataFrame) -> pl.DataFrame:
    """Two examples of one item, by their keys: ``key`` and ``against_key``."""
    order = pl.Enum(STYLES)
    correct = examples.filter(relevance="correct")
    others = examples.rename({name: f"against_{name}" for name in ("key", "style", "relevance")})
    styles = correct.join(others.filter(against_relevance="correct"), on=ITEM_COLUMNS).filter(
        pl.col("style").cast(order) < pl.col("against_style").cast(order)
    )
    relevances = correct.join(
        others.filter(against_relevance="irrelevant"), on=ITEM_COLUMNS
    ).filter(pl.col("style") == pl.col("against_style"))
    return pl.concat([styles, relevances])


def _cosines(vectors: NDArray[Any], left: NDArray[Any], right: NDArray[Any]) -> NDArray[np.float32]:
    """Cosines [n] of the rows ``left`` [n] and ``right`` [n] of ``vectors`` [rows, d]."""
    cosines = np.empty(len(left), dtype=np.float32)
    for start in range(0, len(left), PAIRS_AT_ONCE):
        block = slice(start, start + PAIRS_AT_ONCE)
        a, b = (vectors[rows[block]].astype(np.float32) for rows in (left, right))
        products = np.einsum("nd,nd->n", a, b)
        norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            cosines[block] = np.clip(products / norms, -1, 1)
    return cosines
