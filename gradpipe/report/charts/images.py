"""The charts as files for a paper: one PNG and one SVG each, of the default statistic.

A study of up to `MOST_CELLS` models × benchmarks gets every kind of chart. A larger one gets those
of `ALWAYS`, so that the files of the paper's whole grid are drawn in minutes; its page draws and
saves the others.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from gradpipe.report import style
from gradpipe.report.chart_data import distinct, drawn_curves
from gradpipe.report.charts import static
from gradpipe.report.report_data import ReportInputs
from gradpipe.system.hashing import content_hash

#: Pixels a unit of the drawing: about 170 dots an inch at the width of a page.
PNG_SCALE = 1.5
MOST_CELLS = 12
ALWAYS = ("curves", "ratio", "relevance", "mad", "knowledge", "twins")


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
    """Draw the charts into ``folder``; the files written, in order."""
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
    inputs: ReportInputs, statistic: str = style.DEFAULT_STATISTIC
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every chart that becomes a file: the file's name without ending, and its specification."""
    curves = drawn_curves(inputs.curves.filter(pl.col("statistic") == statistic))
    curves = curves.filter(pl.col("mean").is_not_null())
    models, benchmarks = distinct(inputs.curves, "model"), distinct(inputs.curves, "benchmark")
    slugs = file_names(models + benchmarks)
    all_kinds = inputs.curves.select("model", "benchmark").n_unique() <= MOST_CELLS
    suffix = statistic.replace("_", "-")
    for model in models:
        of_model = curves.filter(pl.col("model") == model)
        for benchmark in distinct(of_model, "benchmark"):
            rows = of_model.filter(pl.col("benchmark") == benchmark)
            stem, title = f"{slugs[model]}--{slugs[benchmark]}", f"{model} · {benchmark}"
            for kind, chart in static.of_curves(rows, statistic):
                if all_kinds or kind in ALWAYS:
                    yield f"{kind}--{stem}--{suffix}", _titled(chart, title, kind)
            more = static.of_examples(inputs, model, benchmark) if all_kinds else ()
            for kind, chart in more:
                yield f"{kind}--{stem}", _titled(chart, title, kind)
        mad = inputs.mad.filter(pl.col("model") == model, pl.col("statistic") == statistic)
        for kind, chart in static.of_mad(mad, statistic):
            yield f"{kind}--{slugs[model]}--{suffix}", _titled(chart, model, kind)
        judged = static.of_verdicts(inputs, model) if all_kinds else ()
        for group, title, chart in judged:
            name = f"verdicts--{slugs[model]}--{file_names([group])[group]}"
            yield name, _titled(chart, f"{title} · {model}", "verdicts")
    for base, tuned in inputs.twins.select("base", "tuned").rows():
        for benchmark, chart in static.of_twins(curves, base, tuned, statistic):
            name = f"twins--{slugs[base]}--{slugs[tuned]}--{slugs[benchmark]}--{suffix}"
            yield name, _titled(chart, f"{base} and {tuned} · {benchmark}", "twins")


def _titled(chart: dict[str, Any], text: str, kind: str) -> dict[str, Any]:
    title = {"text": text, "subtitle": static.SUBTITLES[kind], "offset": 14}
    return {**chart, "title": title, "padding": 16}
