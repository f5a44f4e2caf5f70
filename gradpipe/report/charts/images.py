"""Image files for a paper: one PNG and one SVG per chart, of the default statistic.

A study of up to `MOST_CELLS` models × benchmarks has every kind of chart. A larger one has the
kinds in `ALWAYS`, so that the files of the paper's whole grid are drawn in minutes. Its page can
draw and save the others.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import altair as alt
import polars as pl
import vl_convert

from gradpipe.report.chart_data import distinct
from gradpipe.report.charts.static import (
    charts_of_curves,
    charts_of_examples,
    charts_of_mads,
    charts_of_two_models,
    charts_of_verdicts,
)
from gradpipe.report.report_data import ReportInputs
from gradpipe.report.style import DEFAULT_STATISTIC
from gradpipe.system.hashing import content_hash

#: Pixels per unit of the drawing: about 170 dots per inch at the width of a page.
PNG_SCALE = 1.5
MOST_CELLS = 12
ALWAYS = ("curves", "ratio", "relevance", "mad", "knowledge", "twins")


def file_names(names: list[str]) -> dict[str, str]:
    """A distinct file-name part per name: lower-case letters, digits and dashes.

    If several names have the same letters and digits, a hash of the name is added to each.
    """
    plain = {name: re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60] for name in names}
    slugs = list(plain.values())
    return {
        name: slug if slug and slugs.count(slug) == 1 else f"{slug or 'x'}-{content_hash(name)[:6]}"
        for name, slug in plain.items()
    }


def write_images(inputs: ReportInputs, folder: Path) -> list[Path]:
    """Draw the charts into ``folder`` and return the paths of the files, in order."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, specification in static_charts(inputs):
        svg = vl_convert.vegalite_to_svg(json.dumps(specification))
        (folder / f"{name}.svg").write_text(svg, encoding="utf-8", newline="\n")
        (folder / f"{name}.png").write_bytes(vl_convert.svg_to_png(svg, scale=PNG_SCALE))
        written += [folder / f"{name}.svg", folder / f"{name}.png"]
    return written


def static_charts(
    inputs: ReportInputs, statistic: str = DEFAULT_STATISTIC
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The specification of every image file, by the file's name without its ending."""
    for name, chart in _named_charts(inputs, statistic):
        yield name, chart.to_dict()


def _named_charts(inputs: ReportInputs, statistic: str) -> Iterator[tuple[str, alt.FacetChart]]:
    curves = inputs.curves.filter(pl.col("statistic") == statistic)
    models, benchmarks = distinct(inputs.curves, "model"), distinct(inputs.curves, "benchmark")
    slugs = file_names(models + benchmarks)
    all_kinds = inputs.curves.select("model", "benchmark").n_unique() <= MOST_CELLS
    suffix = statistic.replace("_", "-")
    for model in models:
        of_model = curves.filter(pl.col("model") == model)
        for benchmark in distinct(of_model, "benchmark"):
            rows = of_model.filter(pl.col("benchmark") == benchmark)
            stem, title = f"{slugs[model]}--{slugs[benchmark]}", f"{model} · {benchmark}"
            for kind, chart in charts_of_curves(rows, statistic, title):
                if all_kinds or kind in ALWAYS:
                    yield f"{kind}--{stem}--{suffix}", chart
            if all_kinds:
                for kind, chart in charts_of_examples(inputs, model, benchmark, title):
                    yield f"{kind}--{stem}", chart
        mads = inputs.mad.filter(pl.col("model") == model, pl.col("statistic") == statistic)
        for kind, chart in charts_of_mads(mads, statistic, model):
            yield f"{kind}--{slugs[model]}--{suffix}", chart
        if all_kinds:
            for group, chart in charts_of_verdicts(inputs, model):
                yield f"verdicts--{slugs[model]}--{file_names([group])[group]}", chart
    for base, tuned in inputs.twins.select("base", "tuned").rows():
        for benchmark, chart in charts_of_two_models(curves, base, tuned, statistic):
            yield f"twins--{slugs[base]}--{slugs[tuned]}--{slugs[benchmark]}--{suffix}", chart
