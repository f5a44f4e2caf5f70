"""How charts of curves are drawn; each function's first line is the question that it answers.

The drawings have no rows: they draw the data set "rows", whose styles are labels for readers. The
page's script fills it, `gradpipe.report.charts.kinds` does so for image files and notebooks. The
axis title names ``statistic``; the page has none, since its caption follows the picker.
"""

from typing import Any

import altair as alt

from gradpipe.report.charts.parts import (
    color_by,
    color_by_style,
    cycled,
    dashes,
    dots_by_style,
    layer_axis,
    layered,
    line_of_no_difference,
    nearest_point,
    panels,
    relevance_dashes,
    scale,
    selected_in_legend,
    tooltip_value,
    unless_dimmed,
    value_title,
)
from gradpipe.report.style import BENCHMARK_COLORS, PAIR_COLORS, style_label
from gradpipe.styles import KNOWLEDGE_STYLES

_TUNING = ("base", "tuned")


def statistic_through_the_layers(
    styles: list[str], *, statistic: str | None = None, log: bool = False, tooltips: bool = True
) -> alt.FacetChart:
    """How does a statistic change from layer to layer, by response style?

    One panel per projection, one line per style, and a band of one standard error each side.
    """
    layers = _lines(
        value="mean",
        color=color_by_style(styles),
        field="style",
        title=value_title(statistic),
        log=log,
        tooltip=["style:N"] if tooltips else None,
        band=True,
    )
    return panels(layers)


def ratio_of_styles(
    pairs: list[str], *, statistic: str | None = None, log: bool = True, tooltips: bool = True
) -> alt.FacetChart:
    """How many times larger is a statistic for one style than for another, layer by layer?

    One panel per projection, one line with its band per pair of styles, and a rule at a ratio of 1.
    """
    colors = cycled(PAIR_COLORS, pairs)
    layers = _lines(
        value="ratio",
        color=color_by("pair", pairs, colors, title="ratio of styles", symbol="stroke"),
        field="pair",
        title=value_title(statistic, "ratio of "),
        log=log,
        tooltip=["pair:N"] if tooltips else None,
        band=True,
    )
    return panels(layers)


def irrelevant_over_correct(
    styles: list[str], *, statistic: str | None = None, log: bool = True, tooltips: bool = True
) -> alt.FacetChart:
    """How many times larger is a statistic for irrelevant responses, layer by layer?

    One panel per projection, one line with its band per style, and a rule at a ratio of 1.
    """
    layers = _lines(
        value="ratio",
        color=color_by_style(styles),
        field="style",
        title=value_title(statistic, "ratio of "),
        log=log,
        tooltip=["style:N"] if tooltips else None,
        band=True,
    )
    return panels(layers)


def correct_against_irrelevant(
    styles: list[str], *, statistic: str | None = None, log: bool = True, tooltips: bool = True
) -> alt.FacetChart:
    """Do irrelevant responses change the curves, and for which styles?

    One panel per projection, one color per style; solid for correct, dashed for irrelevant. On the
    logarithmic scale the gap between the two lines is the relative difference that RD averages.
    """
    layers = _lines(
        value="mean",
        color=color_by_style(styles),
        field="style",
        title=value_title(statistic),
        log=log,
        tooltip=["style:N", "relevance:N"] if tooltips else None,
        dash=relevance_dashes(),
    )
    return panels(layers)


def layers_of_difference(
    styles: list[str], *, statistic: str | None = None, log: bool = True, tooltips: bool = True
) -> alt.FacetChart:
    """In which layers do irrelevant responses differ most from correct ones?

    One panel per projection, one line per style: RD before its mean over layers. Dots mark the
    layers where it is largest.
    """
    color, title = color_by_style(styles), value_title(statistic, "RD of ")
    lines = _lines(
        value="rd",
        color=color,
        field="style",
        title=title,
        log=log,
        tooltip=["style:N"] if tooltips else None,
    )
    y = alt.Y("rd:Q", scale=scale(log), title=title)
    marks = alt.Chart().mark_circle(size=44, opacity=1, aria=False)
    largest = marks.encode(x=layer_axis(), y=y, color=color).transform_filter("datum.largest")
    return panels(lines + largest)


