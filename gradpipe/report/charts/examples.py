"""The charts of single examples: their size against their length, and the spectra at the ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradpipe.report import style
from gradpipe.report.charts.parts import (
    colours,
    panels,
    picked_in_legend,
    scale,
    style_colours,
    tip,
    unless_dimmed,
)

if TYPE_CHECKING:
    import altair as alt


def size_against_length(styles: list[str], log: bool = True) -> alt.FacetChart:
    """Do longer responses give smaller gradients, example by example?

    A panel for correct and one for irrelevant responses, a dot an example: its nuclear norm (mean
    over layers and projections) against the tokens of its response.
    """
    import altair as alt

    picked = picked_in_legend("style")
    dots = (
        alt.Chart()
        .mark_circle(size=28, aria=False)
        .encode(
            x=alt.X("response_tokens:Q", scale=scale(log), title="tokens of the response").axis(
                tickCount=5, format="~g"
            ),
            y=alt.Y("nuclear_norm:Q", scale=scale(log), title="nuclear norm").axis(format="~g"),
            color=style_colours(styles, "circle"),
            opacity=unless_dimmed(picked, 0.75),
            tooltip=[
                alt.Tooltip("index:Q", title="item"),
                "style:N",
                "relevance:N",
                alt.Tooltip("response_tokens:Q", title="tokens"),
                tip("nuclear_norm", "nuclear norm"),
                tip("loss", "loss"),
            ],
        )
    )
    return panels(dots.add_params(picked), field="relevance", own=None, height=240)


def spectra_of_extremes(ends: list[str], log: bool = True) -> alt.FacetChart:
    """Do the largest gradients have other spectra than the smallest?

    A panel a projection, a line an example at the layer where its gradient is largest: singular
    values by rank.
    """
    import altair as alt

    range_ = [style.END_COLOURS[end] for end in ends]
    picked = picked_in_legend("end")
    shown = {
        "x": alt.X("rank:Q", scale=scale(log), title="rank").axis(tickCount=4, format="~g"),
        "y": alt.Y("value:Q", scale=scale(log), title="singular value").axis(
            tickCount=4, format="~g"
        ),
        "color": colours("end", ends, range_, "gradient", "stroke"),
        "detail": "place:N",
    }
    base = alt.Chart()
    line = base.mark_line(strokeWidth=1.5, aria=False).encode(
        **shown, opacity=unless_dimmed(picked, 0.8)
    )
    points = base.mark_circle(size=40, opacity=0, aria=False).encode(
        **shown,
        tooltip=[
            "end:N",
            "place:N",
            alt.Tooltip("index:Q", title="item"),
            "style:N",
            "layer:Q",
            "rank:Q",
            tip("value", "singular value"),
        ],
    )
    return panels(alt.layer(line.add_params(picked), points), own=None)
