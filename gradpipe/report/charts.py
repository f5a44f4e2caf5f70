"""The charts, each named by the question it answers.

A chart is drawn from a data set called "rows", with the columns of `ReportInputs` and with styles
as their readers' labels: `specification` puts the rows in for an image file, the page's script puts
them in for the page, so that both are drawn alike. A chart that names no statistic is the page's:
what the axes show follows the pickers and stands in the caption, and the nearest point is told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradpipe.report import look
from gradpipe.responses.styles import KNOWLEDGE_STYLES, RELEVANCES

if TYPE_CHECKING:
    import altair as alt
    import polars as pl

#: The data set's name in a chart that the page fills.
DATA = "rows"
_TITLES = {"q": "q · query", "k": "k · key", "v": "v · value", "o": "o · output"}


def statistic_through_the_layers(
    styles: list[str], statistic: str | None = None, log: bool = False
) -> alt.FacetChart:
    """How does a statistic run through the layers, by response style?

    A panel a projection, a line a style, a band from ``low`` to ``high`` (a standard
    error each side).
    """
    import altair as alt

    x = _layer_axis()
    colour = _style_colour(styles)
    base = alt.Chart()
    scale = _scale(log)
    band = base.mark_area(opacity=0.18, aria=False).encode(
        x=x,
        y=alt.Y("low:Q", scale=scale, title=_value_title(statistic)),
        y2="high:Q",
        color=colour,
    )
    y = alt.Y("mean:Q", scale=scale, title=_value_title(statistic))
    line = base.mark_line(aria=False).encode(x=x, y=y, color=colour)
    hover = [] if statistic else [_hover(x, y, colour, ["style:N"])]
    return _by_projection(alt.layer(band, line, *hover))


def correct_against_irrelevant(
    styles: list[str], statistic: str | None = None, log: bool = True
) -> alt.FacetChart:
    """Do irrelevant responses change the curves, and for which styles?

    A panel a projection, a colour a style, solid for correct and dashed for irrelevant. On the
    logarithmic scale the gap between the two lines is the relative difference that RD averages.
    """
    import altair as alt

    x = _layer_axis()
    y = alt.Y("mean:Q", scale=_scale(log), title=_value_title(statistic))
    colour = _style_colour(styles)
    dash = _relevance_dash()
    base = alt.Chart()
    line = base.mark_line(aria=False).encode(x=x, y=y, color=colour, strokeDash=dash)
    hover = [] if statistic else [_hover(x, y, colour, ["style:N", "relevance:N"])]
    return _by_projection(alt.layer(line, *hover))


def mad_by_style(
    styles: list[str], statistic: str | None = None, log: bool = True
) -> alt.FacetChart:
    """How much does a curve jump from layer to layer, by response style, benchmark and projection?

    A panel a projection, a dot a curve: filled for correct, hollow for irrelevant responses.
    """
    import altair as alt

    labels = [look.style_label(style) for style in styles]
    title = "response style"
    dots = alt.Chart().mark_point(size=64, strokeWidth=2, opacity=1, aria=False)
    encoded = dots.encode(
        x=alt.X("mad:Q", scale=_scale(log), title=_value_title(statistic, "MAD of ")).axis(
            tickCount=4, grid=True, format="~g"
        ),
        y=alt.Y(
            "benchmark:N",
            title=None,
            axis=alt.Axis(labelLimit=124, minExtent=124, domain=False, ticks=False),
            scale=alt.Scale(paddingInner=0.35),
        ),
        yOffset=alt.YOffset("style:N", sort=labels, scale=alt.Scale(domain=labels)),
        color=_style_colour(styles, "circle"),
        fill=alt.Fill("style:N", scale=_style_scale(styles), legend=_legend(title, "circle")),
        fillOpacity=alt.condition("datum.relevance === 'correct'", alt.value(1), alt.value(0)),
        tooltip=["benchmark:N", "style:N", "relevance:N", _tip("mad", "MAD")],
    ).properties(height=alt.Step(13))
    return _by_projection(encoded, own="x")


def knowledge_by_length(
    benchmarks: list[str], statistic: str | None = None, log: bool = False
) -> alt.FacetChart:
    """Do longer answers smooth the curves where only knowledge is asked for?

    A panel a projection, MAD against the answer's length, a colour a benchmark, solid for correct
    and dashed for irrelevant responses.
    """
    import altair as alt

    palette = look.BENCHMARK_COLOURS
    colours = [palette[i % len(palette)] for i in range(len(benchmarks))]
    lengths = [look.style_label(style) for style in KNOWLEDGE_STYLES]
    x = alt.X("style:N", sort=lengths, title="length of the answer", axis=alt.Axis(labelAngle=0))
    y = alt.Y("mad:Q", scale=_scale(log), title=_value_title(statistic, "MAD of "))
    colour = alt.Color(
        "benchmark:N",
        scale=alt.Scale(domain=benchmarks, range=colours),
        legend=_legend("benchmark"),
    )
    base = alt.Chart()
    dash = _relevance_dash()
    line = base.mark_line(aria=False).encode(x=x, y=y, color=colour, strokeDash=dash)
    dots = base.mark_circle(size=46, opacity=1, aria=False).encode(
        x=x,
        y=y,
        color=colour,
        tooltip=["benchmark:N", "style:N", "relevance:N", _tip("mad", "MAD")],
    )
    return _by_projection(alt.layer(line, dots))


def specification(chart: alt.FacetChart, rows: pl.DataFrame | None = None) -> dict[str, Any]:
    """A chart as Vega-Lite in the report's look, with its rows if they are given."""
    whole = {**chart.to_dict(), "config": look.theme()}
    return whole if rows is None else {**whole, "datasets": {DATA: rows.to_dicts()}}


