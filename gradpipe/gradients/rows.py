"""The rows of an extraction: their schema, their keys, and the tables inside them."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from gradpipe.gradients.protocol import Protocol
from gradpipe.gradients.spectra.comparisons import SAME_LAYER
from gradpipe.system.hashing import content_hash

#: Part of every row's key: a change here takes every gradient again. Raise it when numbers change,
#: or when there are more of them: 2 brought the cosines and the sketches.
EXTRACTOR_VERSION = "2"

#: One row a gradient. ``next_layer_cosine`` is that with the same projection of the layer above,
#: ``sketch`` as ``sketches.kept_sketch`` has it: its cosine with another row's is, nearly, that of
#: both gradients. Both are null where the gradient is zero, the cosine where there is no other.
MATRIX = pl.Struct(
    {
        "layer": pl.Int64,
        "projection": pl.String,
        "frobenius_norm": pl.Float64,
        "singular_values": pl.List(pl.Float32),
        "next_layer_cosine": pl.Float32,
        "sketch": pl.List(pl.Float16),
    }
)
#: One row a layer: the cosines inside it (see ``alignment.SAME_LAYER``), null where a gradient is
#: zero or missing, or both have not equally many entries.
LAYER = pl.Struct({"layer": pl.Int64, **{f"{pair}_cosine": pl.Float32 for pair in SAME_LAYER}})
#: One row a pair. ``row`` is its position in the list given; ``reason`` says why it cannot be used
#: (then ``matrices`` and ``layers`` are empty and ``loss`` may be null); ``seconds`` its share of
#: its batch's time on ``hardware``.
ROW_SCHEMA = pl.Schema(
    {
        "row": pl.Int64(),
        "loss": pl.Float64(),
        "tokens": pl.Int64(),
        "response_tokens": pl.Int64(),
        "truncated": pl.Boolean(),
        "reason": pl.String(),
        "seconds": pl.Float64(),
        "hardware": pl.String(),
        "matrices": pl.List(MATRIX),
        "layers": pl.List(LAYER),
    }
)


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far an extraction is: rows and tokens done, of how many."""

    rows: int
    tokens: int
    all_rows: int
    all_tokens: int


def with_keys(examples: pl.DataFrame, protocol: Protocol, fingerprint: str) -> pl.DataFrame:
    """Examples with ``key``, a hash of example, protocol, model fingerprint and extractor version.

    Equal pairs have equal keys wherever they occur: their gradient is taken once.
    """
    column = content_hash(protocol.key(), fingerprint, EXTRACTOR_VERSION)
    return examples.with_columns(
        pl.col("example_id")
        .map_elements(lambda example: content_hash(column, example), return_dtype=pl.String)
        .alias("key")
    )


def explode_matrices(rows: pl.LazyFrame) -> pl.LazyFrame:
    """One row a (pair, layer, projection): the usable rows of a ROW_SCHEMA frame, unnested.

    ``layers``, which has rows of its own (``explode_layers``), is left out.
    """
    usable = rows.filter(pl.col("reason").is_null()).drop("layers", strict=False)
    return usable.explode("matrices").unnest("matrices")


def explode_layers(rows: pl.LazyFrame) -> pl.LazyFrame:
    """One row a (pair, layer) with the cosines inside it: of the usable rows of such a frame.

    What names the pair stays (``row`` or ``key``), and nothing else.
    """
    names = pl.selectors.by_name("row", "key", "layers", require_all=False)
    usable = rows.filter(pl.col("reason").is_null()).select(names)
    return usable.explode("layers").unnest("layers")
