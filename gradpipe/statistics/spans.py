"""Statistics of the spans of responses: thinking and answer, or steps, measured apart."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from gradpipe.gradients.rows import explode_spans
from gradpipe.statistics.curves import curves
from gradpipe.statistics.differences import mad
from gradpipe.statistics.reductions import reduce_spectra
from gradpipe.statistics.table import conform_to_schema

_LABELS = ("model", "benchmark", "style", "relevance")
#: One row per span, projection and kind of response. ``tokens`` and ``loss`` are means over the
#: span's examples; ``mean`` is that of the curve over layers, and ``mad`` is the curve's MAD.
#: Gradients are shares of the response's: see ``TokenRow.spans``.
SPAN_SCHEMA = pl.Schema(
    {
        **dict.fromkeys(_LABELS, pl.String()),
        "span": pl.String(),
        "projection": pl.String(),
        "statistic": pl.String(),
        "examples": pl.Int64(),
        "tokens": pl.Float64(),
        "loss": pl.Float64(),
        "mean": pl.Float64(),
        "mad": pl.Float64(),
    }
)


def span_statistics(
    examples: pl.DataFrame, rows: pl.LazyFrame, statistics: Sequence[str]
) -> pl.DataFrame:
    """Return the curves of each span as means and MADs (SPAN_SCHEMA); no rows without spans.

    ``examples`` has ``key``, ``item_id``, ``index``, ``family`` and the labels of the table;
    ``rows`` are the stored rows (ROW_SCHEMA with ``key``) of these examples. A span's curve is over
    the examples that have it.
    """
    matrices = reduce_spectra(explode_spans(rows), statistics).collect()
    labeled = examples.select("key", "item_id", "index", "family", *_LABELS).join(
        matrices.drop("reason", strict=False), on="key"
    )
    parts = [
        _of_span(part.drop("span"), str(name), statistics)
        for (name,), part in labeled.partition_by("span", as_dict=True).items()
    ]
    empty = SPAN_SCHEMA.to_frame()
    return pl.concat([empty, *(conform_to_schema(part, SPAN_SCHEMA) for part in parts)])


def _of_span(matrices: pl.DataFrame, name: str, statistics: Sequence[str]) -> pl.DataFrame:
    """The rows of one span."""
    curve_table = curves(matrices, statistics)
    keys = [*_LABELS, "projection", "statistic"]
    means = curve_table.group_by(keys, maintain_order=True).agg(
        pl.col("mean").mean(), pl.col("examples").max()
    )
    mads = mad(curve_table).filter(pl.col("segment") == "all").select(*keys, "mad")
    counts = (
        matrices.unique("key")
        .group_by(_LABELS)
        .agg(pl.col("response_tokens").mean().alias("tokens"), pl.col("loss").mean())
    )
    return (
        means.join(mads, on=keys).join(counts, on=_LABELS).with_columns(pl.lit(name).alias("span"))
    )
