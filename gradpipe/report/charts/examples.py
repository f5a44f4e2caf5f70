"""How charts of single examples are drawn: size by length, and the most extreme spectra."""

import altair as alt

from gradpipe.report.charts.parts import (
    color_by,
    color_by_style,
    layered,
    panels,
    scale,
    selected_in_legend,
    tooltip_value,
    unless_dimmed,
)
from gradpipe.report.style import END_COLORS


def size_against_length(styles: list[str], *, log: bool = True) -> alt.FacetChart:
    """Do longer responses give smaller gradients, example by example?

    A panel for correct and one for irrelevant responses, with one dot per example: its nuclear norm
    (mean over layers and projections) by the tokens of its response.
    """
    selected = selected_in_legend("style")
    dots = (
        alt.Chart()
        .mark_circle(size=28, aria=False)
        .encode(
            x=alt.X("response_tokens:Q", scale=scale(log), title="tokens of the response").axis(
                tickCount=5, format="~g"
            ),
            y=alt.Y("nuclear_norm:Q", scale=scale(log), title="nuclear norm").axis(format="~g"),
            color=color_by_style(styles, "circle"),
            opacity=unless_dimmed(selected, 0.75),
            tooltip=[
                alt.Tooltip("index:Q", title="item"),
                "style:N",
                "relevance:N",
                alt.Tooltip("response_tokens:Q", title="tokens"),
                tooltip_value("nuclear_norm", "nuclear norm"),
                tooltip_value("loss", "loss"),
            ],
        )
    )
    return panels(dots.add_params(selected), field="relevance", own=None, height=240)


def spectra_of_extremes(ends: list[str], *, log: bool = True) -> alt.FacetChart:
    """Do the largest gradients have other spectra than the smallest?

    One panel per projection, one line per example: the singular values by rank, at the layer where
    its gradient is largest.
    """
    colors = [END_COLORS[end] for end in ends]
    selected = selected_in_legend("end")
    shared = {
        "x": alt.X("rank:Q", scale=scale(log), title="rank").axis(tickCount=4, format="~g"),
        "y": alt.Y("value:Q", scale=scale(log), title="singular value").axis(
            tickCount=4, format="~g"
        ),
        "color": color_by("end", ends, colors, title="gradient", symbol="stroke"),
        "detail": "place:N",
    }
    base = alt.Chart()
    line = base.mark_line(strokeWidth=1.5, aria=False).encode(
        **shared, opacity=unless_dimmed(selected, 0.8)
    )
    points = base.mark_circle(size=40, opacity=0, aria=False).encode(
        **shared,
        tooltip=[
            "end:N",
            "place:N",
            alt.Tooltip("index:Q", title="item"),
            "style:N",
            "layer:Q",
            "rank:Q",
            tooltip_value("value", "singular value"),
        ],
    )
    return panels(layered(line.add_params(selected), points), own=None)