def _by_projection(chart: Any, own: str = "y") -> alt.FacetChart:
    import altair as alt

    choices = [f"(datum.label) === '{name}' ? '{title}' : " for name, title in _TITLES.items()]
    facet = alt.Facet(
        "projection:N",
        sort=list(look.PROJECTIONS),
        title=None,
        header=alt.Header(labelExpr="".join(choices) + "(datum.label)", labelPadding=4),
    )
    sized = chart.properties(width=320, **({"height": 170} if own == "y" else {}))
    faceted: alt.FacetChart = sized.facet(facet, columns=2, data=alt.NamedData(DATA))
    independent: dict[str, Any] = {own: "independent"}
    whole: alt.FacetChart = faceted.resolve_scale(**independent)
    return whole


def _layer_axis() -> Any:
    import altair as alt

    return alt.X("layer:Q", title="layer", scale=alt.Scale(nice=False)).axis(
        tickMinStep=1, format="d"
    )


def _scale(log: bool) -> Any:
    import altair as alt

    return alt.Scale(type="log", nice=False, padding=8) if log else alt.Scale(zero=True)


def _style_scale(styles: list[str]) -> Any:
    import altair as alt

    return alt.Scale(
        domain=[look.style_label(style) for style in styles],
        range=[look.style_colour(style) for style in styles],
    )


def _style_colour(styles: list[str], symbol: str = "stroke") -> Any:
    import altair as alt

    legend = _legend("response style", symbol)
    return alt.Color("style:N", scale=_style_scale(styles), legend=legend)


def _relevance_dash() -> Any:
    import altair as alt

    return alt.StrokeDash(
        "relevance:N",
        scale=alt.Scale(domain=list(RELEVANCES), range=[[1, 0], [4, 3]]),
        legend=_legend("response"),
    )


def _legend(title: str, symbol: str = "stroke") -> Any:
    import altair as alt

    return alt.Legend(title=title, symbolType=symbol, symbolOpacity=1)


def _hover(x: Any, y: Any, colour: Any, names: list[str]) -> Any:
    """The point nearest to the pointer, with its numbers; for the page only."""
    import altair as alt

    over = alt.selection_point(
        name="nearest", on="pointerover", nearest=True, empty=False, clear="pointerout"
    )
    numbers = ["layer:Q", _tip("mean", "mean"), _tip("se", "standard error"), "examples:Q"]
    return (
        alt.Chart()
        .mark_circle(size=60, aria=False)
        .encode(
            x=x,
            y=y,
            color=colour,
            opacity=alt.condition(over, alt.value(1), alt.value(0)),
            tooltip=[*names, *numbers],
        )
        .add_params(over)
        .properties(name="points")
    )


def _tip(field: str, title: str) -> Any:
    import altair as alt

    return alt.Tooltip(f"{field}:Q", title=title, format=".4~g")


def _value_title(statistic: str | None, prefix: str = "") -> Any:
    """An axis title; on the page it is empty, because the caption follows the picker."""
    return prefix + look.statistic_label(statistic) if statistic else None
