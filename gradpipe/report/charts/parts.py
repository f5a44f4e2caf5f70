"""The parts that charts share: panels, axes, colors, legends and tooltips."""

from contextlib import AbstractContextManager
from typing import Any, cast

import altair as alt
import polars as pl
from altair.utils.schemapi import debug_mode

from gradpipe.report.style import (
    DRAWN_RELEVANCES,
    PANEL_TITLES,
    order_of,
    statistic_label,
    statistic_with_unit,
    style_colors,
    style_label,
    theme,
)

#: The name of the data set in a chart without rows; the page's script fills it.
DATA = "rows"
#: The opacity of the other curves while one is selected in the legend.
_DIMMED = 0.1


def unchecked() -> AbstractContextManager[None]:
    """A block in which Altair does not check every object against its schema.

    Checking takes most of the time in which charts are built. The tests check every kind of chart.
    """
    return cast(AbstractContextManager[None], debug_mode(False))


def specification(chart: alt.FacetChart) -> dict[str, Any]:
    """A chart without rows as Vega-Lite, in the report's theme."""
    return {**chart.to_dict(validate=False), "config": theme()}


def with_rows(chart: alt.FacetChart, rows: pl.DataFrame) -> alt.FacetChart:
    """The chart in the report's theme, with the rows that it draws.

    Without a fixed order, panels are in the order of their first rows. Vega-Lite's own order is
    alphabetical.
    """
    filled: alt.FacetChart = chart.copy()
    filled.data = alt.InlineData(values=rows.to_dicts())
    filled.config = alt.Config(**theme())
    field = filled.facet.shorthand.removesuffix(":N")
    if not order_of(field):
        filled.facet.sort = rows.get_column(field).unique(maintain_order=True).to_list()
    return filled


