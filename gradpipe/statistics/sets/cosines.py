"""Mean gradients of sets of examples, compared: their cosine, and the ratio of their norms.

The mean of n noisy gradients has a norm that is too large and a cosine that is too small. So the
inner products of the expected gradients μ are taken over pairs of examples from different blocks of
items (U-statistics), which excludes an example with itself and two responses to one item:

    ⟨μ₁, μ₂⟩ ≈ Σ_{b≠c} ⟨S₁ᵦ, S₂꜀⟩ / Σ_{b≠c} n₁ᵦ n₂꜀

where S₁ᵦ is the sum of the gradients of set 1 in block b, and n₁ᵦ their number. The cosine is
⟨μ₁, μ₂⟩ / √(⟨μ₁, μ₁⟩⟨μ₂, μ₂⟩); as a ratio of estimates it may be slightly above 1. Standard errors
are those of the delete-a-group jackknife (Kott 2001), which leaves out one block of both sets.
"""

from collections.abc import Iterator
from itertools import combinations
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gradpipe.statistics.sets.example_sets import ITEM_BLOCKS, SET_COLUMNS
from gradpipe.statistics.t_intervals import t_quantiles
from gradpipe.statistics.table import ALL_PROJECTIONS, conform_to_schema
from gradpipe.styles import style_enum

_Array = NDArray[np.float64]
#: One row per pair of sets and projection. ``kind`` is "styles" (of one benchmark) or "benchmarks"
#: (in one style); both sets have one relevance. ``plain_cosine`` is that of the sample means.
#: ``norm_ratio`` divides the first norm by the second.
SET_COSINE_SCHEMA = pl.Schema(
    {
        **dict.fromkeys(("model", "kind", "benchmark", "style", "relevance"), pl.String()),
        **dict.fromkeys(("against_benchmark", "against_style", "projection"), pl.String()),
        **dict.fromkeys(("examples", "against_examples"), pl.Int64()),
        **dict.fromkeys(("cosine", "cosine_low", "cosine_high", "plain_cosine"), pl.Float64()),
        **dict.fromkeys(("norm_ratio", "norm_ratio_low", "norm_ratio_high"), pl.Float64()),
    }
)
#: Fewer blocks with examples say too little about the error.
LEAST_BLOCKS = 4


def set_cosines(sets: pl.DataFrame) -> pl.DataFrame:
    """Compare the mean gradients of sets: styles of a benchmark, and benchmarks in a style.

    ``sets`` has EXAMPLE_SET_SCHEMA; sets of different models are not compared. Returns
    SET_COSINE_SCHEMA, sorted by model and projection. A cosine and a ratio are null if one of the
    means is not distinguishable from zero: the 95 % interval of its squared norm holds 0, or its
    examples are of fewer than LEAST_BLOCKS blocks.
    """
    measured = sets.filter(pl.col("sums").list.len() > 0)
    tables = [
        conform_to_schema(_of_model(part).with_columns(model=pl.lit(model)), SET_COSINE_SCHEMA)
        for (model,), part in measured.group_by("model", maintain_order=True)
    ]
    return pl.concat([SET_COSINE_SCHEMA.to_frame(), *tables])


def _of_model(sets: pl.DataFrame) -> pl.DataFrame:
    """The comparisons of one model's sets, by projection and for all projections together."""
    blocks = pl.col("block_examples").first()
    labels = sets.group_by(SET_COLUMNS, maintain_order=True).agg(blocks).with_row_index("set")
    counts = np.array(labels["block_examples"].to_list(), dtype=np.float64)
    pairs = list(_pairs(labels))
    products = {
        projection: _products(
            sets.filter(projection=projection).join(labels, on=SET_COLUMNS), len(counts)
        )
        for projection in sets["projection"].unique().sort()
    }
    products[ALL_PROJECTIONS] = np.sum(list(products.values()), axis=0)
    return pl.concat(
        _compared(values, counts, labels, pairs).with_columns(projection=pl.lit(projection))
        for projection, values in products.items()
    )


def _pairs(labels: pl.DataFrame) -> Iterator[tuple[str, int, int]]:
    """The kind of each comparison and the numbers of its two sets."""
    order = style_enum(labels["style"])
    sets = labels.sort("benchmark", pl.col("style").cast(order), "relevance")
    for one, other in combinations(sets.iter_rows(named=True), 2):
        same = {name for name in SET_COLUMNS if one[name] == other[name]}
        if {"relevance", "benchmark"} <= same:
            yield "styles", one["set"], other["set"]
        elif {"relevance", "style"} <= same:
            yield "benchmarks", one["set"], other["set"]


