"""The charts that become image files: of one statistic, for each model and benchmark."""

from collections.abc import Iterator

import altair as alt
import polars as pl

from gradpipe.report.chart_data import distinct
from gradpipe.report.charts.kinds import KINDS
from gradpipe.report.charts.rows import beside_the_loss, two_models, verdicts_with_statements
from gradpipe.report.report_data import ReportInputs
from gradpipe.report.style import DEFAULT_STATISTIC

#: Kinds of charts with their charts.
NamedCharts = Iterator[tuple[str, alt.FacetChart]]

_OF_CURVES = ("curves", "ratio", "relevance", "irrelevant-over-correct", "rd")


def charts_of_curves(curves: pl.DataFrame, statistic: str, title: str) -> NamedCharts:
    """The charts of one statistic's curves, for one model and benchmark."""
    for kind in _OF_CURVES:
        yield from _drawn(kind, curves, title, statistic)


def charts_of_mads(mads: pl.DataFrame, statistic: str, title: str) -> NamedCharts:
    """The charts of one model's MADs over all layers, for all benchmarks."""
    over_all_layers = mads.filter(pl.col("segment") == "all")
    for kind in ("mad", "knowledge"):
        yield from _drawn(kind, over_all_layers, title, statistic)


def charts_of_two_models(
    curves: pl.DataFrame, base: str, tuned: str, statistic: str
) -> Iterator[tuple[str, alt.FacetChart]]:
    """One chart per benchmark that both models have, by benchmark."""
    both = two_models(curves, base, tuned)
    for benchmark in distinct(both, "benchmark"):
        rows = both.filter(pl.col("benchmark") == benchmark)
        title = f"{base} and {tuned} · {benchmark}"
        yield from ((benchmark, chart) for _, chart in _drawn("twins", rows, title, statistic))


def charts_of_verdicts(inputs: ReportInputs, model: str) -> Iterator[tuple[str, alt.FacetChart]]:
    """One chart per group of claims with verdicts on the model, by group."""
    verdicts = inputs.verdicts.filter(pl.col("model") == model)
    judged = verdicts_with_statements(verdicts, inputs.claims)
    for (group, name), rows in judged.group_by("group", "title", maintain_order=True):
        title = f"{name} · {model}"
        yield from ((str(group), chart) for _, chart in _drawn("verdicts", rows, title))


def charts_of_examples(inputs: ReportInputs, model: str, benchmark: str, title: str) -> NamedCharts:
    """The charts of one model and benchmark that do not depend on a choice of statistic."""
    here = (pl.col("model") == model) & (pl.col("benchmark") == benchmark)
    means = inputs.length.filter(here, pl.col("quantity") == "mean")
    yield from _drawn("length", means, title)
    aurocs = beside_the_loss(inputs.discrimination.filter(here))
    default = aurocs.filter(statistic=DEFAULT_STATISTIC)
    yield from _drawn("discrimination", default, title, DEFAULT_STATISTIC)
    for kind in ("same_layer", "next_layer", "responses"):
        cosines = inputs.alignment.filter(here, pl.col("kind") == kind)
        yield from _drawn(f"cosines-{kind.replace('_', '-')}", cosines, title)
    yield from _drawn("examples", inputs.examples.filter(here), title)
    yield from _drawn("spectra", inputs.extremes.filter(here), title)


def _drawn(kind: str, table: pl.DataFrame, title: str, statistic: str | None = None) -> NamedCharts:
    """The chart of a table, unless it has no rows to draw."""
    rows = KINDS[kind].rows(table)
    if not rows.is_empty():
        yield kind, KINDS[kind].chart(rows, title=title, statistic=statistic)
