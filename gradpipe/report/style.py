"""The labels, colors and orders of results, the same in every chart, table and sentence."""

import math
from collections.abc import Iterable
from typing import Any

from gradpipe.report.style_sheet import assigned_colors, current_sheet
from gradpipe.statistics.differences import SEGMENTS
from gradpipe.styles import RELEVANCES, STYLES

DEFAULT_STATISTIC = "nuclear_norm"
PROJECTIONS = (
    *("q", "k", "v", "o", "gate", "up", "down", "cross_q", "cross_k", "cross_v", "cross_o"),
    *("q_a", "q_b", "kv_a", "kv_b", "router", "shared_gate", "shared_up", "shared_down"),
)

#: Okabe and Ito's palette for the reasoning styles: hues that color-blind readers can distinguish.
#: The lengths of a knowledge answer are an ordered quantity, so they darken along one hue.
STYLE_COLORS = {
    "none": "#D55E00",
    "simplified": "#E69F00",
    "detailed": "#0072B2",
    "none_padded": "#CC79A7",
    "detailed_cut": "#56B4E9",
    "answer_only": "#999933",
    "thinking": "#332288",
    "length_100": "#5DBE9E",
    "length_500": "#009E73",
    "length_1000": "#00543D",
    "article": "#8C4A78",
    "given": "#444444",
    "quality_low": "#D55E00",
    "quality_high": "#0072B2",
}
#: Colors of other styles, for color-blind readers too, in the order in which they are given.
OWN_STYLE_COLORS = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#332288", "#999933"),
    *("#882255", "#117733", "#A0522D", "#17A2A2"),
)
#: The relevances whose curves charts compare; rejected responses are in tables and claims.
DRAWN_RELEVANCES = ("correct", "irrelevant")

STYLE_LABELS = {
    "none": "none",
    "simplified": "simplified",
    "detailed": "detailed",
    "none_padded": "none, padded",
    "detailed_cut": "detailed, cut",
    "answer_only": "answer only",
    "thinking": "thinking",
    "length_100": "100 tokens",
    "length_500": "500 tokens",
    "length_1000": "1000 tokens",
    "article": "article",
    "given": "as given",
    "quality_low": "low quality",
    "quality_high": "high quality",
}
STATISTIC_LABELS = {
    "nuclear_norm": "nuclear norm",
    "spectral_norm": "spectral norm",
    "sigma1_ratio": "σ₁ ratio",
    "frobenius_norm": "Frobenius norm",
    "effective_rank": "effective rank",
    "stable_rank": "stable rank",
    "nuclear_norm_over_loss": "nuclear norm / loss",
    "nuclear_norm_summed_loss": "nuclear norm, summed loss",
    "top4_energy": "energy in the top 4 directions",
    "top16_energy": "energy in the top 16 directions",
    "tail_exponent": "power law of the tail: exponent",
    "tail_distance": "power law of the tail: misfit",
    "token_gradient_norm": "sum of the tokens’ gradient norms",
    "token_alignment": "alignment of the tokens’ gradients",
    "effective_tokens": "effective number of tokens",
}
#: Units of statistics that have one: the loss is in nats, and weights have no unit.
STATISTIC_UNITS = {
    **dict.fromkeys(("nuclear_norm", "spectral_norm", "frobenius_norm"), "nats"),
    **dict.fromkeys(("nuclear_norm_summed_loss", "token_gradient_norm"), "nats"),
    **dict.fromkeys(("effective_rank", "stable_rank"), "directions"),
    **dict.fromkeys(("sigma1_ratio", "top4_energy", "top16_energy"), "share"),
    "effective_tokens": "tokens",
}
SEGMENT_LABELS = {
    "all": "all layers",
    "early": "early layers",
    "mid": "middle layers",
    "last": "last layers",
}

#: Colors of benchmarks in one chart.
BENCHMARK_COLORS = ("#009E73", "#CC79A7", "#56B4E9", "#444444", "#B5A900", "#7B4FA3")

#: Colors of ratios of two styles, and of controls for length.
PAIR_COLORS = (
    *("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#7B4FA3", "#444444", "#B5A900", "#56B4E9"),
    *("#882255", "#117733", "#E69F00", "#332288", "#A0522D", "#17A2A2"),
)
CONTROL_COLORS = ("#1c2430", "#0072B2", "#009E73", "#CC79A7")
VERDICT_COLORS = {"supported": "#007A5A", "contradicted": "#C24A00", "undecided": "#6B7480"}
VERDICT_SHAPES = {"supported": "circle", "contradicted": "diamond", "undecided": "square"}
#: Verdicts of a comparison of two sides: A's curve is higher or lower than B's.
SIDE_COLORS = {"higher": "#D55E00", "lower": "#0072B2", "undecided": "#6B7480"}
#: AUROCs of 0, 0.5 (chance) and 1.
AUROC_COLORS = ("#0072B2", "#F4F4F2", "#D55E00")
#: From small to large values, readable on light and on dark paper.
HEAT_COLORS = ("#DCEBF7", "#5AA9D6", "#0B4F86", "#0A1F3D")
END_COLORS = {"largest": "#D55E00", "smallest": "#0072B2"}

