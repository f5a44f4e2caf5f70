"""MAD and RD: how uneven a curve is, with or without its size, and how far apart two are."""

import polars as pl

from gradpipe.benchmarks.samples import base_item
from gradpipe.errors import DataError
from gradpipe.statistics.curves import CURVE_LABELS

#: Layers in the early, middle and last segment of the paper's models, by depth.
PAPER_SEGMENTS = {26: (7, 13, 6), 28: (7, 14, 7), 32: (10, 10, 12), 42: (12, 18, 12)}
SEGMENTS = ("all", "early", "mid", "last")
LARGEST_LAYERS = 5
#: MAD, and the two measures of unevenness that do not depend on the curve's size.
MADS = ("mad", "relative_mad", "log_mad")

_CURVE = (*CURVE_LABELS, "statistic")


def segments(depth: int) -> tuple[int, int, int]:
    """The numbers of early, middle and last layers of a model with ``depth`` layers.

    The paper's own segments for its depths (26, 28, 32 and 42). For others about a quarter, a half
    and a quarter, as the paper does for 26 and 28.
    """
    if depth in PAPER_SEGMENTS:
        return PAPER_SEGMENTS[depth]
    early, last = -(-depth // 4), depth // 4
    return early, depth - early - last, last


def mad(curves: pl.DataFrame) -> pl.DataFrame:
    """Compute the mean absolute difference (MAD) of adjacent layers of each curve.

    MAD = 1/(N−1) Σ |s(i+1) − s(i)| over the N layers of a curve s: how uneven a statistic is from
    layer to layer. Take it of a mean curve, not of single examples: the order matters. A curve
    twice as large has twice the MAD. Layers without a projection are gaps: adjacent are consecutive
    layers of the curve. In a model that mixes types of layers, each type has curves of its own. Two
    more columns do not depend on a curve's size: MAD divided by the mean over the same layers, and
    the MAD of log s.

    Args:
        curves: Curves as ``gp.curves`` returns them.

    Returns:
        One row per curve and ``segment`` of its layers ("all", "early", "mid", "last"): the
        columns that identify the curve, ``segment``, ``mad`` (in the statistic's unit),
        ``relative_mad`` (``mad`` / mean; 0.1 is 10 %), ``log_mad`` and ``differences``, the number
        of differences that MAD averages. The measures are null if the segment has fewer than two
        layers, ``relative_mad`` unless the mean is positive, and ``log_mad``
        unless every value is.

    Raises:
        DataError: ``curves`` is another kind of table.

    Examples:
        >>> pairs = [("Add 2 and 2.", "4"), ("Name a color.", "Blue, or a shade of it.")]
        >>> curves = gp.curves(gp.extract_spectra(model, tokenizer, pairs), ["nuclear_norm"])
        >>> mads = gp.mad(curves)
        >>> mads.filter(projection="q")["segment"].to_list()
        ['all', 'early', 'mid', 'last']
        >>> s = curves.filter(projection="q")["mean"]
        >>> by_hand = (abs(s[1] - s[0]) + abs(s[2] - s[1])) / 2
        >>> abs(mads.filter(projection="q", segment="all")["mad"].item() - by_hand) < 1e-9
        True
    """
    _require_curves(curves)
    position = pl.col("layer").rank("dense").over("model").cast(pl.Int64) - 1
    located = curves.join(_bounds(curves), on="model").with_columns(position.alias("position"))
    inside = {
        segment: (pl.col("position") >= pl.col(f"{segment}_from"))
        & (pl.col("position") < pl.col(f"{segment}_to"))
        for segment in SEGMENTS
    }
    parts = [
        located.sort(*_CURVE, "layer")
        .group_by(_CURVE, maintain_order=True)
        .agg(_mads(pl.col("mean").filter(inside[segment])))
        .with_columns(pl.lit(segment).alias("segment"))
        for segment in SEGMENTS
    ]
    order = pl.col("segment").cast(pl.Enum(SEGMENTS))
    return pl.concat(parts).sort(*_CURVE, order).select(*_CURVE, "segment", *MADS, "differences")


def _mads(curve: pl.Expr) -> list[pl.Expr]:
    """MADS of one curve, whose layers are sorted."""
    mad = curve.diff().abs().mean()
    return [
        mad.alias("mad"),
        pl.when(curve.mean() > 0).then(mad / curve.mean()).alias("relative_mad"),
        pl.when((curve > 0).all()).then(curve.log().diff().abs().mean()).alias("log_mad"),
        curve.diff().count().cast(pl.Int64).alias("differences"),
    ]


def _bounds(curves: pl.DataFrame) -> pl.DataFrame:
    """The first position of each segment of each model, and the position after its last."""
    depths = curves.group_by("model").agg(pl.col("layer").n_unique().alias("depth")).sort("model")

    def bounds(model: str, depth: int) -> dict[str, object]:
        early, mid, _ = segments(depth)
        edges = {
            "all": (0, depth),
            "early": (0, early),
            "mid": (early, early + mid),
            "last": (early + mid, depth),
        }
        return {"model": model} | {
            f"{segment}_{end}": edge
            for segment, pair in edges.items()
            for end, edge in zip(("from", "to"), pair, strict=True)
        }

    columns = [f"{segment}_{end}" for segment in SEGMENTS for end in ("from", "to")]
    return pl.DataFrame(
        [bounds(*row) for row in depths.iter_rows()],
        schema={"model": pl.String} | dict.fromkeys(columns, pl.Int64),
    )


def relative_difference(
    curves: pl.DataFrame,
    *,
    column: str = "relevance",
    reference: str = "correct",
    other: str = "irrelevant",
) -> pl.DataFrame:
    """Compute the relative difference (RD) of pairs of curves.

    RD = mean over layers of |s1 − s2| / |s1|, where s1 is the ``reference`` curve and s2 the
    ``other`` one. By default s1 is the curve of correct and s2 that of irrelevant responses, as in
    the paper.

    Args:
        curves: Curves as ``gp.curves`` returns them.
        column: The column in which the two curves of a pair differ, for example "relevance",
            "style" or "model". They agree in all others, and are compared at the layers they share.
        reference: The value of ``column`` of s1.
        other: The value of ``column`` of s2.

    Returns:
        One row per pair: the columns that identify a curve except ``column``; ``rd`` (a ratio: 0.1
        is 10 %), null if s1 is zero at some layer; and ``largest_layers``, up to five layers with
        the largest |s1 − s2| / |s1|, largest first. A curve without a counterpart has no row.

    Raises:
        DataError: ``curves`` is another kind of table, or has no such ``column``.

    Examples:
        >>> pairs = [("Add 2 and 2.", "4"), ("Add 2 and 2.", "Blue.")]
        >>> relevance = pl.when(pl.col("example") == 0).then(pl.lit("correct"))
        >>> spectra = gp.extract_spectra(model, tokenizer, pairs).with_columns(
        ...     relevance=relevance.otherwise(pl.lit("irrelevant"))
        ... )
        >>> rds = gp.relative_difference(gp.curves(spectra, ["nuclear_norm"]))
        >>> rds["projection"].to_list()
        ['k', 'o', 'q', 'v']
        >>> rds["rd"].min() > 0
        True
    """
    _require_curves(curves)
    if column not in _CURVE:
        raise DataError(
            f"Curves have no label column {column!r}: choose one of {', '.join(_CURVE)}."
        )
    keys = [name for name in _CURVE if name != column]
    first, second = (
        curves.filter(pl.col(column) == value).select(*keys, "layer", pl.col("mean").alias(name))
        for name, value in (("s1", reference), ("s2", other))
    )
    relative = ((pl.col("s1") - pl.col("s2")) / pl.col("s1")).abs()
    difference = pl.col("difference")
    return (
        first.join(second, on=[*keys, "layer"])
        .with_columns(pl.when(relative.is_finite()).then(relative).alias("difference"))
        .sort(*keys, "layer")
        .group_by(keys, maintain_order=True)
        .agg(
            pl.when(difference.is_not_null().all()).then(difference.mean()).alias("rd"),
            pl.col("layer")
            .sort_by("difference", "layer", descending=[True, False], nulls_last=True)
            .head(pl.min_horizontal(difference.count(), pl.lit(LARGEST_LAYERS)))
            .alias("largest_layers"),
        )
    )


def of_common_items(table: pl.LazyFrame) -> pl.LazyFrame:
    """The rows of a statistics table's correct and irrelevant responses of items with both.

    The difference of two curves then has no part that is due to different items.
    """
    both = table.filter(pl.col("relevance").is_in(["correct", "irrelevant"]))
    item = ["model", "benchmark", "style", base_item()]
    return both.filter(pl.col("relevance").n_unique().over(item) == 2)


def _require_curves(curves: pl.DataFrame) -> None:
    missing = [name for name in (*_CURVE, "layer", "mean") if name not in curves.columns]
    if missing:
        raise DataError(
            f"The table has no column {missing[0]!r}, only {', '.join(curves.columns)}: pass "
            "curves as gp.curves returns them."
        )