def _products(sets: pl.DataFrame, count: int) -> _Array:
    """The inner products of all blocks of all sets [sets, ITEM_BLOCKS, sets, ITEM_BLOCKS]."""
    products = np.zeros((count * ITEM_BLOCKS, count * ITEM_BLOCKS))
    layers = sets.select("set", "sums").explode("sums").unnest("sums")
    for _, layer in layers.group_by("layer"):
        values = np.array(layer["values"].to_list(), dtype=np.float64)
        vectors = np.zeros((count, ITEM_BLOCKS, values.shape[1] // ITEM_BLOCKS))
        vectors[layer["set"].to_numpy()] = values.reshape(-1, *vectors.shape[1:])
        flat = vectors.reshape(count * ITEM_BLOCKS, -1)
        products += flat @ flat.T
    return products.reshape(count, ITEM_BLOCKS, count, ITEM_BLOCKS)


class _Means(NamedTuple):
    """Means over pairs of blocks: of all [S, S], and without each block [S, S, ITEM_BLOCKS]."""

    whole: _Array
    without: _Array


def _means(products: _Array, counts: _Array) -> _Means:
    """Mean inner products over pairs of examples from different blocks."""
    pairs = counts[:, :, None, None] * counts[None, None]
    (sums, sums_without), (numbers, numbers_without) = map(_off_diagonal, (products, pairs))
    with np.errstate(divide="ignore", invalid="ignore"):
        return _Means(sums / numbers, sums_without / numbers_without)


def _off_diagonal(values: _Array) -> tuple[_Array, _Array]:
    """Sums over pairs of different blocks, and without each block."""
    off = values * (1 - np.eye(ITEM_BLOCKS))[:, None, :]
    whole = off.sum((1, 3))
    return whole, whole[:, :, None] - off.sum(3).transpose(0, 2, 1) - off.sum(1)


def _compared(
    products: _Array, counts: _Array, labels: pl.DataFrame, pairs: list[tuple[str, int, int]]
) -> pl.DataFrame:
    kinds, one, other = (
        (list(column) for column in zip(*pairs, strict=True)) if pairs else ([],) * 3
    )
    means, own = _means(products, counts), np.arange(len(counts))
    norms, norms_without = means.whole[own, own], means.without[own, own]
    reach = _reach(norms_without, counts > 0)
    apparent = norms > reach
    clear = apparent[one] & apparent[other]
    used = (counts[one] > 0) | (counts[other] > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        cosine = means.whole[one, other] / np.sqrt(norms[one] * norms[other])
        roots = np.sqrt(norms_without[one] * norms_without[other])
        cosine_reach = _reach(means.without[one, other] / roots, used)
        ratio = np.log(norms[one] / norms[other]) / 2
        ratio_reach = _reach(np.log(norms_without[one] / norms_without[other]) / 2, used)
    sums = products.sum((1, 3))
    lengths = np.sqrt(sums[own, own])
    columns = {
        "cosine": cosine,
        "cosine_low": cosine - cosine_reach,
        "cosine_high": cosine + cosine_reach,
        "norm_ratio": np.exp(ratio),
        "norm_ratio_low": np.exp(ratio - ratio_reach),
        "norm_ratio_high": np.exp(ratio + ratio_reach),
    }
    shown = {name: np.where(clear, values, np.nan) for name, values in columns.items()}
    plain = {"plain_cosine": sums[one, other] / (lengths[one] * lengths[other])}
    sides = [labels[places].drop("block_examples", "set") for places in (one, other)]
    against = sides[1].select(against_benchmark="benchmark", against_style="style")
    return pl.concat(
        [
            sides[0],
            against,
            pl.DataFrame(
                {
                    "kind": kinds,
                    "examples": counts[one].sum(1).astype(int),
                    "against_examples": counts[other].sum(1).astype(int),
                    **shown,
                    **plain,
                },
            ).with_columns(pl.selectors.float().fill_nan(None)),
        ],
        how="horizontal",
    )


def _reach(without: _Array, used: NDArray[np.bool_]) -> _Array:
    """Half of the width of each 95 % interval, from values without each block [n, ITEM_BLOCKS].

    Infinite if fewer than LEAST_BLOCKS blocks are ``used`` [n, ITEM_BLOCKS].
    """
    blocks = used.sum(1)
    kept = np.where(used, without, 0)
    mean = kept.sum(1) / np.maximum(blocks, 1)
    squares = np.where(used, (without - mean[:, None]) ** 2, 0).sum(1)
    error = np.sqrt(squares * (blocks - 1) / np.maximum(blocks, 1))
    reach: _Array = np.where(blocks >= LEAST_BLOCKS, t_quantiles(blocks - 1) * error, np.inf)
    return reach
