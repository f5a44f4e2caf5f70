"""Shaping results for charts: what is drawn of each row, and the page's compact copy of them."""

from typing import Any

import polars as pl

from gradpipe.report import look
from gradpipe.responses.styles import KNOWLEDGE_STYLES

IS_KNOWLEDGE = pl.col("style").is_in(list(KNOWLEDGE_STYLES))

#: Columns that tell one curve from another.
CURVE_KEYS = ("model", "benchmark", "style", "relevance", "projection", "statistic")

#: Below this part of the mean an error band is cut, so that it can be drawn on a logarithmic scale.
LEAST_BAND = 0.01


def finite(column: str) -> pl.Expr:
    """The column with anything that is not a finite number as null: neither drawn nor averaged."""
    value = pl.col(column).cast(pl.Float64)
    return pl.when(value.is_finite()).then(value).alias(column)


def with_errors(curves: pl.DataFrame) -> pl.DataFrame:
    """Curves with the standard error of each mean (``se``; null for fewer than two examples)."""
    error = finite("sd") / pl.col("examples").cast(pl.Float64).sqrt()
    return curves.with_columns(
        finite("mean"), pl.when(pl.col("examples") > 1).then(error).alias("se")
    )


def drawn_curves(curves: pl.DataFrame) -> pl.DataFrame:
    """Curves as `charts` draws them, with the band ``low`` to ``high`` round each mean."""
    mean, error = pl.col("mean"), pl.col("se").fill_null(0.0)
    return with_errors(curves).with_columns(
        pl.max_horizontal(mean - error, mean * LEAST_BAND).alias("low"),
        (mean + error).alias("high"),
    )


def labelled_style() -> pl.Expr:
    """The style as readers see it."""
    return pl.col("style").replace(look.STYLE_LABELS)


def distinct(frame: pl.DataFrame, column: str) -> list[str]:
    """The values of a column in the order they are shown."""
    return look.in_order(column, frame.get_column(column).drop_nulls().unique().to_list())


def in_reading_order(frame: pl.DataFrame, *columns: str) -> pl.DataFrame:
    """Rows sorted by columns, each in the order its values are shown (`look.ORDERS`)."""
    if frame.is_empty():
        return frame
    ranks = [
        pl.col(c).replace_strict(
            {value: rank for rank, value in enumerate(distinct(frame, c))},
            default=None,
            return_dtype=pl.Int64,
        )
        for c in columns
    ]
    return frame.sort(ranks, nulls_last=True, maintain_order=True)


def curve_series(curves: pl.DataFrame) -> dict[str, Any]:
    """Curves as one entry a curve, five significant digits: what the page ships, once."""
    rows = with_errors(curves).with_columns(pl.col("mean", "se").round_sig_figs(5))
    return _series(rows.sort("layer"), pl.col("layer", "mean", "se"), examples=True)


def mad_series(mad: pl.DataFrame) -> dict[str, Any]:
    """MADs as one entry a curve, five significant digits, its segments side by side."""
    rows = mad.with_columns(finite("mad").round_sig_figs(5))
    return _series(in_reading_order(rows, "segment"), pl.col("segment", "mad"), examples=False)


def _series(rows: pl.DataFrame, lists: pl.Expr, examples: bool) -> dict[str, Any]:
    """Columns of key codes (positions in ``values``) and of lists, an entry a curve."""
    rows = rows.filter(pl.all_horizontal(pl.col(CURVE_KEYS).is_not_null()))
    aggregates = [lists, *([pl.col("examples").min()] if examples else [])]
    entries = rows.group_by(CURVE_KEYS, maintain_order=True).agg(aggregates)
    entries = in_reading_order(entries, *CURVE_KEYS)
    values = {key: distinct(entries, key) for key in CURVE_KEYS}
    codes = [
        pl.col(key).replace_strict(
            {value: code for code, value in enumerate(values[key])}, return_dtype=pl.Int64
        )
        for key in CURVE_KEYS
    ]
    if entries.is_empty():
        codes = [pl.col(key).cast(pl.Int64, strict=False) for key in CURVE_KEYS]
    return {"values": values, "columns": entries.with_columns(codes).to_dict(as_series=False)}
