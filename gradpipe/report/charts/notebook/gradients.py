"""Charts of gradients themselves: cosines between them, single examples, spectra."""

from typing import Literal

import altair as alt

from gradpipe.errors import DataError
from gradpipe.gradients.spectra.comparisons import SAME_LAYER
from gradpipe.report.charts.notebook.derived import cosine_curves, extreme_examples
from gradpipe.report.charts.notebook.tables import ResultsFrame, checked, choose, draw
from gradpipe.report.report_data import ALIGNMENT_SCHEMA
from gradpipe.statistics.examples import SCORES, example_scores
from gradpipe.statistics.table import with_labels

_MADE_BY = "gp.extract_spectra"
_EXAMPLE = ("layer", "projection", "tokens", "response_tokens", "loss")


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
    return draw(f"cosines-{kind.replace('_', '-')}", cell, needs=needs, title=title)


def examples(
    table: ResultsFrame,
    *,
    model: str | None = None,
    benchmark: str | None = None,
    log: bool = True,
    title: str | None = None,
) -> alt.FacetChart:
    """Draw the size of each example's gradient by the length of its response.

    One dot per example: its nuclear norm, as a mean over layers and projections, by the tokens of
    its response. One panel per relevance and one color per style.

    Args:
        table: A statistics table, as ``gp.statistics_table`` returns it, or the table that
            ``extract_spectra`` returned.
        model: The model to draw; needed if the table has several.
        benchmark: The benchmark to draw; needed if the table has several.
        log: Use logarithmic scales.
        title: The chart's title; by default the names of model and benchmark.

    Returns:
        An Altair chart with its data.

    Raises:
        DataError: ``table`` is another kind of table, has no nuclear norms, or has several models
            or benchmarks and none is chosen.

    Examples:
        >>> pairs = [("Add 2 and 2.", "4"), ("Name a color.", "Blue, or a shade of it.")]
        >>> chart = gp.charts.examples(gp.extract_spectra(model, tokenizer, pairs))
        >>> [row["index"] for row in chart.data.values]
        [0, 1]
    """
    frame = checked(table, (*_EXAMPLE, "nuclear_norm"), "gp.statistics_table")
    cell = choose(with_labels(frame.lazy()).collect(), model=model, benchmark=benchmark)
    needs = "examples with a positive nuclear norm"
    return draw("examples", example_scores(cell.lazy()), needs=needs, log=log, title=title)


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
    frame = checked(spectra, (*_EXAMPLE, *SCORES, "singular_values"), _MADE_BY)
    cell = choose(with_labels(frame.lazy()).collect(), model=model, benchmark=benchmark)
    needs = "singular values above zero"
    return draw("spectra", extreme_examples(cell, most), needs=needs, log=log, title=title)