def panels(
    chart: alt.Chart | alt.LayerChart,
    *,
    field: str = "projection",
    own: str | None = "y",
    height: int | None = 170,
) -> alt.FacetChart:
    """One panel per value of a field, two side by side.

    ``own`` is the channel ("x" or "y") whose scale differs between panels. A value's title is that
    of PANEL_TITLES, or the value itself, with its line breaks.
    """
    named = "".join(
        f"(datum.label) === '{name}' ? '{title}' : " for name, title in PANEL_TITLES.items()
    )
    order = order_of(field)
    facet = alt.Facet(
        f"{field}:N",
        sort=[style_label(name) if field == "style" else name for name in order] or None,
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


def layered(*charts: alt.Chart) -> alt.LayerChart:
    """Charts drawn over one another, the last on top."""
    return cast(alt.LayerChart, alt.layer(*charts))


def layer_axis() -> alt.X:
    """Layers from left to right. Ticks between layers, as few layers have, are not labeled."""
    return alt.X("layer:Q", title="layer", scale=alt.Scale(nice=False)).axis(
        tickMinStep=1, format="d", labelExpr="datum.value % 1 === 0 ? datum.label : ''"
    )


def scale(log: bool) -> alt.Scale:
    """The scale of a value: logarithmic, or linear from zero."""
    return alt.Scale(type="log", nice=False, padding=8) if log else alt.Scale(zero=True)


def value_title(statistic: str | None, prefix: str = "", *, unit: bool = True) -> str | None:
    """The title of a value's axis; None on the page, whose script writes it."""
    label = statistic_with_unit if unit else statistic_label
    return prefix + label(statistic) if statistic else None


def color_by(
    field: str, values: list[str], colors: list[str], *, title: str, symbol: str
) -> alt.Color:
    """One color per value of a field, with a legend."""
    color_scale = alt.Scale(domain=values, range=colors)
    return alt.Color(f"{field}:N", scale=color_scale, legend=legend(title, symbol))


def color_by_style(styles: list[str], symbol: str = "stroke") -> alt.Color:
    """One color per style, the same in every chart."""
    labels = [style_label(style) for style in styles]
    colors = list(style_colors(styles).values())
    return color_by("style", labels, colors, title="response style", symbol=symbol)


def cycled(palette: tuple[str, ...], names: list[str]) -> list[str]:
    """One color of a palette per name; a short palette is repeated."""
    return [palette[i % len(palette)] for i in range(len(names))]


def dashes(field: str, values: tuple[str, ...], title: str) -> alt.StrokeDash:
    """Solid for the first of two values, dashed for the second."""
    return alt.StrokeDash(
        f"{field}:N",
        scale=alt.Scale(domain=list(values), range=[[1, 0], [4, 3]]),
        legend=legend(title),
    )


def relevance_dashes() -> alt.StrokeDash:
    """Solid for correct, dashed for irrelevant responses."""
    return dashes("relevance", DRAWN_RELEVANCES, "response")


def legend(title: str, symbol: str = "stroke") -> alt.Legend:
    """A legend whose symbols stay visible when marks are dimmed."""
    return alt.Legend(title=title or None, symbolType=symbol, symbolOpacity=1, labelLimit=320)


def name_axis() -> alt.Axis:
    """A vertical axis of names, without line and ticks."""
    return alt.Axis(labelLimit=170, domain=False, ticks=False)


def selected_in_legend(field: str) -> alt.Parameter:
    """The values of a field that the reader clicked in the legend."""
    selection: alt.Parameter = alt.selection_point(
        name=f"picked_{field}", fields=[field], bind="legend"
    )
    return selection


def unless_dimmed(selected: alt.Parameter, opacity: float = 1.0) -> Any:
    """Full opacity for the values selected in the legend, or for all if none is selected."""
    return alt.condition(selected, alt.value(opacity), alt.value(_DIMMED * opacity))


def line_of_no_difference(axis: str = "y") -> alt.Chart:
    """A rule at a ratio of one, drawn once per panel."""
    rule = alt.Chart().mark_rule(color="#1c2430", strokeDash=[2, 2], opacity=0.7, aria=False)
    at = {axis: alt.YDatum(1) if axis == "y" else alt.XDatum(1)}
    drawn: alt.Chart = rule.encode(**at).transform_aggregate(rows="count()")
    return drawn


def nearest_point(x: alt.X, y: alt.Y, color: alt.Color, tooltip: list[alt.Tooltip]) -> alt.Chart:
    """The point nearest to the pointer, with its values in a tooltip."""
    over = alt.selection_point(
        name="nearest", on="pointerover", nearest=True, empty=False, clear="pointerout"
    )
    shown = alt.condition(over, alt.value(1), alt.value(0))
    points = alt.Chart().mark_circle(size=60, aria=False, tooltip=_of_nearest(tooltip))
    encoded = points.encode(x=x, y=y, color=color, opacity=shown)
    named: alt.Chart = encoded.add_params(over).properties(name="points")
    return named


def _of_nearest(tooltip: list[alt.Tooltip]) -> alt.ExprRef:
    """A tooltip as one expression over the nearest point.

    A selection of the nearest point lies on Voronoi cells, whose data are the points. Vega-Lite 6.4
    reads a nominal field from the cell instead, which has none, and shows "undefined"; 6.1 does
    not. An expression is used unchanged. Look again when vega-lite#9707 is released.
    """
    point = "(datum.datum || datum)"
    parts = []
    for one in tooltip:
        values = cast(dict[str, Any], one.to_dict())
        value = f"{point}['{values['field']}']"
        if values["type"] == "quantitative":
            # The format of null is "0".
            value = f"isValid({value}) ? format({value}, '{values.get('format', '')}') : '–'"
        parts.append(f"'{values.get('title', values['field'])}': {value}")
    return alt.ExprRef(expr=f"{{{', '.join(parts)}}}")


def tooltip_value(field: str, title: str) -> alt.Tooltip:
    """A number in a tooltip, to three significant digits."""
    return alt.Tooltip(f"{field}:Q", title=title, format=".3~g")


def dots_by_style(
    styles: list[str], *, value: str, title: str | None, log: bool, hollow: str | None = None
) -> alt.Chart:
    """One dot per benchmark and style, at a value with a column of its own, such as ``mad``.

    ``hollow`` is the Vega expression of the dots without a fill.
    """
    labels = [style_label(style) for style in styles]
    color = color_by_style(styles, "circle")
    selected = selected_in_legend("style")
    dots = alt.Chart().mark_point(size=64, strokeWidth=2, aria=False)
    encoded = dots.encode(
        x=alt.X(f"{value}:Q", scale=scale(log), title=title).axis(
            tickCount=4, grid=True, format="~g"
        ),
        y=alt.Y("benchmark:N", title=None, axis=name_axis(), scale=alt.Scale(paddingInner=0.35)),
        yOffset=alt.YOffset("style:N", sort=labels, scale=alt.Scale(domain=labels)),
        color=color,
        fill=alt.Fill("style:N", scale=color["scale"], legend=legend("response style", "circle")),
        fillOpacity=alt.condition(hollow, alt.value(0), alt.value(1)) if hollow else alt.value(1),
        opacity=unless_dimmed(selected),
        tooltip=[
            "benchmark:N",
            "style:N",
            *(["relevance:N"] if hollow else []),
            tooltip_value(value, value.upper()),
        ],
    )
    sized: alt.Chart = encoded.add_params(selected).properties(height=alt.Step(13))
    return sized
