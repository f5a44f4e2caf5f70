"""How diverse sets of examples are, and how their mean gradients compare, in sentences."""

import polars as pl

from gradpipe.report import style
from gradpipe.report.prose.phrases import count_text, join_words, range_text, short_number
from gradpipe.report.report_data import ReportInputs
from gradpipe.report.tables.sets import matched_diversity
from gradpipe.statistics.table import ALL_PROJECTIONS

_KINDS = {"styles": "two styles on one benchmark", "benchmarks": "two benchmarks in one style"}


def sets_note(inputs: ReportInputs) -> str | None:
    """The diversity of each style's correct responses, and the cosines of mean gradients.

    None if there are no sets.
    """
    sentences = [*_diversities(inputs.set_diversity), *_cosines(inputs.set_cosines)]
    return " ".join(sentences) or None


def _diversities(diversity: pl.DataFrame) -> list[str]:
    """One sentence per matched size: geometric means over the cells, by style."""
    matched = matched_diversity(diversity.filter(projection=ALL_PROJECTIONS, relevance="correct"))
    sentences = []
    for (size,), part in matched.sort("size").group_by("size", maintain_order=True):
        means = dict(part.group_by("style").agg(pl.col("diversity").log().mean().exp()).iter_rows())
        named = [
            f"{short_number(means[name])} ({style.style_label(name)})"
            for name in style.in_order("style", list(means))
        ]
        cells = part.select("model", "benchmark").n_unique()
        typical = f", on average over {cells} cells" if cells > 1 else ""
        sentences.append(
            f"The gradients of {count_text(int(str(size)), 'correct response')} of one set point "
            f"in {join_words(named)} different directions{typical}."
        )
    return sentences


def _cosines(cosines: pl.DataFrame) -> list[str]:
    """A sentence with the range of the cosines of each kind of comparison."""
    shown = cosines.filter(projection=ALL_PROJECTIONS, relevance="correct").drop_nulls("cosine")
    sentences = []
    for kind, name in _KINDS.items():
        values = shown.filter(kind=kind)["cosine"].sort().to_list()
        if len(values) == 1:
            sentences.append(
                f"The mean gradients of {name} have a cosine of {style.number(values[0])}."
            )
        elif values:
            extent = range_text(values[0], values[-1])
            sentences.append(f"The mean gradients of {name} have cosines of {extent}.")
    return sentences
