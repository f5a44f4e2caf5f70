"""Charts with their rows, ready to be drawn into files."""

import textwrap
from collections.abc import Iterator
from typing import Any

import polars as pl

from gradpipe.report import style
from gradpipe.report.chart_data import (
    IS_KNOWLEDGE,
    compared_as,
    distinct,
    in_reading_order,
    labelled_style,
    layer_differences,
    relevance_ratios,
    spectra_rows,
    style_ratios,
    with_errors,
)
from gradpipe.report.charts import curves as curve_charts
from gradpipe.report.charts import effects as effect_charts
from gradpipe.report.charts import examples as example_charts
from gradpipe.report.charts.parts import specification
from gradpipe.report.report_data import ReportInputs
from gradpipe.report.tables.verdicts import CONTROL_LABELS

Drawn = Iterator[tuple[str, dict[str, Any]]]

_BAND = "band: one standard error each side"
SUBTITLES = {
    "curves": f"Mean over examples, correct responses; {_BAND}",
    "ratio": f"One style's curve over another's, correct responses; {_BAND}, as if independent",
    "relevance": "Mean over examples, logarithmic scale",
    "irrelevant-over-correct": f"The irrelevant curve over the correct one; {_BAND}",
    "rd": "|correct − irrelevant| / |correct| by layer; dots: the largest layers",
    "mad": "Mean absolute difference of adjacent layers; filled: correct, hollow: irrelevant",
    "knowledge": "Mean absolute difference of adjacent layers, by the length of the answer",
    "twins": "Mean over examples, correct responses; solid: base, dashed: tuned",
    "verdicts": "Ratio with its 95 % interval; each benchmark's projections from top to bottom",
    "length": "Ratio of mean nuclear norms with its 95 % interval, with length held still",
    "cosines-same-layer": f"Mean cosine of two projections' gradients; {_BAND}",
    "cosines-next-layer": f"Mean cosine with the next layer's gradient; {_BAND}",
    "cosines-responses": f"Mean cosine of two responses' gradients; {_BAND}",
    "examples": "An example a dot: nuclear norm (mean over layers and projections) by length",
    "spectra": "The largest and smallest gradients, each where it is largest",
}
_LINE = ["projection", "style", "relevance", "layer"]
_PART_LETTERS = 46


def of_curves(rows: pl.DataFrame, statistic: str) -> Drawn:
    """Charts of the curves of one model × benchmark, as `shape.drawn_curves` gives them."""
    styles = distinct(rows, "style")
    correct = rows.filter(pl.col("relevance") == "correct")
    if not correct.is_empty():
        chart = curve_charts.statistic_through_the_layers(styles, statistic)
        yield "curves", specification(chart, _lean(correct, "mean", "low", "high"))
    ratios = style_ratios(correct)
    if not ratios.is_empty():
        chart = curve_charts.ratio_of_styles(list(dict.fromkeys(ratios["pair"])), statistic)
        yield "ratio", specification(chart, _lean(ratios, "pair", "ratio", "low", "high"))
    if rows.get_column("relevance").n_unique() > 1:
        chart = curve_charts.correct_against_irrelevant(styles, statistic)
        shown = _lean(rows.filter(pl.col("mean") > 0), "mean")
        yield "relevance", specification(chart, shown)
        chart = curve_charts.irrelevant_over_correct(styles, statistic)
        shown = _lean(relevance_ratios(rows), "ratio", "low", "high")
        yield "irrelevant-over-correct", specification(chart, shown)
        chart = curve_charts.difference_by_layer(styles, statistic)
        shown = _lean(layer_differences(rows).filter(pl.col("rd") > 0), "rd", "largest")
        yield "rd", specification(chart, shown)


def of_mad(mad: pl.DataFrame, statistic: str) -> Drawn:
    """Charts of one model's MADs on all benchmarks, over all layers."""
    columns = ["benchmark", "projection", "style", "relevance"]
    mad = mad.filter(pl.col("segment") == "all", pl.col("mad").is_finite())
    mad = in_reading_order(mad.select(*columns, "mad", IS_KNOWLEDGE.alias("knows")), *columns)
    shown = mad.with_columns(labelled_style())
    reasoning, knowledge = mad.filter(~pl.col("knows")), mad.filter("knows")
    if not reasoning.is_empty():
        chart = curve_charts.mad_by_style(distinct(reasoning, "style"), statistic)
        yield "mad", specification(chart, shown.filter(~pl.col("knows"), pl.col("mad") > 0))
    if not knowledge.is_empty():
        chart = curve_charts.knowledge_by_length(distinct(knowledge, "benchmark"), statistic)
        yield "knowledge", specification(chart, shown.filter("knows"))