def base_against_tuned(
    styles: list[str], *, statistic: str | None = None, log: bool = False, tooltips: bool = True
) -> alt.FacetChart:
    """Does instruction tuning change the curves?

    One panel per projection, one color per style; solid for the base model, dashed for the model
    tuned from it.
    """
    layers = _lines(
        value="mean",
        color=color_by_style(styles),
        field="style",
        title=value_title(statistic),
        log=log,
        tooltip=["style:N", "model:N"] if tooltips else None,
        dash=dashes("tuning", _TUNING, "model"),
    )
    return panels(layers)


def gradients_of_one_model(
    styles: list[str], *, log: bool = False, tooltips: bool = True
) -> alt.FacetChart:
    """Do the gradients of two projections, or of two layers, point the same way?

    One panel per pair, one color per style; solid for correct, dashed for irrelevant responses.
    """
    layers = _lines(
        value="mean",
        color=color_by_style(styles),
        field="style",
        title=None,
        log=log,
        tooltip=["style:N", "relevance:N"] if tooltips else None,
        dash=relevance_dashes(),
        band=True,
    )
    return panels(layers, field="pair", own=None)


def gradients_of_two_responses(
    pairs: list[str], *, log: bool = False, tooltips: bool = True
) -> alt.FacetChart:
    """Do two responses to one item pull the model the same way?

    One panel per projection, one line with its band per comparison of two responses.
    """
    layers = _lines(
        value="mean",
        color=color_by("pair", pairs, cycled(PAIR_COLORS, pairs), title="", symbol="stroke"),
        field="pair",
        title=None,
        log=log,
        tooltip=["pair:N"] if tooltips else None,
        band=True,
    )
    return panels(layers, own=None)


def mad_by_style(
    styles: list[str], *, statistic: str | None = None, log: bool = True
) -> alt.FacetChart:
    """How uneven are the curves, by response style, benchmark and projection?

    One panel per projection, one dot per curve: filled for correct, hollow for irrelevant.
    """
    irrelevant = "datum.relevance === 'irrelevant'"
    title = value_title(statistic, "MAD of ")
    dots = dots_by_style(styles, value="mad", title=title, log=log, hollow=irrelevant)
    return panels(dots, own="x", height=None)


def rd_by_style(
    styles: list[str], *, statistic: str | None = None, log: bool = True
) -> alt.FacetChart:
    """How far are irrelevant responses from correct ones, by style, benchmark and projection?

    One panel per projection, one dot per pair of curves.
    """
    title = value_title(statistic, "RD of ")
    return panels(dots_by_style(styles, value="rd", title=title, log=log), own="x", height=None)


def knowledge_by_length(
    benchmarks: list[str], *, statistic: str | None = None, log: bool = False
) -> alt.FacetChart:
    """Do longer answers smooth the curves of knowledge questions, popular or not?

    One panel per projection: MAD by the answer's length. One color per benchmark; solid for
    correct, dashed for irrelevant responses.
    """
    colors = cycled(BENCHMARK_COLORS, benchmarks)
    lengths = [style_label(style) for style in KNOWLEDGE_STYLES]
    selected = selected_in_legend("benchmark")
    shared = {
        "x": alt.X("style:N", sort=lengths, title="length of the answer").axis(labelAngle=0),
        "y": alt.Y("mad:Q", scale=scale(log), title=value_title(statistic, "MAD of ")),
        "color": color_by("benchmark", benchmarks, colors, title="benchmark", symbol="stroke"),
        "opacity": unless_dimmed(selected),
    }
    base = alt.Chart()
    line = base.mark_line(aria=False).encode(**shared, strokeDash=relevance_dashes())
    dots = base.mark_circle(size=46, aria=False).encode(
        **shared, tooltip=["benchmark:N", "style:N", "relevance:N", tooltip_value("mad", "MAD")]
    )
    return panels(layered(line.add_params(selected), dots))


def _lines(
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
