"""Lines through the layers, as several kinds of chart draw them."""

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

#: Fields that the charts compute: the number of a stretch of adjacent layers, and its layers.
_STRETCH, _LAYERS = "stretch", "stretch_layers"


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

    A line is interrupted at layers without a value, as hybrids have; a layer between two such ones
    is a dot. ``band`` adds an area from ``low`` to ``high``, ``tooltip`` the point nearest to the
    pointer.
    """
    x, y = layer_axis(), alt.Y(f"{value}:Q", scale=scale(log), title=title)
    selected = selected_in_legend(field)
    base = alt.Chart()
    dashed = {"strokeDash": dash} if dash is not None else {}
    dashed_by = [dash.shorthand] if dash is not None else []
    detail = [*dashed_by, f"{_STRETCH}:N"]
    opacity = unless_dimmed(selected)
    line = base.mark_line(aria=False).encode(
        x=x, y=y, color=color, opacity=opacity, detail=f"{_STRETCH}:N", **dashed
    )
    # Not a filter: Vega warns of scales over no rows.
    alone = alt.when(f"datum.{_LAYERS} === 1").then(alt.value(24)).otherwise(alt.value(0))
    dots = base.mark_point(aria=False, filled=True).encode(
        x=x, y=y, color=color, opacity=opacity, size=alone
    )
    layers = [line.add_params(selected), dots]
    if band:
        low = alt.Y("low:Q", scale=scale(log), title=title)
        shade = unless_dimmed(selected, 0.18 if dash is None else 0.12)
        area = base.mark_area(aria=False).encode(
            x=x, y=low, y2="high:Q", color=color, opacity=shade, detail=detail
        )
        layers.insert(0, area)
    if value == "ratio":
        layers.insert(0, line_of_no_difference())
    if tooltip is not None:
        named = [alt.Tooltip(name) for name in tooltip]
        layers.append(nearest_point(x, y, color, [*named, *_measured(value)]))
    fields = [field, *(name.partition(":")[0] for name in dashed_by)]
    return _with_stretches(layered(*layers), fields)


def _with_stretches(chart: alt.LayerChart, fields: list[str]) -> alt.LayerChart:
    """Number the stretches of adjacent layers of each line, and count their layers.

    A line is identified by ``fields``.
    """
    order: list[alt.SortField | dict[str, str]] = [alt.SortField("layer")]
    numbered: alt.LayerChart = (
        chart.transform_window(previous="lag(layer)", groupby=fields, sort=order)
        .transform_calculate(
            gap="isValid(datum.previous) && datum.layer - datum.previous > 1 ? 1 : 0"
        )
        .transform_window(stretch="sum(gap)", groupby=fields, sort=order, frame=[None, 0])
        .transform_joinaggregate(stretch_layers="count()", groupby=[*fields, _STRETCH])
    )
    return numbered


def _measured(value: str) -> list[alt.Tooltip]:
    """The values of a point in its tooltip."""
    return [
        alt.Tooltip("layer:Q"),
        tooltip_value(value, {"rd": "RD"}.get(value, value)),
        tooltip_value("se", "standard error"),
        alt.Tooltip("examples:Q"),
    ]
