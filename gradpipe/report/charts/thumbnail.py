"""A thumbnail of the curves as Markdown, for Dagster's asset pages."""

import base64
from html import escape

import polars as pl

from gradpipe.report.chart_data import distinct, finite
from gradpipe.report.style import DEFAULT_STATISTIC, style_colors, style_label

_WIDTH, _HEIGHT, _GAP, _TOP = 150, 90, 14, 34
_MOST_POINTS = 64
_MOST_PANELS = 4


def curve_thumbnail(curves: pl.DataFrame) -> str:
    """The nuclear-norm curves of correct responses as a Markdown image (SVG in a data URI).

    ``curves`` has the columns of `ReportInputs.curves`; only the first model and benchmark are
    drawn. One panel per projection, four at most, each on its own scale from zero; under 20 kB.
    Returns a sentence if there is nothing to draw.
    """
    rows = curves.with_columns(finite("mean")).filter(
        pl.col("statistic") == DEFAULT_STATISTIC,
        pl.col("relevance") == "correct",
        pl.col("mean").is_not_null(),
    )
    if rows.is_empty():
        return "No usable rows: there is no curve to draw."
    model, benchmark = rows.select("model", "benchmark").sort("model", "benchmark").row(0)
    rows = rows.filter(pl.col("model") == model, pl.col("benchmark") == benchmark)
    panels = distinct(rows, "projection")[:_MOST_PANELS]
    rows = rows.filter(pl.col("projection").is_in(panels))
    title = f"nuclear norm by layer · {model} · {benchmark}"
    svg = base64.b64encode(_drawing(rows, title).encode()).decode()
    alternative = "".join(c if c.isalnum() or c in " ._-" else " " for c in title)
    return f"![{alternative}](data:image/svg+xml;base64,{svg})"


def _drawing(rows: pl.DataFrame, title: str) -> str:
    projections = distinct(rows, "projection")
    left = {name: 4 + i * (_WIDTH + _GAP) for i, name in enumerate(projections)}
    panels = "".join(
        f'<rect x="{x}" y="{_TOP}" width="{_WIDTH}" height="{_HEIGHT}" fill="#f5f6f8"/>'
        f'<text x="{x + 5}" y="{_TOP + 13}" font-weight="600">{escape(name)}</text>'
        for name, x in left.items()
    )
    colors = style_colors(distinct(rows, "style"))
    legend = "".join(
        f'<text x="{4 + 90 * i}" y="{_TOP + _HEIGHT + 18}" fill="{color}">'
        f"● {escape(style_label(style))}</text>"
        for i, (style, color) in enumerate(colors.items())
    )
    lines = "".join(_lines(rows, left).get_column("line"))
    width = 8 + len(projections) * (_WIDTH + _GAP) - _GAP
    shown = title if len(title) < 90 else title[:89] + "…"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{_TOP + _HEIGHT + 28}" '
        f'font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="#fff"/>'
        f'<text x="4" y="18" font-size="12">{escape(shown)}</text>{panels}{lines}{legend}</svg>'
    )


def _lines(rows: pl.DataFrame, left: dict[str, int]) -> pl.DataFrame:
    """One SVG polyline per projection × style, in the panels' coordinates."""
    layer, mean = pl.col("layer"), pl.col("mean")
    step = rows.get_column("layer").n_unique() // _MOST_POINTS + 1
    depth = (layer.max() - layer.min()).clip(lower_bound=1)
    x = pl.col("left") + 3 + (_WIDTH - 6) * (layer - layer.min()) / depth
    top = mean.max().over("projection")
    y = _TOP + _HEIGHT - 3 - (_HEIGHT - 22) * pl.when(top > 0).then(mean / top).otherwise(0.0)
    colors = style_colors(distinct(rows, "style"))
    return (
        rows.with_columns(
            pl.col("projection").replace_strict(left, return_dtype=pl.Int64).alias("left"),
            pl.col("style").replace_strict(colors, return_dtype=pl.String).alias("color"),
        )
        .with_columns(
            pl.concat_str(_whole(x), pl.lit(","), _whole(y)).alias("point"),
        )
        .filter((layer - layer.min()) % step == 0)
        .sort("projection", "style", "layer")
        .group_by("projection", "style", "color", maintain_order=True)
        .agg(pl.col("point").str.join(" "))
        .select(
            pl.format(
                '<polyline points="{}" fill="none" stroke="{}" stroke-width="1.5"/>',
                "point",
                "color",
            ).alias("line")
        )
    )


def _whole(value: pl.Expr) -> pl.Expr:
    return value.round(0).cast(pl.Int64).cast(pl.String)
