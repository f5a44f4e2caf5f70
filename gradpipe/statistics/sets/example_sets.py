"""Sets of examples: the diversity, the consensus and the mean gradient of each, from sketches.

A set is the usable examples of one model, benchmark, style and relevance. An example's gradient is
that of a projection in all layers, as one vector; "all" stands for all projections together. Inner
products are those of sketches times norms, which are unbiased. The error of their cosines is
measured on each set, from two halves of every sketch.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gradpipe.statistics.sample_means import first_samples
from gradpipe.statistics.sets.consensus import consensus
from gradpipe.statistics.sets.diversity import diversity_by_size
from gradpipe.statistics.table import ALL_PROJECTIONS, conform_to_schema

#: Items are divided into blocks by their index; the sums of a set are kept by block, so that means
#: of different sets can be compared without examples of the same item.
ITEM_BLOCKS = 10
#: Of a larger set, this many examples are compared with each other, spread over its items.
MOST_COMPARED = 512
#: The columns that identify a set.
SET_COLUMNS = ("benchmark", "family", "style", "relevance")

_SIZE = pl.Struct(
    {
        "size": pl.Int64,
        "ln_diversity": pl.Float64,
        "error": pl.Float64,
        "sketch_bias": pl.Float64,
        **dict.fromkeys(("top1_share", "top4_share", "top16_share"), pl.Float64),
    }
)
#: One row per set and projection. ``examples`` have a gradient that is not zero; ``sizes`` is
#: explained at ``diversity_by_size``, the measures of agreement at ``Consensus``.
#: ``sketch_error`` is the standard error of a cosine of two examples. ``sums`` has each layer's sum
#: of sketches times norms as ITEM_BLOCKS vectors in one list, and ``block_examples`` the number of
#: examples per block, gradients of zero included; both are null for ALL_PROJECTIONS.
EXAMPLE_SET_SCHEMA = pl.Schema(
    {
        "model": pl.String(),
        **dict.fromkeys((*SET_COLUMNS, "projection"), pl.String()),
        "examples": pl.Int64(),
        "sizes": pl.List(_SIZE),
        "mean_cosine": pl.Float64(),
        "mean_cosine_error": pl.Float64(),
        "mean_share": pl.Float64(),
        "mean_share_error": pl.Float64(),
        "sketch_error": pl.Float64(),
        "block_examples": pl.List(pl.Int64),
        "sums": pl.List(pl.Struct({"layer": pl.Int64, "values": pl.List(pl.Float32)})),
    }
)


def example_sets(examples: pl.DataFrame, sketches: pl.DataFrame, model: str) -> pl.DataFrame:
    """Measure every set of examples of one model (EXAMPLE_SET_SCHEMA).

    ``examples`` has ``key``, ``item_id``, ``index`` and SET_COLUMNS. ``sketches`` has one row per
    key, layer and projection: ``frobenius_norm`` and ``sketch``, which is not null (see
    ``sketches.kept_sketch``). A gradient without a sketch is zero; an example that is zero in all
    layers of a projection has no direction and is left out. Of the samples of an item the first is
    in a set, since they are not independent. Sorted by benchmark, style, relevance
    and projection; no rows without sketches.
    """
    keys = sketches.select(pl.col("key").unique().sort()).with_row_index("place")
    first = first_samples(examples.lazy(), SET_COLUMNS).collect()
    known = first.join(keys, on="key").sort(*SET_COLUMNS, "index", "item_id")
    scale = float(sketches["frobenius_norm"].max() or 0.0)  # type: ignore[arg-type]
    if known.is_empty() or not scale:
        return EXAMPLE_SET_SCHEMA.to_frame()
    sets = [
        _Members(
            dict(zip(SET_COLUMNS, labels, strict=True)),
            part["place"].to_numpy(),
            part["index"].to_numpy() % ITEM_BLOCKS,
        )
        for labels, part in known.group_by(SET_COLUMNS, maintain_order=True)
    ]
    rows = [
        {**members.labels, **row}
        for members, measured in zip(sets, _measure(sets, sketches, keys, scale), strict=True)
        for row in measured
    ]
    frame = pl.DataFrame(rows, schema_overrides=EXAMPLE_SET_SCHEMA, infer_schema_length=None)
    return conform_to_schema(frame.with_columns(model=pl.lit(model)), EXAMPLE_SET_SCHEMA)


class _Members(NamedTuple):
    """A set's labels, and the places in the table of keys and the blocks of its examples [n]."""

    labels: dict[str, Any]
    places: NDArray[Any]
    blocks: NDArray[Any]

    @property
    def compared(self) -> NDArray[Any]:
        """The places of the examples that are compared with each other."""
        n = len(self.places)
        spread = np.linspace(0, n - 1, min(n, MOST_COMPARED)).astype(int)
        compared: NDArray[Any] = self.places[np.unique(spread)]
        return compared


