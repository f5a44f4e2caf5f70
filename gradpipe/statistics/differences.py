"""MAD and RD: how uneven a curve is, and how far apart two curves are."""

import polars as pl

#: Layers in the early, mid and last segment, as the paper cuts its models.
PAPER_SEGMENTS = {26: (7, 13, 6), 28: (7, 14, 7), 32: (10, 10, 12), 42: (12, 18, 12)}
SEGMENTS = ("all", "early", "mid", "last")
LARGEST_LAYERS = 5

_CURVE = ("model", "benchmark", "family", "style", "relevance", "projection", "statistic")


def segments(depth: int) -> tuple[int, int, int]:
    """How many layers are early, mid and last, for any depth.

    The paper's own cut where it has one; else about a quarter, a half and a quarter, which is its
    cut at 26 and 28 layers.
    """
    if depth in PAPER_SEGMENTS:
        return PAPER_SEGMENTS[depth]
    early, last = -(-depth // 4), depth // 4
    return early, depth - early - last, last


def mad(curves: pl.DataFrame) -> pl.DataFrame:
    """MAD = 1/(N−1) Σ |s(i+1) − s(i)| of every curve, whole and inside each segment.

    ``curves`` as from ``curves()``. Returns one row a curve and segment (``all``, ``early``,
    ``mid``, ``last``) with ``mad``, null where a segment has fewer than two layers.
    """
    place = pl.col("layer").rank("dense").over("model").cast(pl.Int64) - 1
    located = curves.join(_bounds(curves), on="model").with_columns(place.alias("place"))
    inside = {
        segment: (pl.col("place") >= pl.col(f"{segment}_from"))
        & (pl.col("place") < pl.col(f"{segment}_to"))
        for segment in SEGMENTS
    }
    parts = [
        located.sort(*_CURVE, "layer")
        .group_by(_CURVE, maintain_order=True)
        .agg(pl.col("mean").filter(inside[segment]).diff().abs().mean().alias("mad"))
        .with_columns(pl.lit(segment).alias("segment"))
        for segment in SEGMENTS
    ]
    order = pl.col("segment").cast(pl.Enum(SEGMENTS))
    return pl.concat(parts).sort(*_CURVE, order).select(*_CURVE, "segment", "mad")


def _bounds(curves: pl.DataFrame) -> pl.DataFrame:
    """Each model's first and last place of each segment."""
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


def rd(curves: pl.DataFrame) -> pl.DataFrame:
    """RD = mean over layers of |s1 − s2| / |s1|, correct as s1 and irrelevant as s2.

    Returns one row a pair of curves with ``rd`` and ``largest_layers``, the five layers where the
    relative difference is largest, largest first. Styles without both relevances have no row. Where
    the correct curve is zero, that layer is not among the largest and the whole RD is null.
    """
    keys = [name for name in _CURVE if name != "relevance"]
    correct, irrelevant = (
        curves.filter(relevance=relevance).select(*keys, "layer", pl.col("mean").alias(relevance))
        for relevance in ("correct", "irrelevant")
    )
    relative = ((pl.col("correct") - pl.col("irrelevant")) / pl.col("correct")).abs()
    difference = pl.col("difference")
    return (
        correct.join(irrelevant, on=[*keys, "layer"])
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
