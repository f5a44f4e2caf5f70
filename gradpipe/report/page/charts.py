"""The charts of the page as specifications, and the choices of their pickers."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import accumulate
from typing import Any

import polars as pl

from gradpipe.report import style
from gradpipe.report.chart_data import (
    IS_KNOWLEDGE,
    RATIOS,
    compared_as,
    distinct,
)
from gradpipe.report.charts import curves as curve_charts
from gradpipe.report.charts import discrimination as discrimination_charts
from gradpipe.report.charts import effects as effect_charts
from gradpipe.report.charts import examples as example_charts
from gradpipe.report.charts.parts import specification
from gradpipe.report.report_data import ReportInputs
from gradpipe.report.tables.verdicts import CONTROL_LABELS

#: The margin of a chart with names down its left side, beside these names.
_WIDE = (0, 12)
#: The margin of a chart whose panels share the scale at the left.
_SHARED = (2, 58)
_QUANTITY_LABELS = {"mean": "mean over layers", "mad": "MAD"}
#: The statistics whose AUROCs by layer come first, and the number of AUROCs that a page has room
#: for: those of all statistics of a small study, of one for the paper's grid.
_FIRST_STATISTICS = ("nuclear_norm", "effective_rank")
MOST_AUROCS = 60_000

_JUDGED = (pl.col("level") == "cell") & pl.col("effect").is_finite()


@dataclass(frozen=True)
class PageChart:
    """A chart of the page; the page's script collects its rows.

    ``draw`` takes ``names`` and ``log``. ``margin`` is the width in pixels of the axes: per panel,
    and of shared axes. ``log`` says whether the first scale is logarithmic;
    with ``scales`` the reader can switch to the other one.
    """

    id: str
    draw: Callable[..., Any]
    #: The values that its colors distinguish, in order.
    names: tuple[str, ...]
    margin: tuple[int, int] = (38, 12)
    log: bool = True
    scales: bool = True

    def for_page(self) -> dict[str, Any]:
        """The chart as JSON for the page's script, with one specification per scale."""
        kinds = ("linear", "log") if self.scales else ("log" if self.log else "linear",)
        return {
            "id": self.id,
            "margin": self.margin,
            "start": "log" if self.log else "linear",
            **{kind: _specification(self.draw, self.names, kind == "log") for kind in kinds},
        }


@lru_cache(maxsize=256)
def _specification(draw: Callable[..., Any], names: tuple[str, ...], log: bool) -> dict[str, Any]:
    """A chart as Vega-Lite, cached because building one takes a tenth of a second."""
    return specification(draw(list(names), log=log))


#: A chart, and whether the results have rows for it.
_Candidate = tuple[PageChart, bool]


def page_charts(inputs: ReportInputs) -> dict[str, PageChart]:
    """The charts that the results have rows for, by id, in the order of the page."""
    return {
        chart.id: chart
        for chart, has_rows in (
            *_of_verdicts(inputs),
            *_of_curves(inputs),
            *_of_aurocs(inputs),
            *_of_mad(inputs),
            *_of_examples(inputs),
        )
        if has_rows
    }


def page_choices(inputs: ReportInputs) -> dict[str, list[tuple[str, str]]]:
    """The choices of the pickers of single charts: values and labels."""
    judged = set(inputs.verdicts.filter(_JUDGED).get_column("claim"))
    groups = inputs.claims.filter(pl.col("claim").is_in(list(judged)))
    kinds = set(inputs.alignment.get_column("kind"))
    quantities = set(inputs.length.get_column("quantity"))
    twins = inputs.twins.filter(
        *(pl.col(c).is_in(distinct(inputs.curves, "model")) for c in ("base", "tuned"))
    )
    titles = groups.group_by("group", maintain_order=True).agg(pl.col("title").first()).rows()
    return {
        "claim": [(str(group), str(title)) for group, title in titles],
        "kind": [(k, v) for k, v in style.ALIGNMENT_LABELS.items() if k in kinds],
        "quantity": [(k, v) for k, v in _QUANTITY_LABELS.items() if k in quantities],
        "twins": [(f"{i}", f"{base} → {tuned}") for i, (base, tuned) in enumerate(twins.rows())],
    }


