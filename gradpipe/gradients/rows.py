"""The rows of an extraction: their schema, their keys and their nested tables."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from gradpipe.gradients.protocol import Protocol
from gradpipe.gradients.spectra.comparisons import SAME_LAYER
from gradpipe.system.hashing import content_hash

#: Part of every row's key: a change recomputes every gradient. Raise it when numbers change, or
#: when old rows without new numbers would be wrong; columns that may be null need no new version.
#: Version 2 added the cosines and the sketches.
EXTRACTOR_VERSION = "2"

#: One row per expert that a token of the text reached: how many did, and its block of the gradient.
#: ``effective_rank`` is null if the block is zero.
EXPERT = pl.Struct(
    {
        "expert": pl.Int64,
        "tokens": pl.Int64,
        "frobenius_norm": pl.Float64,
        "nuclear_norm": pl.Float64,
        "effective_rank": pl.Float64,
    }
)
#: One row per attention head: the rows of its part of Q, K or V, or the columns of its part of O.
HEAD = pl.Struct(
    {"head": pl.Int64, "frobenius_norm": pl.Float64, "singular_values": pl.List(pl.Float32)}
)
#: One row per gradient. ``next_layer_cosine`` is the cosine with the same projection of the layer
#: above, null for the last layer. ``sketch`` comes from ``sketches.kept_sketch``: cosines of
#: sketches approximate cosines of gradients. Both are null if the gradient is zero. G is the sum of
#: one term gₜ per token position (see ``spectrum.TokenSizes``): ``token_norms`` is Σ‖gₜ‖ and
#: ``token_energy`` Σ‖gₜ‖², both null in rows of earlier versions. ``layer_type`` is that of the
#: layer's attention if the model mixes several (see ``models.layer_types``), or else null. The
#: gradient of a mixture's experts is that of all of them, block-diagonal; ``experts`` has the
#: blocks and is null elsewhere. ``heads`` is null unless the protocol asks for them.
MATRIX = pl.Struct(
    {
        "layer": pl.Int64,
        "projection": pl.String,
        "frobenius_norm": pl.Float64,
        "singular_values": pl.List(pl.Float32),
        "next_layer_cosine": pl.Float32,
        "sketch": pl.List(pl.Float16),
        "token_norms": pl.Float64,
        "token_energy": pl.Float64,
        "layer_type": pl.String,
        "experts": pl.List(EXPERT),
        "heads": pl.List(HEAD),
    }
)
#: One row per layer with its cosines (see ``comparisons.SAME_LAYER``). A cosine is null if a
#: gradient is zero or missing, or if the two gradients differ in their number of entries.
LAYER = pl.Struct({"layer": pl.Int64, **{f"{pair}_cosine": pl.Float32 for pair in SAME_LAYER}})
#: One row per span of a response: its number of ``tokens``, their mean ``loss``, and the gradients
#: of its share of the response's loss, which sum to the response's own. No ``matrices``: one of
#: them is not finite, although the response's are.
SPAN = pl.Struct(
    {
        "name": pl.String,
        "tokens": pl.Int64,
        "loss": pl.Float64,
        "matrices": pl.List(
            pl.Struct(
                {
                    "layer": pl.Int64,
                    "projection": pl.String,
                    "frobenius_norm": pl.Float64,
                    "singular_values": pl.List(pl.Float32),
                    "token_norms": pl.Float64,
                    "token_energy": pl.Float64,
                    "layer_type": pl.String,
                }
            )
        ),
    }
)
#: A projection that a layer does not have.
GAP = pl.Struct({"layer": pl.Int64, "projection": pl.String})
#: One row per pair. ``row`` is its position in the input. ``reason`` says why the row is unusable;
#: ``matrices``, ``layers`` and ``spans`` are then empty and ``loss`` may be null. ``seconds`` is
#: its share of its batch's time on ``hardware``. ``gaps`` are the requested projections that some
#: layers of the model do not have. ``token_losses`` has the cross-entropy in nats of each token
#: that carries loss, in their order; their mean is ``loss``. Both are null in unusable rows.
#: ``spans``, ``gaps`` and ``token_losses`` are null in rows of earlier versions.
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
        "spans": pl.List(SPAN),
        "gaps": pl.List(GAP),
        "token_losses": pl.List(pl.Float32),
    }
)
#: Columns of ROW_SCHEMA with an entry per gradient or token: too large for tables of examples.
NESTED = ("matrices", "layers", "spans", "token_losses")


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Progress of an extraction: finished rows and tokens, and their totals."""

    rows: int
    tokens: int
    all_rows: int
    all_tokens: int


def with_keys(examples: pl.DataFrame, protocol: Protocol, model: str) -> pl.DataFrame:
    """Add ``key``, a hash of example, protocol, model and extractor version.

    ``model`` is the result of ``row_identity``: for most models, the fingerprint. Equal pairs have
    equal keys wherever they occur, so their gradient is computed once.
    """
    constants = content_hash(protocol.key(), model, EXTRACTOR_VERSION)
    return examples.with_columns(
        pl.col("example_id")
        .map_elements(lambda example: content_hash(constants, example), return_dtype=pl.String)
        .alias("key")
    )


def explode_matrices(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Return one row per pair, layer and projection, from the usable rows of a ROW_SCHEMA frame.

    Drops the other lists: ``layers`` and ``spans`` (see ``explode_layers`` and ``explode_spans``)
    and ``token_losses``.
    """
    usable = rows.filter(pl.col("reason").is_null()).drop(
        "layers", "spans", "token_losses", strict=False
    )
    return usable.explode("matrices").unnest("matrices")


def explode_layers(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Return one row per pair and layer with its cosines, from the usable rows of such a frame.

    Keeps the pair's ``row`` or ``key`` and drops the other columns.
    """
    names = pl.selectors.by_name("row", "key", "layers", require_all=False)
    usable = rows.filter(pl.col("reason").is_null()).select(names)
    return usable.explode("layers").unnest("layers")


def explode_spans(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Return one row per pair, span, layer and projection, from the usable rows of such a frame.

    ``span`` is the span's name; ``loss`` and ``response_tokens`` are its own, and so are the
    gradient's columns.
    """
    usable = rows.filter(pl.col("reason").is_null() & (pl.col("spans").list.len() > 0))
    each = usable.drop("matrices", "layers", "token_losses", strict=False).explode("spans")
    span = pl.col("spans").struct.field
    own = each.with_columns(
        span("name").alias("span"),
        span("loss"),
        span("tokens").alias("response_tokens"),
        span("matrices"),
    )
    return own.drop("spans").explode("matrices").drop_nulls("matrices").unnest("matrices")
