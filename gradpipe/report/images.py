"""The charts as files: one PNG and one SVG a model × benchmark and kind of chart."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from gradpipe.hashing import content_hash
from gradpipe.report import charts, look
from gradpipe.report.inputs import ReportInputs
from gradpipe.report.shape import (
    IS_KNOWLEDGE,
    distinct,
    drawn_curves,
    in_reading_order,
    labelled_style,
)

#: Pixels a unit of the drawing: about 170 dots an inch at the width of a page.
PNG_SCALE = 1.5


def file_names(names: list[str]) -> dict[str, str]:
    """A file-name part for each name: lower-case letters, digits and dashes, all different.

    Names that would read alike get a hash of the name behind them, whatever their order.
    """
    plain = {name: re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60] for name in names}
    slugs = list(plain.values())
    return {
        name: slug if slug and slugs.count(slug) == 1 else f"{slug or 'x'}-{content_hash(name)[:6]}"
        for name, slug in plain.items()
    }


def write_images(inputs: ReportInputs, folder: Path) -> list[Path]:
    """Draw every chart of the default statistic into ``folder``; the files written, in order."""
    import vl_convert

    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, specification in static_charts(inputs):
        svg = vl_convert.vegalite_to_svg(json.dumps(specification))
        (folder / f"{name}.svg").write_text(svg, encoding="utf-8", newline="\n")
        (folder / f"{name}.png").write_bytes(vl_convert.svg_to_png(svg, scale=PNG_SCALE))
        written += [folder / f"{name}.svg", folder / f"{name}.png"]
    return written


def static_charts(
    inputs: ReportInputs, statistic: str = look.DEFAULT_STATISTIC
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every chart that becomes a file: the file's name without ending, and its specification."""
    curves = drawn_curves(inputs.curves.filter(pl.col("statistic") == statistic))
    curves = curves.filter(pl.col("mean").is_not_null())
    mad = inputs.mad.filter(
        pl.col("statistic") == statistic, pl.col("segment") == "all", pl.col("mad").is_finite()
    )
    slugs = file_names(distinct(inputs.curves, "model") + distinct(inputs.curves, "benchmark"))
    suffix = statistic.replace("_", "-")
    for model in distinct(curves, "model"):
        of_model = curves.filter(pl.col("model") == model)
        for benchmark in distinct(of_model, "benchmark"):
            rows = of_model.filter(pl.col("benchmark") == benchmark)
            stem = f"{slugs[model]}--{slugs[benchmark]}--{suffix}"
            for kind, chart in _of_one_benchmark(rows, statistic):
                yield f"{kind}--{stem}", {**chart, **_title(f"{model} · {benchmark}", kind)}
        for kind, chart in _of_all_benchmarks(mad.filter(pl.col("model") == model), statistic):
            yield f"{kind}--{slugs[model]}--{suffix}", {**chart, **_title(model, kind)}


def _of_one_benchmark(rows: pl.DataFrame, statistic: str) -> Iterator[tuple[str, dict[str, Any]]]:
    styles = distinct(rows, "style")
    correct = rows.filter(pl.col("relevance") == "correct")
    if not correct.is_empty():
        chart = charts.statistic_through_the_layers(styles, statistic)
        yield "curves", charts.specification(chart, _lean(correct))
    if rows.get_column("relevance").n_unique() > 1:
        chart = charts.correct_against_irrelevant(styles, statistic)
        yield "relevance", charts.specification(chart, _lean(rows.filter(pl.col("mean") > 0)))


def _of_all_benchmarks(mad: pl.DataFrame, statistic: str) -> Iterator[tuple[str, dict[str, Any]]]:
    columns = ["benchmark", "projection", "style", "relevance"]
    mad = in_reading_order(mad.select(*columns, "mad", IS_KNOWLEDGE.alias("knows")), *columns)
    shown = mad.with_columns(labelled_style())
    reasoning, knowledge = mad.filter(~pl.col("knows")), mad.filter("knows")
    if not reasoning.is_empty():
        chart = charts.mad_by_style(distinct(reasoning, "style"), statistic)
        yield "mad", charts.specification(chart, shown.filter(~pl.col("knows"), pl.col("mad") > 0))
    if not knowledge.is_empty():
        chart = charts.knowledge_by_length(distinct(knowledge, "benchmark"), statistic)
        yield "knowledge", charts.specification(chart, shown.filter("knows"))


def _lean(rows: pl.DataFrame) -> pl.DataFrame:
    drawn = rows.select("projection", "style", "relevance", "layer", "mean", "low", "high")
    return in_reading_order(drawn, "projection", "style", "relevance", "layer").with_columns(
        labelled_style()
    )


_SUBTITLES = {
    "curves": "Mean over examples, correct responses; band: one standard error each side",
    "relevance": "Mean over examples, logarithmic scale",
    "mad": "Mean absolute difference of adjacent layers; filled: correct, hollow: irrelevant",
    "knowledge": "Mean absolute difference of adjacent layers, by the length of the answer",
}


def _title(text: str, kind: str) -> dict[str, Any]:
    title = {"text": text, "subtitle": _SUBTITLES[kind], "offset": 14}
    return {"title": title, "padding": 16}
