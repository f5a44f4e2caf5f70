"""Alignments: cosines that say which gradients point in the same direction.

Three kinds of pairs: two projections in one layer, one projection in adjacent layers, and one
projection's gradients for two responses to the same item. The first two are exact and come with the
spectra. The third is estimated from sketches: each cosine within a few hundredths, and means over
examples and layers much closer (see gradpipe/gradients/spectra/sketches.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gradpipe.gradients.rows import explode_layers
from gradpipe.gradients.spectra.comparisons import SAME_LAYER
from gradpipe.statistics.table import EXAMPLE_COLUMNS, conform_to_schema, name_by_layer_type
from gradpipe.styles import style_enum

_MATRIX_COLUMNS = ("key", "layer", "projection", "next_layer_cosine", "frobenius_norm", "sketch")
_SKETCH_SCHEMA = pl.Schema(
    {
        "key": pl.String(),
        "layer": pl.Int64(),
        "projection": pl.String(),
        "frobenius_norm": pl.Float64(),
        "sketch": pl.List(pl.Float16),
    }
)
_ITEM_COLUMNS = ("item_id", "benchmark", "family", "index")
_RESPONSE_COLUMNS = ("style", "relevance", "against_style", "against_relevance")
#: The columns that identify one curve of cosines.
ALIGNMENT_CURVE_COLUMNS = ("model", "benchmark", "family", "kind", "pair", *_RESPONSE_COLUMNS)
ALIGNMENT_TABLE_SCHEMA = pl.Schema(
    {"model": pl.String}
    | dict.fromkeys(_ITEM_COLUMNS, pl.String)
    | {"index": pl.Int64}
    | dict.fromkeys((*_RESPONSE_COLUMNS, "kind", "pair"), pl.String)
    | {"layer": pl.Int64, "cosine": pl.Float32}
)
#: Pairs of sketches that are multiplied together: of 512 numbers each, 32 MB in single precision.
PAIRS_AT_ONCE = 2**13


class AlignmentCollector:
    """Collects the cosines of every usable example, portion by portion.

    ``examples`` has ``key`` and EXAMPLE_COLUMNS. Of the spectra only the sketches are kept.
    """

    def __init__(self, examples: pl.DataFrame) -> None:
        self._examples = examples.select("key", *EXAMPLE_COLUMNS)
        self._cosines: list[pl.DataFrame] = []
        self._sketches: list[pl.DataFrame] = []
        self._types: list[pl.DataFrame] = []

    def add(self, rows: pl.DataFrame, matrices: pl.DataFrame) -> None:
        """Add rows of ROW_SCHEMA with ``key`` in place of ``row``, and their exploded matrices."""
        kept = matrices.select(_MATRIX_COLUMNS)
        self._cosines += [_same_layer(rows), _next_layer(kept)]
        self._sketches.append(kept.select(list(_SKETCH_SCHEMA)).drop_nulls("sketch"))
        typed = matrices.filter(pl.col("layer_type").is_not_null())
        self._types.append(typed.select("layer", "projection", "layer_type").unique())

    def sketches(self) -> pl.DataFrame:
        """The sketches of all gradients that are not zero: what ``example_sets`` takes."""
        return pl.concat([_SKETCH_SCHEMA.to_frame(), *self._sketches])

    def table(self, model: str) -> pl.DataFrame:
        """The table of ALIGNMENT_TABLE_SCHEMA: one row per (example, layer, kind, pair).

        ``kind`` is

        * "same_layer", ``pair`` one of SAME_LAYER: two projections' gradients in a layer;
        * "next_layer", ``pair`` a projection: its gradients in a layer and in the next;
        * "responses", ``pair`` a projection: one item's correct responses of two styles, in the
          order of ``sorted_styles``, or its correct and another response of one style. The second
          of the two is in ``against_style`` and ``against_relevance``, null for the other kinds.

        A zero gradient has no direction, so its pairs have no rows. In a model that mixes types of
        layers, pairs are named by type as in ``name_by_layer_type``, and adjacent layers of two
        types have no rows. Sorted by item, kind, pair, responses and layer.
        """
        parts = [self._examples.join(cosines, on="key") for cosines in self._cosines]
        if self._sketches:
            parts += _responses(self._examples, self.sketches())
        tables = [conform_to_schema(part, ALIGNMENT_TABLE_SCHEMA) for part in parts]
        return (
            self._by_layer_type(pl.concat([ALIGNMENT_TABLE_SCHEMA.to_frame(), *tables]))
            .with_columns(model=pl.lit(model))
            .filter(pl.col("cosine").is_finite())
            .sort("index", "item_id", "kind", "pair", *_RESPONSE_COLUMNS, "layer")
        )

    def _by_layer_type(self, cosines: pl.DataFrame) -> pl.DataFrame:
        """Cosines with their pairs named by layer type, without those of layers of two types."""
        types = pl.concat(self._types).unique() if self._types else pl.DataFrame()
        if types.is_empty():
            return cosines
        # Two projections of a layer are of its attention, whose type any of them has.
        of_layer = types.unique("layer").select("layer", own="layer_type")
        of_next = of_layer.select(pl.col("layer") - 1, following="own")
        typed = cosines.join(of_layer, on="layer", how="left", maintain_order="left").join(
            of_next, on="layer", how="left", maintain_order="left"
        )
        mixed = (pl.col("kind") == "next_layer") & (pl.col("own") != pl.col("following"))
        attention = (pl.col("kind") == "same_layer") | pl.col("pair").is_in(
            types["projection"].unique().to_list()
        )
        named = typed.filter(~(mixed & attention).fill_null(False)).with_columns(
            layer_type=pl.when(attention).then("own")
        )
        projections = named.rename({"pair": "projection"}).lazy()
        return (
            name_by_layer_type(projections)
            .rename({"projection": "pair"})
            .select(list(ALIGNMENT_TABLE_SCHEMA))
            .collect()
        )


def alignment_curves(alignments: pl.LazyFrame) -> pl.DataFrame:
    """Mean and standard deviation over examples of each kind of cosine, per layer.

    ``alignments`` has ALIGNMENT_TABLE_SCHEMA, with any number of models and benchmarks. An example
    without a cosine at some layer is excluded at that layer only. Returns ALIGNMENT_CURVE_COLUMNS,
    ``layer``, ``mean``, ``sd`` (null for a single example) and ``examples`` (a count), sorted.
    """
    cosine = pl.col("cosine").cast(pl.Float64)
    return (
        alignments.filter(cosine.is_finite())
        .group_by(*ALIGNMENT_CURVE_COLUMNS, "layer")
        .agg(
            cosine.mean().alias("mean"),
            cosine.std().alias("sd"),
            pl.len().cast(pl.Int64).alias("examples"),
        )
        .sort(*ALIGNMENT_CURVE_COLUMNS, "layer")
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
    """The cosines between responses to one item: one frame per projection."""
    pairs, frames = _response_pairs(examples), []
    width = pl.col("sketch").list.len()
    for projection, values in sketches.select("projection", width).unique().sort(pl.all()).rows():
        matching = sketches.filter(pl.col("projection") == projection, width == values)
        positions = matching.select("key", "layer").with_row_index("position")
        paired = pairs.join(positions, on="key").join(
            positions,
            left_on=["against_key", "layer"],
            right_on=["key", "layer"],
            suffix="_against",
        )
        vectors = matching["sketch"].list.to_array(values).to_numpy()
        cosines = _cosines(
            vectors, paired["position"].to_numpy(), paired["position_against"].to_numpy()
        )
        frames.append(
            paired.with_columns(
                pl.Series("cosine", cosines),
                pair=pl.lit(projection),
                kind=pl.lit("responses"),
            )
        )
    return frames


def _response_pairs(examples: pl.DataFrame) -> pl.DataFrame:
    """Pairs of examples of one item, by their keys ``key`` and ``against_key``."""
    order = style_enum(examples["style"])
    correct = examples.filter(relevance="correct")
    others = examples.rename({name: f"against_{name}" for name in ("key", "style", "relevance")})
    styles = correct.join(others.filter(against_relevance="correct"), on=_ITEM_COLUMNS).filter(
        pl.col("style").cast(order) < pl.col("against_style").cast(order)
    )
    relevances = correct.join(
        others.filter(pl.col("against_relevance") != "correct"), on=_ITEM_COLUMNS
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
