"""Statistics of the spans of responses: thinking and answer, or steps, measured apart."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from gradpipe.gradients.rows import explode_spans
from gradpipe.statistics.curves import curves
from gradpipe.statistics.differences import mad
from gradpipe.statistics.reductions import reduce_spectra
from gradpipe.statistics.table import conform_to_schema

#: The labels of a kind of response.
SPAN_LABELS = ("model", "benchmark", "style", "relevance")
#: One row per span, projection and kind of response. ``examples`` have the span, of ``usable`` ones
#: of their kind. ``tokens`` and ``loss`` are means over them; ``mean`` is that of the curve over
#: layers, and ``mad`` is the curve's MAD. Gradients are shares of the response's: see
#: ``TokenRow.spans``. Those of ``own_mean`` and ``own_mad`` are of the span's own mean loss.
SPAN_SCHEMA = pl.Schema(
    {
        **dict.fromkeys(SPAN_LABELS, pl.String()),
        "span": pl.String(),
        "projection": pl.String(),
        "statistic": pl.String(),
        "examples": pl.Int64(),
        "usable": pl.Int64(),
        "tokens": pl.Float64(),
        "loss": pl.Float64(),
        "mean": pl.Float64(),
        "mad": pl.Float64(),
        "own_mean": pl.Float64(),
        "own_mad": pl.Float64(),
    }
)


def span_statistics(
    examples: pl.DataFrame, rows: pl.LazyFrame, statistics: Sequence[str]
) -> pl.DataFrame:
    """Return the curves of each span as means and MADs (SPAN_SCHEMA); no rows without spans.

    ``examples`` are the usable ones, with ``key``, ``item_id``, ``index``, ``family`` and the
    labels of the table; ``rows`` are their stored rows (ROW_SCHEMA with ``key``). A span's curve is
    over the examples that have it.
    """
    shares = span_matrices(examples, rows, statistics, own_loss=False)
    own = span_matrices(examples, rows, statistics, own_loss=True)
    parts = [
        _of_span(part, own.filter(span=name), str(name), statistics)
        for (name,), part in shares.partition_by("span", as_dict=True).items()
    ]
    found = pl.concat([SPAN_SCHEMA.to_frame(), *parts])
    usable = examples.group_by(SPAN_LABELS).agg(pl.len().cast(pl.Int64).alias("usable"))
    return found.drop("usable").join(usable, on=SPAN_LABELS, how="left").select(list(SPAN_SCHEMA))


def span_matrices(
    examples: pl.DataFrame, rows: pl.LazyFrame, statistics: Sequence[str], *, own_loss: bool
) -> pl.DataFrame:
    """The statistics of each span's gradients: one row per example, span, layer and projection.

    ``response_tokens`` and ``loss`` are the span's. A stored gradient is the span's share of the
    response's, whose loss is a mean over all N tokens. With ``own_loss`` it is multiplied by N / n,
    so that it is the gradient of the mean loss over the span's own n tokens.
    """
    spectra = explode_spans(rows.with_columns(whole_tokens=pl.col("response_tokens")))
    if own_loss:
        scale = pl.col("whole_tokens") / pl.col("response_tokens")
        values = pl.col("singular_values").cast(pl.List(pl.Float64))
        spectra = spectra.with_columns(values * scale, pl.col("frobenius_norm") * scale)
    matrices = reduce_spectra(spectra, statistics).drop("singular_values", "whole_tokens")
    return examples.select("key", "item_id", "index", "family", *SPAN_LABELS).join(
        matrices.collect().drop("reason", strict=False), on="key"
    )


def _of_span(
    shares: pl.DataFrame, own: pl.DataFrame, name: str, statistics: Sequence[str]
) -> pl.DataFrame:
    """The rows of one span, from its matrices as shares and as those of its own loss."""
    keys = [*SPAN_LABELS, "projection", "statistic"]
    counts = (
        shares.unique("key")
        .group_by(SPAN_LABELS)
        .agg(pl.col("response_tokens").mean().alias("tokens"), pl.col("loss").mean())
    )
    of_own_loss = _summary(own, statistics).select(
        *keys, pl.col("mean").alias("own_mean"), pl.col("mad").alias("own_mad")
    )
    table = (
        _summary(shares, statistics)
        .join(of_own_loss, on=keys)
        .join(counts, on=SPAN_LABELS)
        .with_columns(span=pl.lit(name))
    )
    return conform_to_schema(table, SPAN_SCHEMA)


def _summary(matrices: pl.DataFrame, statistics: Sequence[str]) -> pl.DataFrame:
    """The mean over layers and the MAD of each curve."""
    keys = [*SPAN_LABELS, "projection", "statistic"]
    curve_table = curves(matrices.drop("span"), statistics)
    means = curve_table.group_by(keys, maintain_order=True).agg(
        pl.col("mean").mean(), pl.col("examples").max()
    )
    mads = mad(curve_table).filter(pl.col("segment") == "all").select(*keys, "mad")
    return means.join(mads, on=keys)
