"""How charts of ratios with intervals are drawn: verdicts, controls for length, comparisons."""

from typing import Any

import altair as alt

from gradpipe.report.charts.parts import (
    color_by,
    cycled,
    layered,
    line_of_no_difference,
    name_axis,
    panels,
    scale,
    selected_in_legend,
    tooltip_value,
    unless_dimmed,
)
from gradpipe.report.style import (
    CONTROL_COLORS,
    PROJECTIONS,
    SIDE_COLORS,
    VERDICT_COLORS,
    VERDICT_SHAPES,
)
from gradpipe.report.tables.verdicts import CONTROL_LABELS

_INTERVAL = [
    tooltip_value("effect", "ratio"),
    tooltip_value("low", "95 % from"),
    tooltip_value("high", "to"),
]


def verdicts_on_a_claim(verdicts: list[str], *, log: bool = True) -> alt.FacetChart:
    """Where does a claim hold, how clearly, and where not?

    One panel per part of the claim. Each benchmark has its projections from top to bottom, each
    with its ratio and 95 % interval, colored and shaped by verdict. A rule marks a ratio of 1.
    """
    colors = [VERDICT_COLORS[verdict] for verdict in verdicts]
    shapes = [VERDICT_SHAPES[verdict] for verdict in verdicts]
    layers = _intervals(
        field="verdict",
        color=color_by("verdict", verdicts, colors, title="verdict", symbol="circle"),
        row="benchmark",
        offset=alt.YOffset("projection:N", sort=list(PROJECTIONS)),
        tooltip=[
            "benchmark:N",
            "projection:N",
            "verdict:N",
            *_INTERVAL,
            tooltip_value("p_adjusted", "adjusted p"),
            "items:Q",
            "reason:N",
        ],
        log=log,
        more={"shape": alt.Shape("verdict:N", scale=alt.Scale(domain=verdicts, range=shapes))},
    )
    return panels(layers, field="part", own="x", height=None)


def length_held_still(controls: list[str], *, log: bool = True) -> alt.FacetChart:
    """How much of a difference between styles remains if length is held constant?

    One panel per projection. Each comparison of styles has its ratio as measured and with each
    control, with 95 % intervals. A rule marks a ratio of 1. ``controls`` are names or their labels.
    """
    labels = [CONTROL_LABELS.get(control, control) for control in controls]
    colors = cycled(CONTROL_COLORS, labels)
    layers = _intervals(
        field="control",
        color=color_by("control", labels, colors, title="length", symbol="circle"),
        row="pair",
        offset=alt.YOffset("control:N", sort=labels, scale=alt.Scale(domain=labels)),
        tooltip=["pair:N", "control:N", "how:N", *_INTERVAL, "items:Q"],
        log=log,
        more={},
    )
    return panels(layers, own="x", height=None)


def comparison_of_two_sides(verdicts: list[str], *, log: bool = True) -> alt.FacetChart:
    """Where are A's curves larger, or more uneven, than B's?

    One panel per statistic and quantity. Each curve has its projections from top to bottom, each
    with the ratio of A to B and its 95 % interval, colored by verdict. A rule marks a ratio of 1.
    """
    colors = [SIDE_COLORS[verdict] for verdict in verdicts]
    layers = _intervals(
        field="verdict",
        color=color_by("verdict", verdicts, colors, title="A against B", symbol="circle"),
        row="curve",
        offset=alt.YOffset("projection:N", sort=list(PROJECTIONS)),
        tooltip=[
            "curve:N",
            "projection:N",
            "verdict:N",
            *_INTERVAL,
            tooltip_value("p_adjusted", "adjusted p"),
        ],
        log=log,
        more={},
    )
    return panels(layers, field="part", own="x", height=None)


def _intervals(
    *,
    field: str,
    color: alt.Color,
    row: str,
    offset: alt.YOffset,
    tooltip: list[Any],
    log: bool,
    more: dict[str, Any],
) -> alt.LayerChart:
    """Dots with their intervals, one row per value of ``row``, dimmed by the legend of ``field``.

    ``more`` are further channels of the dots.
    """
    axis = alt.Axis(tickCount=4, grid=True, format="~g")
    selected = selected_in_legend(field)
    shared = {
        "y": alt.Y(f"{row}:N", title=None, axis=name_axis(), scale=alt.Scale(paddingInner=0.35)),
        "yOffset": offset,
        "color": color,
        "opacity": unless_dimmed(selected),
    }
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
    stepped: alt.LayerChart = layers.properties(height=alt.Step(10))
    return stepped
