"""Tables of curves: MAD, RD, base and tuned models, knowledge, cosines."""

import polars as pl

from gradpipe.report.chart_data import IS_KNOWLEDGE, distinct, finite, in_reading_order
from gradpipe.report.report_data import ALIGNMENT_SCHEMA, ReportInputs
from gradpipe.report.style import SEGMENT_LABELS, style_label
from gradpipe.report.tables.table import ReportTable, projections_of, where, wide
from gradpipe.statistics.differences import MADS, SEGMENTS

CURVE = ["model", "benchmark", "style", "relevance"]


def mad_table(mad: pl.DataFrame) -> ReportTable:
    """MAD over all layers: one row per curve's labels (`CURVE`), one column per projection."""
    whole = mad.filter(pl.col("segment") == "all")
    values = [where("mad", projection=p).alias(p) for p in projections_of(mad)]
    caption = "MAD of each curve over all layers, by projection"
    return ReportTable("mad", caption, wide(whole, CURVE, values), heads=4, sections=2)


def mad_segment_table(mad: pl.DataFrame) -> ReportTable:
    """MAD within the early, middle and last layers: one column per segment and projection."""
    projections = projections_of(mad)
    segments = [segment for segment in SEGMENTS if segment != "all"]
    values = [
        where("mad", projection=p, segment=segment).alias(f"{segment}_{p}")
        for segment in segments
        for p in projections
    ]
    return ReportTable(
        "mad_segments",
        "MAD of each curve within the early, middle and last layers, by projection",
        wide(mad.filter(pl.col("segment") != "all"), CURVE, values),
        heads=4,
        groups=[(SEGMENT_LABELS[segment], len(projections)) for segment in segments],
        labels={f"{segment}_{p}": p for segment in segments for p in projections},
        sections=2,
    )


def scale_free_table(mad: pl.DataFrame) -> ReportTable:
    """Unevenness apart from size, of correct responses over all layers.

    Two columns per projection: MAD divided by the curve's mean, then the MAD of the log curve.
    `mad_in_full` has them for all curves.
    """
    of_correct = mad.filter(pl.col("segment") == "all", pl.col("relevance") == "correct")
    projections = projections_of(of_correct)
    measures = {"relative_mad": "MAD / mean", "log_mad": "MAD of the log curve"}
    shown = {f"{measure}_{p}": p for measure in measures for p in projections}
    values = [
        where(measure, projection=p).alias(f"{measure}_{p}")
        for measure in measures
        for p in projections
    ]
    return ReportTable(
        "mad_scale_free",
        "Unevenness of the correct responses’ curves apart from their size, over all layers, by "
        "projection: MAD divided by the curve’s mean, and the MAD of the log curve",
        wide(of_correct, CURVE[:3], values),
        heads=3,
        groups=[(label, len(projections)) for label in measures.values()],
        labels=shown,
        sections=2,
    )


def mad_in_full(mad: pl.DataFrame) -> pl.DataFrame:
    """One row per curve and segment, with all measures of unevenness."""
    keys = [*CURVE, "projection", "statistic"]
    segment = pl.col("segment").cast(pl.Enum(SEGMENTS))
    ordered = in_reading_order(mad.sort(segment), *keys)
    counts = [name for name in ("differences",) if name in ordered.columns]
    return ordered.select(*keys, "segment", *MADS, *counts)


def rd_table(rd: pl.DataFrame) -> ReportTable:
    """RD of irrelevant from correct responses by projection, and the layers where it is largest."""
    projections = projections_of(rd)
    values = [
        *(where("rd", projection=p).alias(p) for p in projections),
        *(where("largest_layers", projection=p).alias(f"largest_layers_{p}") for p in projections),
    ]
    width = len(projections)
    return ReportTable(
        "rd",
        "RD of the irrelevant curve from the correct one, and the layers where it is largest",
        wide(rd, CURVE[:3], values),
        heads=3,
        groups=[("RD", width), ("layers with the largest differences", width)],
        labels={f"largest_layers_{p}": p for p in projections},
        sections=2,
    )


