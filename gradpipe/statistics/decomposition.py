"""Why one style's gradient is larger than another's: larger tokens, or tokens that add up.

G is the sum of one term gₜ = dₜxₜᵀ per token position (see ``spectrum.TokenSizes``), so its norm is
a product of two factors, and the second of another two:

    ‖G‖ = size · alignment        size = Σ‖gₜ‖, alignment = ‖Σ gₜ‖ / Σ‖gₜ‖
    alignment = spread · coherence    spread = √Σ‖gₜ‖² / Σ‖gₜ‖, coherence = ‖Σ gₜ‖ / √Σ‖gₜ‖²

The loss is a mean over response tokens, and so is the size: the norms of all positions, per
response token. The spread is 1/√n for n equal tokens. The coherence is 1 if tokens are orthogonal,
more if they add up and less if they cancel. Logarithms of the factors add up exactly, per example,
in means over examples and layers, and in differences of such means.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import polars as pl

from gradpipe.statistics.reductions import TOKEN_STATISTICS
from gradpipe.statistics.sample_means import mean_of_samples
from gradpipe.statistics.t_intervals import t_quantiles
from gradpipe.statistics.table import StatisticsFrame, with_labels
from gradpipe.styles import (
    KNOWLEDGE_STYLES,
    MATCHED_STYLES,
    REASONING_STYLES,
    THINKING_STYLES,
    own_style_pairs,
)

#: The norm, and the factors that it is a product of.
FACTORS = ("norm", "size", "alignment", "spread", "coherence")
_CELL = ("model", "benchmark", "family", "projection")
_ENDS = ("", "_low", "_high")
#: One row per pair of styles, projection and layer; ``layer`` is null for the geometric mean over
#: layers. Each of FACTORS is a ratio of ``style`` to ``against`` with its 95 % interval.
DECOMPOSITION_SCHEMA = pl.Schema(
    {
        **dict.fromkeys((*_CELL, "style", "against"), pl.String()),
        "layer": pl.Int64(),
        "items": pl.Int64(),
        **{f"{factor}{end}": pl.Float64() for factor in FACTORS for end in _ENDS},
    }
)
#: The pairs of styles that are compared, if both are there.
STYLE_PAIRS = [
    pair
    for styles in (REASONING_STYLES, THINKING_STYLES, KNOWLEDGE_STYLES)
    for pair in combinations(styles, 2)
] + [(MATCHED_STYLES[0], "simplified"), ("simplified", MATCHED_STYLES[1])]


def token_decomposition(table: StatisticsFrame, order: Sequence[str] = ()) -> pl.DataFrame:
    """Split the ratio of the gradient's norms of every two styles into its factors.

    ``table`` is a statistics table; only correct responses are compared, and only items with usable
    responses of both styles count. An example without all TOKEN_STATISTICS at some layer of a
    projection is excluded from that projection. Ratios are exp of mean differences of logarithms,
    so that norm = size · alignment and alignment = spread · coherence hold exactly. Intervals are
    those of Student's t over items, null for a single item.

    Other styles than the built-in ones are compared too, in the ``order`` of a study, by default
    by name. Returns a table of DECOMPOSITION_SCHEMA, sorted by its columns up to ``layer``, means
    first. It has no rows if ``table`` has no TOKEN_STATISTICS.
    """
    labeled = with_labels(table.lazy())
    if not set(TOKEN_STATISTICS) <= set(labeled.collect_schema().names()):
        return DECOMPOSITION_SCHEMA.to_frame()
    values = _log_factors(labeled)
    own = own_style_pairs(values["style"].unique(), order)
    parts = [_compared(values, *pair) for pair in (*STYLE_PAIRS, *own)]
    return pl.concat([DECOMPOSITION_SCHEMA.to_frame(), *parts]).sort(
        *_CELL, "style", "against", "layer"
    )


def _log_factors(table: pl.LazyFrame) -> pl.DataFrame:
    """The logarithms of FACTORS per item, layer and style, and their means over layers."""
    norms, alignment, tokens = (pl.col(name).log() for name in TOKEN_STATISTICS)
    item = [*_CELL, "style", "item_id"]
    logs = {
        "norm": norms + alignment,
        "size": norms,
        "alignment": alignment,
        "spread": -tokens / 2,
        "coherence": alignment + tokens / 2,
    }
    usable = pl.all_horizontal(pl.col(name).is_finite().fill_null(False) for name in FACTORS)
    of_layers = (
        table.filter(pl.col("relevance") == "correct")
        .select(*item, pl.col("layer").cast(pl.Int64), **logs)
        .filter(usable.all().over(item))
        .collect()
    )
    of_layers = mean_of_samples(of_layers, [*item, "layer"], list(logs))
    means = of_layers.group_by(item).agg(
        pl.lit(None, pl.Int64).alias("layer"), pl.col(FACTORS).mean()
    )
    return pl.concat([of_layers, means])


def _compared(values: pl.DataFrame, style: str, against: str) -> pl.DataFrame:
    """The ratios of two styles, of DECOMPOSITION_SCHEMA."""
    keys = [*_CELL, "layer"]
    first, second = (
        values.filter(pl.col("style") == name).drop("style") for name in (style, against)
    )
    both = first.join(second, on=[*keys, "item_id"], nulls_equal=True, suffix="_against")
    differences = [pl.col(name) - pl.col(f"{name}_against") for name in FACTORS]
    count = pl.len().cast(pl.Int64)
    summary = both.group_by(keys).agg(
        count.alias("items"),
        *(d.mean() for d in differences),
        *(d.std().alias(f"{d.meta.output_name()}_sd") for d in differences),
    )
    reach = pl.lit(pl.Series(t_quantiles(summary["items"] - 1))) / pl.col("items").sqrt()
    summary = summary.with_columns(reach=reach)
    ends = [
        (pl.col(factor) + sign * pl.col("reach") * pl.col(f"{factor}_sd")).exp().alias(factor + end)
        for factor in FACTORS
        for sign, end in ((-1, "_low"), (1, "_high"))
    ]
    return summary.select(
        *keys,
        "items",
        pl.lit(style).alias("style"),
        pl.lit(against).alias("against"),
        *(pl.col(factor).exp() for factor in FACTORS),
        *ends,
    ).select(list(DECOMPOSITION_SCHEMA))
