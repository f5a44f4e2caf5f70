"""The spectra of the examples with the largest and smallest gradients."""

import altair as alt
import polars as pl

from gradpipe.report.chart_data import distinct, spectra_rows
from gradpipe.report.charts import sections
from gradpipe.report.charts.chart_files import files_of_cells
from gradpipe.report.charts.derived import extreme_examples
from gradpipe.report.charts.kind import ChartKind
from gradpipe.report.charts.notebook_tables import ResultsFrame, checked, choose, draw
from gradpipe.report.charts.page_figure import SHARED_MARGIN, PageFigure
from gradpipe.report.charts.parts import (
    color_by,
    layered,
    panels,
    scale,
    selected_in_legend,
    tooltip_value,
    unless_dimmed,
)
from gradpipe.report.report_data import ReportInputs
from gradpipe.report.style import END_COLORS
from gradpipe.statistics.examples import SCORES
from gradpipe.statistics.table import with_labels

_EXAMPLE = ("layer", "projection", "tokens", "response_tokens", "loss")


def spectra_of_extremes(ends: list[str], *, log: bool = True) -> alt.FacetChart:
    """Do the largest gradients have other spectra than the smallest?

    One panel per projection, one line per example: the singular values by rank, at the layer where
    its gradient is largest.
    """
    colors = [END_COLORS[end] for end in ends]
    selected = selected_in_legend("end")
    shared = {
        "x": alt.X("rank:Q", scale=scale(log), title="rank").axis(tickCount=4, format="~g"),
        "y": alt.Y("value:Q", scale=scale(log), title="singular value").axis(
            tickCount=4, format="~g"
        ),
        "color": color_by("end", ends, colors, title="gradient", symbol="stroke"),
        "detail": "place:N",
    }
    base = alt.Chart()
    line = base.mark_line(strokeWidth=1.5, aria=False).encode(
        **shared, opacity=unless_dimmed(selected, 0.8)
    )
    points = base.mark_circle(size=40, opacity=0, aria=False).encode(
        **shared,
        tooltip=[
            "end:N",
            "place:N",
            alt.Tooltip("index:Q", title="item"),
            "style:N",
            "layer:Q",
            "rank:Q",
            tooltip_value("value", "singular value"),
        ],
    )
    return panels(layered(line.add_params(selected), points), own=None)


def extreme_rows(extremes: pl.DataFrame) -> pl.DataFrame:
    """The spectra of the most extreme examples, one row per singular value."""
    return spectra_rows(extremes).drop("model")


def spectra(
    spectra: ResultsFrame,
    *,
    most: int = 3,
    model: str | None = None,
    benchmark: str | None = None,
    log: bool = True,
    title: str | None = None,
) -> alt.FacetChart:
    """Draw the spectra of the examples with the largest and the smallest gradients.

    One panel per projection and one line per example: the singular values by rank, at the layer
    where the nuclear norm of its gradient is largest.

    Args:
        spectra: The table that ``extract_spectra`` returned.
        most: The largest number of examples at each end.
        model: The model to draw; needed if the table has several.
        benchmark: The benchmark to draw; needed if the table has several.
        log: Use logarithmic scales.
        title: The chart's title; by default the names of model and benchmark.

    Returns:
        An Altair chart with its data.

    Raises:
        DataError: ``spectra`` is another kind of table, has no singular values, or has several
            models or benchmarks and none is chosen.

    Examples:
        >>> pairs = [("Add 2 and 2.", "4"), ("Name a color.", "Blue, or a shade of it.")]
        >>> chart = gp.charts.spectra(gp.extract_spectra(model, tokenizer, pairs), most=1)
        >>> {row["end"] for row in chart.data.values} == {"largest", "smallest"}
        True
    """
    frame = checked(spectra, (*_EXAMPLE, *SCORES, "singular_values"), "gp.extract_spectra")
    cell = choose(with_labels(frame.lazy()).collect(), model=model, benchmark=benchmark)
    needs = "singular values above zero"
    return draw(EXTREME_SPECTRA, extreme_examples(cell, most), needs=needs, log=log, title=title)


def _ends(inputs: ReportInputs) -> list[str]:
    return distinct(inputs.extremes, "end")


EXTREME_SPECTRA = ChartKind(
    name="spectra",
    draw=spectra_of_extremes,
    rows=extreme_rows,
    color="end",
    value="value",
    subtitle="The largest and smallest gradients, each where it is largest",
    files=files_of_cells(lambda inputs: inputs.extremes),
    figure=PageFigure(
        id="spectra",
        section=sections.EXAMPLES_SECTION,
        heading="Singular values of the largest and smallest gradients",
        names=_ends,
        caption=(
            "Singular values of these gradients by rank, each projection at the layer where the "
            "gradient is largest."
        ),
        place="extremes",
        margin=SHARED_MARGIN,
        scales=False,
    ),
    function=spectra,
)
