"""Dots with their intervals, as charts of verdicts, controls and comparisons draw them."""

from typing import Any

import altair as alt

from gradpipe.report.charts.parts import (
    layered,
    line_of_no_difference,
    name_axis,
    scale,
    selected_in_legend,
    tooltip_value,
    unless_dimmed,
)

#: The interval of an equivalence is a 90 % interval, and others are 95 % intervals.
INTERVAL_TOOLTIP = [
    tooltip_value("effect", "ratio"),
    tooltip_value("low", "interval from"),
    tooltip_value("high", "to"),
]


def interval_dots(
    *,
    field: str,
    color: alt.Color,
    row: str,
    tooltip: list[Any],
    log: bool,
    offset: alt.YOffset | None = None,
    more: dict[str, Any],
) -> alt.LayerChart:
    """Dots with their intervals, one row per value of ``row``, dimmed by the legend of ``field``.

    Rows are in the order of the data, and divided by ``offset`` if it is given. ``more`` are
    further channels of the dots.
    """
    axis = alt.Axis(tickCount=4, grid=True, format="~g")
    selected = selected_in_legend(field)
    shared = {
        "y": alt.Y(
            f"{row}:N", title=None, sort=None, axis=name_axis(), scale=alt.Scale(paddingInner=0.35)
        ),
        "color": color,
        "opacity": unless_dimmed(selected),
    }
    if offset is not None:
        shared["yOffset"] = offset
    base = alt.Chart()
    interval = base.mark_rule(strokeWidth=2, aria=False).encode(
        x=alt.X("low:Q", scale=scale(log), title="ratio", axis=axis), x2="high:Q", **shared
    )
    dot = base.mark_point(size=44, filled=True, aria=False).encode(
        x=alt.X("effect:Q", scale=scale(log), title="ratio", axis=axis),
        tooltip=tooltip,
        **shared,
        **more,
    )
    layers = layered(line_of_no_difference("x"), interval.add_params(selected), dot)
    stepped: alt.LayerChart = layers.properties(height=alt.Step(10 if offset is not None else 16))
    return stepped
