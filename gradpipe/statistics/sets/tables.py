"""Tables about sets of examples for reports: diversity by size, and consensus, with intervals."""

from collections.abc import Iterable
from typing import NamedTuple

import polars as pl

from gradpipe.statistics.sets.cosines import SET_COSINE_SCHEMA, set_cosines
from gradpipe.statistics.sets.example_sets import SET_COLUMNS
from gradpipe.statistics.t_intervals import with_intervals
from gradpipe.statistics.table import conform_to_schema

_LABELS = ("model", *SET_COLUMNS, "projection")
#: One row per set, projection and size. ``size`` is the number of examples per subset, or that of
#: the whole set, without an interval. ``sketch_bias`` is a share of the diversity, subtracted
#: already; for the shares see ``diversity_by_size``.
SET_DIVERSITY_SCHEMA = pl.Schema(
    {
        **dict.fromkeys(_LABELS, pl.String()),
        "examples": pl.Int64(),
        "size": pl.Int64(),
        **dict.fromkeys(("diversity", "diversity_low", "diversity_high"), pl.Float64()),
        "sketch_bias": pl.Float64(),
        **dict.fromkeys(("top1_share", "top4_share", "top16_share"), pl.Float64()),
    }
)
_MEASURES = ("mean_cosine", "mean_share")
#: One row per set and projection; the measures are explained in ``set_consensus``.
SET_CONSENSUS_SCHEMA = pl.Schema(
    {
        **dict.fromkeys(_LABELS, pl.String()),
        "examples": pl.Int64(),
        **{f"{name}{end}": pl.Float64() for name in _MEASURES for end in ("", "_low", "_high")},
        "sketch_error": pl.Float64(),
    }
)


def set_diversity(sets: pl.DataFrame) -> pl.DataFrame:
    """The diversity of each set by size, with 95 % intervals (SET_DIVERSITY_SCHEMA).

    ``sets`` has EXAMPLE_SET_SCHEMA.
    """
    sizes = (
        sets.select(*_LABELS, "examples", "sizes")
        .filter(pl.col("sizes").list.len() > 0)
        .explode("sizes")
        .unnest("sizes")
    )
    ended = with_intervals(
        sizes.rename({"error": "ln_diversity_error"}), ["ln_diversity"], pl.col("examples") - 1
    )
    bias = pl.col("sketch_bias").exp() - 1
    return conform_to_schema(
        ended.with_columns(
            pl.col(f"ln_diversity{end}").exp().alias(f"diversity{end}")
            for end in ("", "_low", "_high")
        ).with_columns(sketch_bias=bias),
        SET_DIVERSITY_SCHEMA,
    )


def set_agreement(sets: pl.DataFrame) -> pl.DataFrame:
    """How far each set's gradients agree, with 95 % intervals (SET_CONSENSUS_SCHEMA).

    ``sets`` has EXAMPLE_SET_SCHEMA. The mean share is null if the interval of the mean cosine holds
    0: then there is no mean direction.
    """
    ended = with_intervals(sets.drop("sizes", "sums"), _MEASURES, pl.col("examples") - 1)
    has_direction = pl.col("mean_cosine_low") > 0
    shares = [f"mean_share{end}" for end in ("", "_low", "_high")]
    return conform_to_schema(
        ended.with_columns(
            pl.when(has_direction).then(pl.col(name)).alias(name) for name in shares
        ),
        SET_CONSENSUS_SCHEMA,
    )


class SetTables(NamedTuple):
    """What a report says about sets of examples."""

    diversity: pl.DataFrame
    consensus: pl.DataFrame
    cosines: pl.DataFrame


def set_tables(models: Iterable[pl.DataFrame]) -> SetTables:
    """The tables of a report, from the sets (EXAMPLE_SET_SCHEMA) of each model.

    One model's sums are in memory at a time.
    """
    parts = [
        SetTables(set_diversity(sets), set_agreement(sets), set_cosines(sets)) for sets in models
    ]
    return SetTables(
        pl.concat([SET_DIVERSITY_SCHEMA.to_frame(), *(part.diversity for part in parts)]),
        pl.concat([SET_CONSENSUS_SCHEMA.to_frame(), *(part.consensus for part in parts)]),
        pl.concat([SET_COSINE_SCHEMA.to_frame(), *(part.cosines for part in parts)]),
    )
