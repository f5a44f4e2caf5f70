"""The tables of spans: parts of responses measured apart, compared, and along a chain of steps."""

import polars as pl

from gradpipe.report.style import style_label
from gradpipe.report.tables.table import ReportTable, projections_of, where, wide
from gradpipe.statistics.table import ALL_PROJECTIONS

_HEADS = ["model", "benchmark", "style", "relevance", "span"]
_ENDS = {"ratio": "ratio", "low": "from", "high": "to"}
_FIFTHS = [f"fifth_{number}" for number in range(1, 6)]


def spans_table(spans: pl.DataFrame) -> ReportTable:
    """Mean and MAD of each span's curve, by projection, with its tokens and its loss."""
    projections = projections_of(spans)
    kinds = {
        "mean": "mean over layers",
        "mad": "MAD",
        "own_mean": "mean over layers, own loss",
    }
    values = [where(k, projection=p).alias(f"{k}_{p}") for k in kinds for p in projections]
    counted = [pl.col(name).first() for name in ("examples", "usable", "tokens", "loss")]
    return ReportTable(
        "spans",
        "Spans of the responses: means over layers and MAD of their curves, by projection. A "
        "span’s gradient is its share of the response’s, or that of its own mean loss",
        wide(spans, _HEADS, [*counted, *values]),
        heads=5,
        groups=[("per span", 4), *((title, len(projections)) for title in kinds.values())],
        labels={f"{kind}_{p}": p for kind in kinds for p in projections},
        sections=2,
    )


def span_contrasts_table(contrasts: pl.DataFrame) -> ReportTable:
    """Ratios of spans within items, over all projections and by projection, beside the loss's."""
    keys = ["model", "benchmark", "span", "against", "chain"]
    named = contrasts.with_columns(
        span=_side("style", "relevance", "span"),
        against=_side("against_style", "against_relevance", "against_span"),
    )
    losses = named.filter(pl.col("statistic") == "loss").select(*keys, loss_ratio="ratio")
    gradients = named.filter(pl.col("statistic") != "loss")
    single = [p for p in projections_of(gradients) if p != ALL_PROJECTIONS]
    values = [
        *(where(end, projection=ALL_PROJECTIONS).alias(end) for end in _ENDS),
        *(where("ratio", projection=p).alias(f"ratio_{p}") for p in single),
    ]
    counted = [pl.col(name).first() for name in ("items", "tokens", "against_tokens")]
    frame = wide(gradients, keys, [*counted, *values]).join(
        losses, on=keys, how="left", maintain_order="left"
    )
    return ReportTable(
        "span_contrasts",
        "Spans compared within items, each by the gradient of its own mean loss: geometric mean "
        "of the ratio to the other span, with its 95 % interval",
        frame,
        heads=5,
        groups=[
            ("per contrast", 3),
            ("all projections", 3),
            ("ratio", len(single)),
            ("mean loss", 1),
        ],
        labels={
            "against_tokens": "tokens, other",
            "loss_ratio": "ratio",
            **_ENDS,
            **{f"ratio_{p}": p for p in single},
        },
        sections=2,
    )


def step_trends_table(trends: pl.DataFrame) -> ReportTable:
    """The last step over the first, without and with a control for the steps' lengths."""
    keys = ["model", "benchmark", "style", "relevance", "projection"]
    gradients = trends.filter(pl.col("statistic") != "loss")
    values = [
        where(end, control=control).alias(f"{end}_{control}")
        for control in ("none", "length")
        for end in _ENDS
    ]
    counted = [pl.col(name).first() for name in ("items", "steps", *_FIFTHS)]
    return ReportTable(
        "step_trends",
        "Steps along a chain: the last step over the first by regression, with its 95 % interval, "
        "and the curve over five parts of the chain, relative to the response’s own mean",
        wide(gradients, keys, [*counted, *values]),
        heads=5,
        groups=[
            ("per response", 2),
            ("part of the chain", len(_FIFTHS)),
            ("last step over first", len(_ENDS)),
            ("at equal length", len(_ENDS)),
        ],
        labels={
            **{name: str(number) for number, name in enumerate(_FIFTHS, 1)},
            **{f"{end}_{c}": label for c in ("none", "length") for end, label in _ENDS.items()},
        },
        sections=2,
    )


def span_report_tables(
    spans: pl.DataFrame, contrasts: pl.DataFrame, trends: pl.DataFrame
) -> list[ReportTable]:
    """The tables of spans that have rows."""
    tables = ((spans, spans_table), (contrasts, span_contrasts_table), (trends, step_trends_table))
    return [make(frame) for frame, make in tables if not frame.is_empty()]


def _side(style: str, relevance: str, span: str) -> pl.Expr:
    """A side of a contrast, for example "final_answer, detailed (wrong)"."""
    label = pl.col(style).map_elements(style_label, return_dtype=pl.String)
    kind = (
        pl.when(pl.col(relevance) == "correct")
        .then(pl.lit(""))
        .otherwise(pl.format(" ({})", pl.col(relevance)))
    )
    return pl.format("{}, {}{}", pl.col(span), label, kind)