@dataclass
class _Sums:
    """What is summed over the layers of one projection for one set.

    ``halves`` [2, n, n] are inner products of the compared examples, from each half of the
    sketches. ``has_gradient`` [examples] says which examples are not zero.
    """

    halves: NDArray[np.float64]
    has_gradient: NDArray[np.bool_]
    layers: list[dict[str, Any]]


def _measure(
    sets: Sequence[_Members], sketches: pl.DataFrame, keys: pl.DataFrame, scale: float
) -> list[list[dict[str, Any]]]:
    """The rows of each set: one per projection, then that of all projections."""
    rows: list[list[dict[str, Any]]] = [[] for _ in sets]
    everything = [_no_sums(members) for members in sets]
    for projection in sketches["projection"].unique().sort():
        matrices = sketches.filter(projection=projection).join(keys, on="key")
        sums = [_no_sums(members) for members in sets]
        for layer, vectors in _vectors(matrices, keys.height, scale):
            for members, of_set in zip(sets, sums, strict=True):
                _add_layer(of_set, members, layer, vectors, scale)
        for members, of_set, whole, of_rows in zip(sets, sums, everything, rows, strict=True):
            counts = np.bincount(members.blocks, minlength=ITEM_BLOCKS).tolist()
            of_rows.append(
                _row(of_set, projection) | {"block_examples": counts, "sums": of_set.layers}
            )
            whole.halves += of_set.halves
            whole.has_gradient |= of_set.has_gradient
    for whole, of_rows in zip(everything, rows, strict=True):
        of_rows.append(_row(whole, ALL_PROJECTIONS))
    return rows


def _no_sums(members: _Members) -> _Sums:
    compared = len(members.compared)
    return _Sums(np.zeros((2, compared, compared)), np.zeros(len(members.places), bool), [])


def _vectors(
    matrices: pl.DataFrame, keys: int, scale: float
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Each layer with its sketches times norms / ``scale`` [keys, d]; zero where missing."""
    for (layer,), part in matrices.sort("layer").group_by("layer", maintain_order=True):
        width = part["sketch"].list.len().max()
        values = part["sketch"].list.to_array(width).to_numpy().astype(np.float32)  # type: ignore[arg-type]
        norms = (part["frobenius_norm"] / scale).to_numpy().astype(np.float32)
        vectors = np.zeros((keys, values.shape[1]), np.float32)
        vectors[part["place"].to_numpy()] = values * norms[:, None]
        yield int(layer), vectors


def _add_layer(
    sums: _Sums, members: _Members, layer: int, vectors: NDArray[np.float32], scale: float
) -> None:
    own = vectors[members.places]
    sums.has_gradient |= own.any(1)
    in_block = np.arange(ITEM_BLOCKS)[:, None] == members.blocks
    by_block = in_block.astype(np.float32) @ own * np.float32(scale)
    sums.layers.append({"layer": layer, "values": by_block.ravel()})
    compared = vectors[members.compared]
    middle = compared.shape[1] // 2
    for half, part in enumerate((compared[:, :middle], compared[:, middle:])):
        sums.halves[half] += part @ part.T


def _row(sums: _Sums, projection: str) -> dict[str, Any]:
    """The measures of one set and projection; without a gradient to compare, only counts."""
    examples = int(sums.has_gradient.sum())
    row: dict[str, Any] = {"projection": projection, "examples": examples}
    cosines = _cosines(sums.halves.sum(0))
    if len(cosines) < 2:
        return row | {"sizes": []}
    halves = [_cosines(half) for half in sums.halves]
    both = np.stack(halves) if {half.shape for half in halves} == {cosines.shape} else None
    row |= {"sizes": list(diversity_by_size(cosines, both)), **consensus(cosines)._asdict()}
    if both is not None:
        difference = (both[0] - both[1])[np.triu_indices(len(cosines), 1)]
        row["sketch_error"] = float(np.sqrt((difference**2).mean()) / 2)
    return {k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in row.items()}


def _cosines(products: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cosines from inner products, of the examples that are not zero."""
    norms = np.sqrt(products.diagonal())
    used = norms > 0
    cosines: NDArray[np.float64] = products[np.ix_(used, used)] / np.outer(norms[used], norms[used])
    return cosines