def base_and_tuned_table(inputs: ReportInputs) -> ReportTable:
    """Tuned models beside their base models: MAD, and the ratio of irrelevant to correct.

    MAD is that of correct responses, over all layers. The ratio is the irrelevant curve's geometric
    mean over layers divided by that of the correct curve.
    """
    projections = projections_of(inputs.mad)
    values = _mad_and_ratio(inputs, projections)
    keys = ["benchmark", "style", "statistic"]
    frame = (
        inputs.twins.select("base", "tuned")
        .unique()
        .join(values, left_on="base", right_on="model")
        .join(values, left_on=["tuned", *keys], right_on=["model", *keys], suffix="_tuned")
    )
    shown = {
        f"{kind}_{p}{end}": p
        for kind in ("mad", "ratio")
        for end in ("", "_tuned")
        for p in projections
    }
    heads = ["base", "tuned", "benchmark", "style"]
    return ReportTable(
        "base_and_tuned",
        "Base models beside the models tuned from them: MAD of the correct responses, and the "
        "ratio of the irrelevant curve’s mean to that of the correct curve",
        in_reading_order(frame, "statistic", *heads).select(*heads, "statistic", *shown),
        heads=4,
        groups=[
            (f"{kind}, {which}", len(projections))
            for kind in ("MAD", "ratio")
            for which in ("base", "tuned")
        ],
        labels=shown,
        sections=2,
    )


def knowledge_table(mad: pl.DataFrame) -> ReportTable:
    """MAD over all layers of knowledge questions: one column per projection and answer length."""
    mad = mad.filter(IS_KNOWLEDGE, pl.col("segment") == "all")
    projections, lengths = projections_of(mad), distinct(mad, "style")
    values = [
        where("mad", projection=p, style=style).alias(f"{p}_{style}")
        for p in projections
        for style in lengths
    ]
    return ReportTable(
        "knowledge",
        "MAD of each curve over all layers for knowledge questions, by projection and length of "
        "the answer in tokens",
        wide(mad, ["model", "benchmark", "relevance"], values),
        heads=3,
        groups=[(p, len(lengths)) for p in projections] if lengths else [],
        labels={
            f"{p}_{style}": style_label(style).removesuffix(" tokens")
            for p in projections
            for style in lengths
        },
        sections=1,
    )


def cosine_table(alignment: pl.DataFrame) -> ReportTable:
    """Cosines as means over layers, with those of the least and the largest layer."""
    keys = [c for c in ALIGNMENT_SCHEMA if c not in ("family", "layer", "mean", "sd", "examples")]
    means = alignment.with_columns(finite("mean")).group_by(keys)
    frame = means.agg(
        pl.col("mean").mean(),
        pl.col("mean").min().alias("least"),
        pl.col("mean").max().alias("largest"),
        pl.len().cast(pl.Int64).alias("layers"),
        pl.col("examples").min(),
    )
    return ReportTable(
        "alignment",
        "Cosines between gradients, as means over layers",
        in_reading_order(frame, *keys),
        heads=len(keys),
        labels={"mean": "mean cosine", "least": "least layer", "largest": "largest layer"},
        sections=2,
    )


def _mad_and_ratio(inputs: ReportInputs, projections: list[str]) -> pl.DataFrame:
    """MAD and irrelevant / correct by projection, per model, benchmark, style and statistic."""
    keys = ["model", "benchmark", "style"]
    whole = inputs.mad.filter(pl.col("segment") == "all", pl.col("relevance") == "correct")
    mads = wide(whole, keys, [where("mad", projection=p).alias(f"mad_{p}") for p in projections])
    means = inputs.curves.with_columns(finite("mean"))
    of = {
        (relevance, p): pl.col("mean")
        .filter(pl.col("relevance") == relevance, pl.col("projection") == p)
        .log()
        .mean()
        .exp()
        for relevance in ("correct", "irrelevant")
        for p in projections
    }
    ratios = wide(
        means,
        keys,
        [(of["irrelevant", p] / of["correct", p]).alias(f"ratio_{p}") for p in projections],
    )
    return mads.join(ratios, on=[*keys, "statistic"], how="left")
