"""The charts of ratios with their intervals: what was decided, and what length explains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradpipe.report import style
from gradpipe.report.charts.parts import (
    colours,
    cycled,
    line_of_no_difference,
    panels,
    picked_in_legend,
    scale,
    tip,
    unless_dimmed,
)

if TYPE_CHECKING:
    import altair as alt

_INTERVAL = {"effect": "ratio", "low": "95 % from", "high": "to"}


def verdicts_on_a_claim(verdicts: list[str], log: bool = True) -> alt.FacetChart:
    """Where does a claim hold, how clearly, and where not?

    A panel a part of the claim; for each benchmark the projections from top to bottom, each with
    its ratio and 95 % interval, coloured and shaped by verdict. The rule is no difference.
    """
    import altair as alt

    colour_range = [style.VERDICT_COLOURS[verdict] for verdict in verdicts]
    shapes = [style.VERDICT_SHAPES[verdict] for verdict in verdicts]
    shape = alt.Shape("verdict:N", scale=alt.Scale(domain=verdicts, range=shapes))
    tips = ["benchmark:N", "projection:N", "verdict:N", *_told(), tip("p_adjusted", "adjusted p")]
    dots = _intervals(
        field="verdict",
        colour=colours("verdict", verdicts, colour_range, "verdict", "circle"),
        row="benchmark",
        offset=alt.YOffset("projection:N", sort=list(style.PROJECTIONS)),
        tips=[*tips, "items:Q", "reason:N"],
        log=log,
        more={"shape": shape},
    )
    return panels(dots, field="part", own="x", height=None)


def length_held_still(controls: list[str], log: bool = True) -> alt.FacetChart:
    """What is left of a difference between styles when length is held still?

    A panel a projection; for each comparison of styles its ratio as measured and under each
    control, with its 95 % interval. The rule is no difference.
    """
    import altair as alt

    range_ = cycled(style.CONTROL_COLOURS, controls)
    dots = _intervals(
        field="control",
        colour=colours("control", controls, range_, "length", "circle"),
        row="pair",
        offset=alt.YOffset("control:N", sort=controls, scale=alt.Scale(domain=controls)),
        tips=["pair:N", "control:N", "how:N", *_told(), "items:Q"],
        log=log,
        more={},
    )
    return panels(dots, own="x", height=None)


def _told() -> list[Any]:
    return [tip(field, name) for field, name in _INTERVAL.items()]


def _intervals(
    field: str,
    colour: Any,
    row: str,
    offset: Any,
    tips: list[Any],
    log: bool,
    more: dict[str, Any],
) -> Any:
    import altair as alt

    axis = alt.Axis(tickCount=4, grid=True, format="~g")
    y = alt.Y(
        f"{row}:N",
        title=None,
        axis=alt.Axis(labelLimit=170, domain=False, ticks=False),
        scale=alt.Scale(paddingInner=0.35),
    )
    picked = picked_in_legend(field)
    shown = {"y": y, "yOffset": offset, "color": colour, "opacity": unless_dimmed(picked)}
    base = alt.Chart()
    interval = base.mark_rule(strokeWidth=2, aria=False).encode(
        x=alt.X("low:Q", scale=scale(log), title="ratio", axis=axis), x2="high:Q", **shown
    )
    dot = base.mark_point(size=44, filled=True, aria=False).encode(
        x=alt.X("effect:Q", scale=scale(log), title="ratio", axis=axis),
        tooltip=tips,
        **shown,
        **more,
    )
    layers = alt.layer(line_of_no_difference("x"), interval.add_params(picked), dot)
    return layers.properties(height=alt.Step(10))
