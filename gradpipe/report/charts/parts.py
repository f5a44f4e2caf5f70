"""What the charts are put together from: panels, axes, legends, and what the pointer is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradpipe.report import style as look
from gradpipe.styles import RELEVANCES

if TYPE_CHECKING:
    import altair as alt
    import polars as pl

#: The data set's name in a chart that the page fills.
DATA = "rows"
#: How much of a curve is seen while another one is picked in the legend.
_DIMMED = 0.1


def specification(chart: alt.FacetChart, rows: pl.DataFrame | None = None) -> dict[str, Any]:
    """A chart as Vega-Lite in the report's look, with its rows if they are given."""
    whole = {**chart.to_dict(), "config": look.theme()}
    if rows is None:
        return whole
    facet = whole["facet"]
    if not facet.get("sort"):
        # Panels come as their first rows do: left to itself, Vega-Lite goes by the alphabet.
        facet["sort"] = rows.get_column(facet["field"]).unique(maintain_order=True).to_list()
    return {**whole, "datasets": {DATA: rows.to_dicts()}}


def panels(
    chart: Any, field: str = "projection", own: str | None = "y", height: int | None = 170
) -> alt.FacetChart:
    """The chart once for each value of a field, two side by side; ``own`` scales differ.

    Values are called as in `look.PANEL_TITLES`; where a value has line breaks, so has its title.
    """
    import altair as alt

    named = "".join(
        f"(datum.label) === '{name}' ? '{title}' : " for name, title in look.PANEL_TITLES.items()
    )
    facet = alt.Facet(
        f"{field}:N",
        sort=list(look.ORDERS.get(field, ())) or None,
        title=None,
        header=alt.Header(labelExpr=f"{named}split(datum.label, '\\n')", labelPadding=4),
    )
    sized = chart.properties(width=320, **({"height": height} if height else {}))
    faceted: alt.FacetChart = sized.facet(facet, columns=2, data=alt.NamedData(DATA))
    if own is None:
        return faceted
    independent: dict[str, Any] = {own: "independent"}
    whole: alt.FacetChart = faceted.resolve_scale(**independent)
    return whole


def layer_axis() -> Any:
    """Layers from left to right."""
    import altair as alt

    return alt.X("layer:Q", title="layer", scale=alt.Scale(nice=False)).axis(
        tickMinStep=1, format="d"
    )


def scale(log: bool) -> Any:
    """A value's scale: logarithmic, or from zero."""
    import altair as alt

    return alt.Scale(type="log", nice=False, padding=8) if log else alt.Scale(zero=True)


def value_title(statistic: str | None, prefix: str = "") -> Any:
    """An axis title; on the page it is empty, because the caption follows the picker."""
    return prefix + look.statistic_label(statistic) if statistic else None


def colours(field: str, domain: list[str], range_: list[str], title: str, symbol: str) -> Any:
    """A colour for each value of a field, with a legend."""
    import altair as alt

    scale_of = alt.Scale(domain=domain, range=range_)
    return alt.Color(f"{field}:N", scale=scale_of, legend=legend(title, symbol))


def style_colours(styles: list[str], symbol: str = "stroke") -> Any:
    """A colour for each style, the same in every chart."""
    labels = [look.style_label(style) for style in styles]
    range_ = [look.style_colour(style) for style in styles]
    return colours("style", labels, range_, "response style", symbol)


def cycled(palette: tuple[str, ...], names: list[str]) -> list[str]:
    """As many of a palette's colours as there are names, from its start again if it is short."""
    return [palette[i % len(palette)] for i in range(len(names))]


def dashes(field: str, values: tuple[str, ...], title: str) -> Any:
    """Solid for the first of two values, dashed for the second."""
    import altair as alt

    return alt.StrokeDash(
        f"{field}:N",
        scale=alt.Scale(domain=list(values), range=[[1, 0], [4, 3]]),
        legend=legend(title),
    )


def relevance_dashes() -> Any:
    """Solid for correct, dashed for irrelevant responses."""
    return dashes("relevance", RELEVANCES, "response")


def legend(title: str, symbol: str = "stroke") -> Any:
    """A legend whose symbols stay visible when marks are dimmed."""
    import altair as alt

    return alt.Legend(title=title or None, symbolType=symbol, symbolOpacity=1, labelLimit=320)


def picked_in_legend(field: str) -> Any:
    """The values of a field that the reader clicked in the legend."""
    import altair as alt

    return alt.selection_point(name=f"picked_{field}", fields=[field], bind="legend")


def unless_dimmed(picked: Any, opacity: float = 1.0) -> Any:
    """Full opacity for what is picked in the legend, or for all while nothing is."""
    import altair as alt

    return alt.condition(picked, alt.value(opacity), alt.value(_DIMMED * opacity))


def line_of_no_difference(axis: str = "y") -> Any:
    """A rule where a ratio is one, once a panel."""
    import altair as alt

    rule = alt.Chart().mark_rule(color="#1c2430", strokeDash=[2, 2], opacity=0.7, aria=False)
    at = {axis: alt.YDatum(1) if axis == "y" else alt.XDatum(1)}
    return rule.encode(**at).transform_aggregate(rows="count()")


def nearest_point(x: Any, y: Any, colour: Any, tips: list[Any]) -> Any:
    """The point nearest to the pointer, with its numbers; for the page only."""
    import altair as alt

    over = alt.selection_point(
        name="nearest", on="pointerover", nearest=True, empty=False, clear="pointerout"
    )
    shown = alt.condition(over, alt.value(1), alt.value(0))
    points = alt.Chart().mark_circle(size=60, aria=False)
    encoded = points.encode(x=x, y=y, color=colour, opacity=shown, tooltip=tips)
    return encoded.add_params(over).properties(name="points")


def tip(field: str, title: str) -> Any:
    """A number in a tooltip, as precise as the page has it."""
    import altair as alt

    return alt.Tooltip(f"{field}:Q", title=title, format=".3~g")
