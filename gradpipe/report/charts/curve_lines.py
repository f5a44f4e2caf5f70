"""Lines through the layers, as several kinds of chart draw them."""

from typing import Any

import altair as alt

from gradpipe.report.charts.parts import (
    layer_axis,
    layered,
    line_of_no_difference,
    nearest_point,
    scale,
    selected_in_legend,
    tooltip_value,
    unless_dimmed,
)


def curve_lines(
    *,
    value: str,
    color: alt.Color,
    field: str,
    title: str | None,
    log: bool,
    tooltip: list[str] | None,
    dash: alt.StrokeDash | None = None,
    band: bool = False,
) -> alt.LayerChart:
    """Lines through the layers, dimmed by the legend of ``field``.

    ``band`` adds an area from ``low`` to ``high``, ``tooltip`` the point nearest to the pointer.
    """
    x, y = layer_axis(), alt.Y(f"{value}:Q", scale=scale(log), title=title)
    selected = selected_in_legend(field)
    base = alt.Chart()
    dashed = {"strokeDash": dash} if dash is not None else {}
    line = base.mark_line(aria=False).encode(
        x=x, y=y, color=color, opacity=unless_dimmed(selected), **dashed
    )
    layers = [line.add_params(selected)]
    if band:
        low = alt.Y("low:Q", scale=scale(log), title=title)
        detail = {"detail": dash.shorthand} if dash is not None else {}
        shade = unless_dimmed(selected, 0.18 if dash is None else 0.12)
        area = base.mark_area(aria=False).encode(
            x=x, y=low, y2="high:Q", color=color, opacity=shade, **detail
        )
        layers.insert(0, area)
    if value == "ratio":
        layers.insert(0, line_of_no_difference())
    if tooltip is not None:
        layers.append(nearest_point(x, y, color, [*tooltip, *_measured(value)]))
    return layered(*layers)


def _measured(value: str) -> list[Any]:
    """The values of a point in its tooltip."""
    return [
        "layer:Q",
        tooltip_value(value, {"rd": "RD"}.get(value, value)),
        tooltip_value("se", "standard error"),
        "examples:Q",
    ]