def of_twins(curves: pl.DataFrame, base: str, tuned: str, statistic: str) -> Drawn:
    """A chart a benchmark that both models have."""
    of = {"base": base, "tuned": tuned}
    parts = [
        curves.filter(pl.col("model") == model, pl.col("relevance") == "correct").with_columns(
            pl.lit(tuning).alias("tuning")
        )
        for tuning, model in of.items()
    ]
    shared = set(parts[0].get_column("benchmark")) & set(parts[1].get_column("benchmark"))
    both = pl.concat(parts).filter(pl.col("benchmark").is_in(list(shared)))
    for benchmark in distinct(both, "benchmark"):
        rows = both.filter(pl.col("benchmark") == benchmark)
        chart = curve_charts.base_and_tuned(distinct(rows, "style"), statistic)
        yield benchmark, specification(chart, _lean(rows, "tuning", "mean"))


def of_verdicts(inputs: ReportInputs, model: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """A chart a claim with verdicts on the model: its group, title and chart."""
    names = ["benchmark", "projection", "verdict"]
    judged = inputs.verdicts.filter(
        pl.col("level") == "cell",
        pl.col("model") == model,
        pl.all_horizontal(pl.col("effect", "low", "high").is_finite(), pl.col("low") > 0),
    )
    # The claims' order: panels come as their first rows do.
    judged = inputs.claims.join(
        in_reading_order(judged, *names), on="claim", maintain_order="left_right"
    )
    for group in dict.fromkeys(judged.get_column("group")):
        rows = judged.filter(pl.col("group") == group)
        parts = {text: "\n".join(textwrap.wrap(text, _PART_LETTERS)) for text in rows["statement"]}
        part = pl.col("statement").replace(parts).alias("part")
        chart = effect_charts.verdicts_on_a_claim(distinct(rows, "verdict"))
        shown = rows.select(part, *names, "effect", "low", "high")
        yield group, str(rows["title"].item(0)), specification(chart, shown)


def of_examples(inputs: ReportInputs, model: str, benchmark: str) -> Drawn:
    """Charts of one model × benchmark that show no statistic by choice."""
    here = (pl.col("model") == model) & (pl.col("benchmark") == benchmark)
    yield from _of_length(inputs.length.filter(here))
    yield from _of_alignment(inputs.alignment.filter(here))
    examples = inputs.examples.filter(here, pl.col("nuclear_norm") > 0)
    if not examples.is_empty():
        chart = example_charts.size_against_length(distinct(examples, "style"))
        shown = examples.select("style", "relevance", "response_tokens", "nuclear_norm")
        yield "examples", specification(chart, shown.with_columns(labelled_style()))
    spectra = spectra_rows(inputs.extremes.filter(here))
    if not spectra.is_empty():
        chart = example_charts.spectra_of_extremes(distinct(spectra, "end"))
        yield "spectra", specification(chart, spectra.drop("model", "style", "index"))


def _of_length(length: pl.DataFrame) -> Drawn:
    rows = length.filter(
        pl.col("quantity") == "mean",
        pl.all_horizontal(pl.col("effect", "low", "high").is_finite(), pl.col("low") > 0),
    )
    if rows.is_empty():
        return
    controls = [CONTROL_LABELS[control] for control in distinct(rows, "control")]
    styles = [pl.col(c).replace(style.STYLE_LABELS) for c in ("style", "against")]
    shown = rows.select(
        "projection",
        pl.concat_str(styles, separator=" / ").alias("pair"),
        pl.col("control").replace(CONTROL_LABELS),
        *("effect", "low", "high"),
    )
    yield "length", specification(effect_charts.length_held_still(controls), shown)


def _of_alignment(alignment: pl.DataFrame) -> Drawn:
    rows = with_errors(alignment).filter(pl.col("mean").is_not_null())
    error = pl.col("se").fill_null(0.0)
    rows = rows.with_columns(
        (pl.col("mean") - error).alias("low"), (pl.col("mean") + error).alias("high")
    )
    rows = in_reading_order(rows.sort("layer"), "pair", "style", "relevance")
    band = ["layer", "mean", "low", "high"]
    for kind in ("same_layer", "next_layer"):
        of_one = rows.filter(pl.col("kind") == kind)
        if not of_one.is_empty():
            chart = curve_charts.gradients_of_one_model(distinct(of_one, "style"))
            shown = of_one.select("pair", "style", "relevance", *band)
            name = f"cosines-{kind.replace('_', '-')}"
            yield name, specification(chart, shown.with_columns(labelled_style()))
    of_two = rows.filter(pl.col("kind") == "responses").with_columns(
        pl.col("pair").alias("projection"), compared_as().alias("pair")
    )
    if not of_two.is_empty():
        chart = curve_charts.gradients_of_two_responses(list(dict.fromkeys(of_two["pair"])))
        yield "cosines-responses", specification(chart, of_two.select("projection", "pair", *band))


def _lean(rows: pl.DataFrame, *values: str) -> pl.DataFrame:
    return in_reading_order(rows.select(*_LINE, *values), *_LINE).with_columns(labelled_style())
