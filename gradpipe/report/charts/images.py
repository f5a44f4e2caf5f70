"""Image files for a paper: one PNG and one SVG per chart, of the default statistic.

A study of up to `MOST_CELLS` models × benchmarks has every kind of chart. A larger one has those
of ``ChartKind.in_large_studies``, so that the files of the paper's whole grid are drawn in minutes.
Its page can draw and save the others.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import altair as alt
import vl_convert

from gradpipe.report.chart_data import distinct
from gradpipe.report.charts.kinds import ALL_KINDS
from gradpipe.report.report_data import ReportInputs
from gradpipe.report.steps import with_detail
from gradpipe.report.style import DEFAULT_STATISTIC
from gradpipe.system.hashing import content_hash

#: Pixels per unit of the drawing: about 170 dots per inch at the width of a page.
PNG_SCALE = 1.5
MOST_CELLS = 12


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
    shown = with_detail(inputs)
    slugs = file_names(distinct(shown.curves, "model") + distinct(shown.curves, "benchmark"))
    large = shown.curves.select("model", "benchmark").n_unique() > MOST_CELLS
    for kind in ALL_KINDS:
        if kind.files is None or (large and not kind.in_large_studies):
            continue
        for file in kind.files(inputs if kind.every_checkpoint else shown, statistic):
            rows = kind.rows(file.table)
            if not rows.is_empty():
                parts = [slugs.get(name) or file_names([name])[name] for name in file.names]
                chart = kind.chart(rows, title=file.title, statistic=file.statistic)
                yield "--".join([kind.name, *parts]), chart
