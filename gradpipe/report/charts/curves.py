"""The charts of curves, each named by the question it answers.

A chart is drawn from a data set called "rows" with styles as their readers' labels:
`parts.specification` puts the rows in for an image file, the page's script puts them in for
the page, so that both are drawn alike. A chart that names no statistic is the page's: what the axes
show follows the pickers and stands in the caption, and the nearest point is told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradpipe.report import style as look
from gradpipe.report.charts.parts import (
    colours,
    cycled,
    dashes,
    layer_axis,
    legend,
    line_of_no_difference,
    nearest_point,
    panels,
    picked_in_legend,
    relevance_dashes,
    scale,
    style_colours,
    tip,
    unless_dimmed,
    value_title,
)
from gradpipe.styles import KNOWLEDGE_STYLES

if TYPE_CHECKING:
    import altair as alt

_TUNING = ("base", "tuned")
_MEASURED = ["layer:Q", ("mean", "mean"), ("se", "standard error"), "examples:Q"]


def statistic_through_the_layers(
    styles: list[str], statistic: str | None = None, log: bool = False
) -> alt.FacetChart:
    """How does a statistic run through the layers, by response style?

    A panel a projection, a line a style, a band from ``low`` to ``high`` (a standard
    error each side).
    """
    return panels(
        _lines("mean", style_colours(styles), "style", statistic, log, tips=["style:N"], band=True)
    )


def ratio_of_styles(
    pairs: list[str], statistic: str | None = None, log: bool = True
) -> alt.FacetChart:
    """How many times larger is a statistic for one style than for another, layer by layer?

    A panel a projection, a line a pair of styles with its band; a rule at no difference.
    """
    colour = colours("pair", pairs, cycled(look.PAIR_COLOURS, pairs), "ratio of styles", "stroke")
    lines = _lines(
        "ratio", colour, "pair", statistic, log, tips=["pair:N"], of="ratio of ", band=True
    )
    return panels(lines)


def irrelevant_over_correct(
    styles: list[str], statistic: str | None = None, log: bool = True
) -> alt.FacetChart:
    """How many times larger is a statistic for irrelevant responses, layer by layer?

    A panel a projection, a line a style with its band; a rule where there is no difference.
    """
    colour = style_colours(styles)
    lines = _lines("ratio", colour, "style", statistic, log, ["style:N"], of="ratio of ", band=True)
    return panels(lines)


def correct_against_irrelevant(
    styles: list[str], statistic: str | None = None, log: bool = True
) -> alt.FacetChart:
    """Do irrelevant responses change the curves, and for which styles?

    A panel a projection, a colour a style, solid for correct and dashed for irrelevant. On the
    logarithmic scale the gap between the two lines is the relative difference that RD averages.
    """
    dash, tips = relevance_dashes(), ["style:N", "relevance:N"]
    return panels(_lines("mean", style_colours(styles), "style", statistic, log, tips, dash))


def difference_by_layer(
    styles: list[str], statistic: str | None = None, log: bool = True
) -> alt.FacetChart:
    """In which layers do irrelevant responses differ most from correct ones?

    A panel a projection, a line a style: RD before its mean over layers. Dots mark the layers where
    it is largest.
    """
    import altair as alt

    colour = style_colours(styles)
    lines = _lines("rd", colour, "style", statistic, log, ["style:N"], of="RD of ")
    y = alt.Y("rd:Q", scale=scale(log), title=value_title(statistic, "RD of "))
    marks = alt.Chart().mark_circle(size=44, opacity=1, aria=False)
    largest = marks.encode(x=layer_axis(), y=y, color=colour).transform_filter("datum.largest")
    return panels(lines + largest)


def base_and_tuned(
    styles: list[str], statistic: str | None = None, log: bool = False
) -> alt.FacetChart:
    """Does instruction tuning change the curves?

    A panel a projection, a colour a style, solid for the base model, dashed for its tuned twin.
    """
    dash = dashes("tuning", _TUNING, "model")
    tips = ["style:N", "model:N"]
    return panels(_lines("mean", style_colours(styles), "style", statistic, log, tips, dash))


def gradients_of_one_model(styles: list[str], log: bool = False) -> alt.FacetChart:
    """Do the gradients of two projections, or of two layers, point the same way?

    A panel a pair, a colour a style, solid for correct and dashed for irrelevant responses.
    """
    dash, tips = relevance_dashes(), ["style:N", "relevance:N"]
    lines = _lines("mean", style_colours(styles), "style", None, log, tips, dash=dash, band=True)
    return panels(lines, field="pair", own=None)


def gradients_of_two_responses(pairs: list[str], log: bool = False) -> alt.FacetChart:
    """Do two responses to one item pull the model the same way?

    A panel a projection, a line a comparison of two responses, with its band.
    """
    colour = colours("pair", pairs, cycled(look.PAIR_COLOURS, pairs), "", "stroke")
    return panels(_lines("mean", colour, "pair", None, log, ["pair:N"], band=True), own=None)


def mad_by_style(
    styles: list[str], statistic: str | None = None, log: bool = True
) -> alt.FacetChart:
    """How much does a curve jump from layer to layer, by response style, benchmark and projection?

    A panel a projection, a dot a curve: filled for correct, hollow for irrelevant responses.
    """
    import altair as alt

    labels = [look.style_label(style) for style in styles]
    colour = style_colours(styles, "circle")
    picked = picked_in_legend("style")
    dots = alt.Chart().mark_point(size=64, strokeWidth=2, aria=False)
    encoded = dots.encode(
        x=alt.X("mad:Q", scale=scale(log), title=value_title(statistic, "MAD of ")).axis(
            tickCount=4, grid=True, format="~g"
        ),
        y=alt.Y(
            "benchmark:N",
            title=None,
            axis=alt.Axis(labelLimit=170, domain=False, ticks=False),
            scale=alt.Scale(paddingInner=0.35),
        ),
        yOffset=alt.YOffset("style:N", sort=labels, scale=alt.Scale(domain=labels)),
        color=colour,
        fill=alt.Fill("style:N", scale=colour["scale"], legend=legend("response style", "circle")),
        fillOpacity=alt.condition("datum.relevance === 'correct'", alt.value(1), alt.value(0)),
        opacity=unless_dimmed(picked),
        tooltip=["benchmark:N", "style:N", "relevance:N", tip("mad", "MAD")],
    )
    return panels(encoded.add_params(picked).properties(height=alt.Step(13)), own="x", height=None)


def knowledge_by_length(
    benchmarks: list[str], statistic: str | None = None, log: bool = False
) -> alt.FacetChart:
    """Do longer answers smooth the curves where only knowledge is asked for, popular or not?

    A panel a projection, MAD against the answer's length, a colour a benchmark, solid for correct
    and dashed for irrelevant responses.
    """
    import altair as alt

    range_ = cycled(look.BENCHMARK_COLOURS, benchmarks)
    lengths = [look.style_label(style) for style in KNOWLEDGE_STYLES]
    x = alt.X("style:N", sort=lengths, title="length of the answer", axis=alt.Axis(labelAngle=0))
    y = alt.Y("mad:Q", scale=scale(log), title=value_title(statistic, "MAD of "))
    colour = colours("benchmark", benchmarks, range_, "benchmark", "stroke")
    picked = picked_in_legend("benchmark")
    shown = {"x": x, "y": y, "color": colour, "opacity": unless_dimmed(picked)}
    base = alt.Chart()
    line = base.mark_line(aria=False).encode(**shown, strokeDash=relevance_dashes())
    dots = base.mark_circle(size=46, aria=False).encode(
        **shown, tooltip=["benchmark:N", "style:N", "relevance:N", tip("mad", "MAD")]
    )
    return panels(alt.layer(line.add_params(picked), dots))


def _lines(
    value: str,
    colour: Any,
    field: str,
    statistic: str | None,
    log: bool,
    tips: list[str],
    dash: Any = None,
    of: str = "",
    band: bool = False,
) -> Any:
    """Lines through the layers, dimmed by the legend, with the nearest point told on the page.

    ``band``: with an area from ``low`` to ``high``.
    """
    import altair as alt

    x = layer_axis()
    y = alt.Y(f"{value}:Q", scale=scale(log), title=value_title(statistic, of))
    picked = picked_in_legend(field)
    base = alt.Chart()
    styled = {"strokeDash": dash} if dash is not None else {}
    line = base.mark_line(aria=False).encode(
        x=x, y=y, color=colour, opacity=unless_dimmed(picked), **styled
    )
    layers = [line.add_params(picked)]
    if band:
        low = alt.Y("low:Q", scale=scale(log), title=value_title(statistic, of))
        area = base.mark_area(aria=False)
        detail = {"detail": dash.shorthand} if dash is not None else {}
        shade = unless_dimmed(picked, 0.18 if dash is None else 0.12)
        layers.insert(
            0, area.encode(x=x, y=low, y2="high:Q", color=colour, opacity=shade, **detail)
        )
    if value == "ratio":
        layers.insert(0, line_of_no_difference())
    if not statistic:
        told = [tip(*m) if isinstance(m, tuple) else m for m in _MEASURED]
        told[1] = tip(value, {"rd": "RD"}.get(value, value))
        layers.append(nearest_point(x, y, colour, [*tips, *told]))
    return alt.layer(*layers)