#: Titles of panels that show a projection, or the cosine of two gradients.
PANEL_TITLES = {
    "q": "q · query",
    "k": "k · key",
    "v": "v · value",
    "o": "o · output",
    "q_o": "q with o",
    "q_ot": "q with oᵀ",
    "k_v": "k with v",
}
ALIGNMENT_LABELS = {
    "same_layer": "two projections of one layer",
    "next_layer": "a projection in adjacent layers",
}

#: Orders in which the values of a column are shown; other columns are sorted alphabetically.
_ORDERS: dict[str, tuple[str, ...]] = {
    "relevance": RELEVANCES,
    "projection": PROJECTIONS,
    "statistic": tuple(STATISTIC_LABELS),
    "segment": SEGMENTS,
    "pair": ("q_o", "q_ot", "k_v", *PROJECTIONS),
    "verdict": tuple(VERDICT_COLORS),
    "control": ("none", "summed_loss", "matched", "regression"),
    "end": tuple(END_COLORS),
}


def style_labels() -> dict[str, str]:
    """The labels of styles whose name is not their label, and of all built-in ones."""
    return {**STYLE_LABELS, **dict(current_sheet().labels)}


def style_label(style: str) -> str:
    """A style's label for readers: by default its name."""
    return style_labels().get(style, style)


def statistic_label(statistic: str) -> str:
    """A statistic's label for readers: by default its name without underscores."""
    return STATISTIC_LABELS.get(statistic, statistic.replace("_", " "))


def statistic_with_unit(statistic: str) -> str:
    """A statistic's label with its unit, as the title of an axis."""
    unit = STATISTIC_UNITS.get(statistic)
    label = statistic_label(statistic)
    return f"{label} ({unit})" if unit else label


def style_colors(styles: Iterable[str]) -> dict[str, str]:
    """A color per style, the same in every chart of a report."""
    names = list(styles)
    sheet = current_sheet()
    fixed = {**STYLE_COLORS, **dict(sheet.colors)}
    colors = assigned_colors((*sheet.order, *names), fixed, OWN_STYLE_COLORS)
    return {name: colors[name] for name in names}


def order_of(column: str) -> tuple[str, ...]:
    """The order in which a column's values are shown; empty for alphabetical order.

    A study's own styles come in its order, the others behind them.
    """
    if column == "style":
        return tuple(dict.fromkeys((*current_sheet().order, *STYLES)))
    return _ORDERS.get(column, ())


def orders() -> dict[str, tuple[str, ...]]:
    """``order_of`` every column that has one."""
    return {column: order_of(column) for column in ("style", *_ORDERS)}


def in_order(column: str, values: list[str]) -> list[str]:
    """The distinct values of a column as ``order_of`` says; the others follow, sorted."""
    order = order_of(column)
    present = set(values)
    return [v for v in order if v in present] + sorted(present.difference(order))


def number(value: float | int | None) -> str:
    """Format a number to three significant digits, without an exponent if that is readable.

    Integers (counts) have all their digits, with a thin space between thousands. None, NaN and
    infinity are "–".
    """
    if value is None:
        return "–"
    if isinstance(value, int):
        return f"{value:,}".replace(",", "\u202f")
    if not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    # 999.7 rounds to a number that is written in another way than those below 1000.
    rounded = abs(float(f"{value:.3g}"))
    if 1e-3 <= rounded < 1e3:
        return f"{value:#.3g}".rstrip(".")
    whole = f"{value:.0f}"
    return whole if rounded >= 1e3 and abs(float(whole)) < 1e5 else f"{value:.2e}"


def theme() -> dict[str, Any]:
    """Vega-Lite configuration shared by the page and the image files."""
    font = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
    gray, ink = "#5b6470", "#1c2430"
    return {
        "font": font,
        "background": "#ffffff",
        "view": {"stroke": None},
        "axis": {
            "gridColor": "#e8ebef",
            "domainColor": "#b4bcc6",
            "tickColor": "#b4bcc6",
            "labelColor": gray,
            "titleColor": gray,
            "titleFontWeight": "normal",
            "labelFontSize": 11,
            "titleFontSize": 11,
        },
        "axisX": {"grid": False},
        "axisY": {"minExtent": 38},
        "header": {"labelColor": ink, "labelFontSize": 12, "labelFontWeight": 600},
        "legend": {
            "labelColor": ink,
            "titleColor": gray,
            "labelFontSize": 11,
            "titleFontWeight": "normal",
            "orient": "bottom",
            "direction": "horizontal",
            "titleOrient": "left",
            "symbolStrokeWidth": 2.5,
            "symbolSize": 160,
        },
        "title": {"color": ink, "fontSize": 14, "anchor": "start", "subtitleColor": gray},
        "line": {"strokeWidth": 2},
    }
