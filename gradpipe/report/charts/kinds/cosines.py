"""Cosines of two gradients of one example, and of two responses to one item."""

from typing import Literal

import altair as alt
import polars as pl

from gradpipe.errors import DataError
from gradpipe.gradients.spectra.comparisons import SAME_LAYER
from gradpipe.report.chart_data import compared_as, distinct
from gradpipe.report.charts import sections
from gradpipe.report.charts.chart_files import FilesOf, files_of_cells
from gradpipe.report.charts.curve_lines import curve_lines
from gradpipe.report.charts.derived import cosine_curves
from gradpipe.report.charts.drawable_rows import POINT, cosine_bands
from gradpipe.report.charts.kind import BAND, ChartKind
from gradpipe.report.charts.notebook_tables import ResultsFrame, checked, choose, draw
from gradpipe.report.charts.page_figure import SHARED_MARGIN, PageFigure, Picker
from gradpipe.report.charts.parts import color_by, color_by_style, cycled, panels, relevance_dashes
from gradpipe.report.report_data import ALIGNMENT_SCHEMA, ReportInputs
from gradpipe.report.style import ALIGNMENT_LABELS, PAIR_COLORS
from gradpipe.statistics.table import with_labels

_MADE_BY = "gp.extract_spectra"


def gradients_of_one_model(
    styles: list[str], *, log: bool = False, tooltips: bool = True
) -> alt.FacetChart:
    """Do the gradients of two projections, or of two layers, point the same way?

    One panel per pair, one color per style; solid for correct, dashed for irrelevant responses.
    """
    layers = curve_lines(
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
    layers = curve_lines(
        value="mean",
        color=color_by("pair", pairs, cycled(PAIR_COLORS, pairs), title="", symbol="stroke"),
        field="pair",
        title=None,
        log=log,
        tooltip=["pair:N"] if tooltips else None,
        band=True,
    )
    return panels(layers, own=None)


def alignment_rows(cosines: pl.DataFrame) -> pl.DataFrame:
    """The curves of cosines of one kind, with a band of one standard error each side."""
    return cosine_bands(cosines).select("pair", "style", "relevance", "layer", *POINT)


def response_rows(cosines: pl.DataFrame) -> pl.DataFrame:
    """The curves of cosines of two responses; ``pair`` names the two."""
    named = cosine_bands(cosines).with_columns(
        pl.col("pair").alias("projection"), compared_as().alias("pair")
    )
    return named.select("projection", "pair", "layer", *POINT)


def alignment(
    table: ResultsFrame,
    *,
    kind: Literal["same_layer", "next_layer", "responses"] = "same_layer",
    model: str | None = None,
    benchmark: str | None = None,
    title: str | None = None,
) -> alt.FacetChart:
    """Draw the mean cosine between two gradients, layer by layer: 1 is the same direction.

    One panel per pair of gradients and one color per style, with a band of one standard error each
    side; solid lines for correct responses, dashed lines for irrelevant ones.

    Args:
        table: The table that ``extract_spectra`` returned, with labels added as in
            ``gp.statistics_table``. Or curves of cosines, as
            ``gradpipe.statistics.alignment.alignment_curves`` returns them for a workspace's
            alignment tables.
        kind: "same_layer": two projections of one layer; "next_layer": one projection in adjacent
            layers; "responses": two responses to one item, which only curves of cosines have.
        model: The model to draw; needed if the table has several.
        benchmark: The benchmark to draw; needed if the table has several.
        title: The chart's title; by default the names of model and benchmark.

    Returns:
        An Altair chart with its data. ``chart.data.values`` are the rows that it draws.

    Raises:
        DataError: ``table`` is another kind of table, has no such cosines, or has several models
            or benchmarks and none is chosen.

    Examples:
        >>> spectra = gp.extract_spectra(model, tokenizer, [("Add 2 and 2.", "4")])
        >>> chart = gp.charts.alignment(spectra, kind="next_layer")
        >>> {row["pair"] for row in chart.data.values} == {"q", "k", "v", "o"}
        True
    """
    if "kind" in table.lazy().collect_schema().names():
        made_by = "gradpipe.statistics.alignment.alignment_curves"
        curves = checked(table, tuple(ALIGNMENT_SCHEMA), made_by)
    elif kind == "responses":
        raise DataError(
            "A table of spectra has no cosines of two responses: pass the table that "
            "gradpipe.statistics.alignment.alignment_curves returns for a workspace's alignments."
        )
    else:
        cosines = ("next_layer_cosine", *(f"{pair}_cosine" for pair in SAME_LAYER))
        spectra = checked(table, ("layer", "projection", *cosines), _MADE_BY)
        curves = cosine_curves(with_labels(spectra.lazy()).collect())
    cell = choose(curves, kind=kind, model=model, benchmark=benchmark)
    needs = f"cosines of the kind {kind!r}"
    return draw(_KINDS[kind], cell, needs=needs, title=title)


def _of_kind(kind: str) -> FilesOf:
    return files_of_cells(lambda inputs: inputs.alignment.filter(pl.col("kind") == kind))


def _finite(inputs: ReportInputs) -> pl.DataFrame:
    return inputs.alignment.filter(pl.col("mean").is_finite())


def _styles(inputs: ReportInputs) -> list[str]:
    return distinct(_finite(inputs).filter(pl.col("kind") != "responses"), "style")


def _kinds(inputs: ReportInputs) -> list[tuple[str, str]]:
    present = set(inputs.alignment.get_column("kind"))
    return [(kind, label) for kind, label in ALIGNMENT_LABELS.items() if kind in present]


def _compared(inputs: ReportInputs) -> list[str]:
    """The labels of the comparisons of two responses, in reading order."""
    of_two = _finite(inputs).filter(pl.col("kind") == "responses")
    names = of_two.select(compared_as().alias("pair")).get_column("pair")
    return list(dict.fromkeys(names.drop_nulls()))


COSINES_SAME_LAYER = ChartKind(
    name="cosines-same-layer",
    draw=gradients_of_one_model,
    rows=alignment_rows,
    color="style",
    value="mean",
    subtitle=f"Mean cosine of two projections' gradients; {BAND}",
    log=False,
    options=("tooltips",),
    files=_of_kind("same_layer"),
    # The figure of the page draws both kinds of cosines of one example.
    figure=PageFigure(
        id="alignment",
        section=sections.ALIGNMENT_SECTION,
        heading="Cosines of two gradients of one example",
        axis="cosine",
        names=_styles,
        caption=(
            "Mean cosine of two gradients of one example: 1 means the same direction, 0 means "
            "orthogonal directions. Solid for correct, dashed for irrelevant responses; the band "
            "is one standard error on each side."
        ),
        margin=SHARED_MARGIN,
        log=False,
        scales=False,
        pickers=(Picker(name="kind", label="Cosines of", choices=_kinds),),
    ),
    function=alignment,
)
COSINES_NEXT_LAYER = ChartKind(
    name="cosines-next-layer",
    draw=gradients_of_one_model,
    rows=alignment_rows,
    color="style",
    value="mean",
    subtitle=f"Mean cosine with the next layer's gradient; {BAND}",
    log=False,
    options=("tooltips",),
    files=_of_kind("next_layer"),
    function=alignment,
)
COSINES_RESPONSES = ChartKind(
    name="cosines-responses",
    draw=gradients_of_two_responses,
    rows=response_rows,
    color="pair",
    value="mean",
    subtitle=f"Mean cosine of two responses' gradients; {BAND}",
    log=False,
    options=("tooltips",),
    files=_of_kind("responses"),
    figure=PageFigure(
        id="responses",
        section=sections.ALIGNMENT_SECTION,
        heading="Cosines of the gradients of two responses to one item",
        axis="cosine",
        names=_compared,
        caption=(
            "Mean cosine of the gradients of two responses to the same item: near 1 they change "
            "the model in the same direction, near 0 in unrelated directions."
        ),
        margin=SHARED_MARGIN,
        log=False,
        scales=False,
    ),
    function=alignment,
)
_KINDS = {
    "same_layer": COSINES_SAME_LAYER,
    "next_layer": COSINES_NEXT_LAYER,
    "responses": COSINES_RESPONSES,
}
