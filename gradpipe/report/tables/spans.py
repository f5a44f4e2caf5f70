"""The table of spans: thinking and answer, or steps, measured apart."""

import polars as pl

from gradpipe.report.tables.table import ReportTable, projections_of, where, wide

_HEADS = ["model", "benchmark", "style", "relevance", "span"]


def spans_table(spans: pl.DataFrame) -> ReportTable:
    """Mean and MAD of each span's curve, by projection, with its tokens and its loss."""
    projections = projections_of(spans)
    kinds = ("mean", "mad")
    values = [where(k, projection=p).alias(f"{k}_{p}") for k in kinds for p in projections]
    counted = [pl.col(name).first() for name in ("examples", "tokens", "loss")]
    return ReportTable(
        "spans",
        "Spans of the responses: means over layers and MAD of their curves, by projection. A "
        "span’s gradient is its share of the response’s",
        wide(spans, _HEADS, [*counted, *values]),
        heads=5,
        groups=[
            ("per span", 3),
            ("mean over layers", len(projections)),
            ("MAD", len(projections)),
        ],
        labels={f"{kind}_{p}": p for kind in kinds for p in projections},
        sections=2,
    )
