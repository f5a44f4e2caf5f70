"""How the heatmap of AUROCs by layer and projection is drawn."""

import altair as alt

from gradpipe.report.charts.parts import name_axis, panels, tooltip_value
from gradpipe.report.style import AUROC_COLORS, statistic_label

_LEGEND_PIXELS = 180


def auroc_by_layer(
    projections: list[str], *, statistic: str | None = None, log: bool = False
) -> alt.FacetChart:
    """Where in the model does the gradient distinguish single responses?

    One panel per comparison, whose title has the AUROC of the loss. Layers are columns and
    projections rows; the color diverges from 0.5, which is chance. ``log`` is ignored: an AUROC has
    no logarithmic scale.
    """
    title = f"AUROC of {statistic_label(statistic)}" if statistic else "AUROC"
    ticks = [0, 0.25, 0.5, 0.75, 1]
    bar = alt.Legend(title=title, gradientLength=_LEGEND_PIXELS, values=ticks, format="~g")
    cells = alt.Chart().mark_rect(aria=False)
    encoded = cells.encode(
        x=alt.X("layer:O", title="layer").axis(labelOverlap=True, labelAngle=0, ticks=False),
        y=alt.Y("projection:N", sort=projections, title=None, axis=name_axis()),
        color=alt.Color(
            "auroc:Q",
            scale=alt.Scale(domain=[0, 0.5, 1], range=list(AUROC_COLORS), interpolate="rgb"),
            legend=bar,
        ),
        tooltip=[
            "projection:N",
            "layer:O",
            tooltip_value("auroc", "AUROC"),
            tooltip_value("loss", "AUROC of the loss"),
        ],
    )
    return panels(encoded.properties(height=alt.Step(22)), field="part", own=None, height=None)