def _of_verdicts(inputs: ReportInputs) -> list[_Candidate]:
    verdicts = distinct(inputs.verdicts.filter(_JUDGED), "verdict")
    present = set(inputs.length.filter(pl.col("effect").is_finite()).get_column("control"))
    controls = [label for control, label in CONTROL_LABELS.items() if control in present]
    judged = PageChart("verdicts", effect_charts.verdicts_on_a_claim, tuple(verdicts), _WIDE)
    length = PageChart("length", effect_charts.length_held_still, tuple(controls), _WIDE)
    return [(judged, bool(verdicts)), (length, bool(controls))]


def _of_curves(inputs: ReportInputs) -> list[_Candidate]:
    styles = tuple(distinct(inputs.curves, "style"))
    pairs = [pair for pair in RATIOS if set(pair) <= set(styles)]
    names = tuple(" / ".join(map(style.style_label, pair)) for pair in pairs)
    both = "irrelevant" in distinct(inputs.curves, "relevance")
    through = curve_charts.statistic_through_the_layers
    return [
        (PageChart("curves", through, styles, log=False), bool(styles)),
        (PageChart("ratio", curve_charts.ratio_of_styles, names), bool(pairs)),
        (
            PageChart("relevance", curve_charts.correct_against_irrelevant, styles),
            both,
        ),
        (PageChart("over", curve_charts.irrelevant_over_correct, styles), both),
        (PageChart("rd", curve_charts.layers_of_difference, styles), both),
        (
            PageChart("twins", curve_charts.base_against_tuned, styles, log=False),
            bool(page_choices(inputs)["twins"]),
        ),
    ]


def _of_aurocs(inputs: ReportInputs) -> list[_Candidate]:
    projections = tuple(distinct(inputs.discrimination, "projection"))
    draw = discrimination_charts.auroc_by_layer
    chart = PageChart("aurocs", draw, projections, _WIDE, log=False, scales=False)
    return [(chart, bool(heatmap_statistics(inputs.discrimination)))]


def heatmap_statistics(discrimination: pl.DataFrame) -> list[str]:
    """The statistics whose AUROCs by layer the page has room for, the most important first."""
    by_layer = discrimination.drop_nulls("layer")
    present = distinct(by_layer, "statistic")
    ordered = [*(name for name in _FIRST_STATISTICS if name in present)]
    ordered += [name for name in present if name not in ordered]
    counts = dict(by_layer.group_by("statistic").len().rows())
    sizes = accumulate(counts[name] for name in ordered)
    room = sum(size <= MOST_AUROCS for size in sizes)
    return ordered[: max(room, 1)]


def _of_mad(inputs: ReportInputs) -> list[_Candidate]:
    mad = inputs.mad.filter(pl.col("mad").is_finite())
    reasoning = distinct(mad.filter(~IS_KNOWLEDGE), "style")
    topics = distinct(mad.filter(IS_KNOWLEDGE), "benchmark")
    dots = PageChart("mad", curve_charts.mad_by_style, tuple(reasoning), _WIDE)
    by_topic = PageChart("knowledge", curve_charts.knowledge_by_length, tuple(topics), log=False)
    return [(dots, bool(reasoning)), (by_topic, bool(topics))]


def _of_examples(inputs: ReportInputs) -> list[_Candidate]:
    alignment = inputs.alignment.filter(pl.col("mean").is_finite())
    of_one = alignment.filter(pl.col("kind") != "responses")
    of_two = alignment.filter(pl.col("kind") == "responses")
    styles, compared = distinct(of_one, "style"), compared_responses(of_two)
    sized = distinct(inputs.examples, "style")
    ends = distinct(inputs.extremes, "end")
    one, two = curve_charts.gradients_of_one_model, curve_charts.gradients_of_two_responses
    scatter, spectra = example_charts.size_against_length, example_charts.spectra_of_extremes
    cosines = partial(PageChart, margin=_SHARED, log=False, scales=False)
    return [
        (cosines("alignment", one, tuple(styles)), bool(styles)),
        (cosines("responses", two, tuple(compared)), bool(compared)),
        (PageChart("sizes", scatter, tuple(sized), _SHARED, scales=False), bool(sized)),
        (PageChart("spectra", spectra, tuple(ends), _SHARED, scales=False), bool(ends)),
    ]


def compared_responses(alignment: pl.DataFrame) -> list[str]:
    """The labels of the comparisons of two responses, in reading order."""
    names = alignment.select(compared_as().alias("pair")).get_column("pair")
    return list(dict.fromkeys(names.drop_nulls()))
