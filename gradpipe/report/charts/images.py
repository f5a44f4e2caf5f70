"""Image files for a paper: one PNG and one SVG per chart, of the default statistic.

A study of up to `MOST_CELLS` models × benchmarks has every kind of chart. A larger one has those
of ``ChartKind.in_large_studies``, so that the files of the paper's whole grid are drawn in minutes.
Its page can draw and save the others.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import altair as alt

from gradpipe.report.chart_data import distinct
from gradpipe.report.charts.image_files import drawing
from gradpipe.report.charts.image_process import SPECIFICATION
from gradpipe.report.charts.kinds import ALL_KINDS
from gradpipe.report.charts.parts import unchecked
from gradpipe.report.report_data import ReportInputs
from gradpipe.report.steps import with_detail
from gradpipe.report.style import DEFAULT_STATISTIC
from gradpipe.system.hashing import content_hash

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


@contextmanager
def drawing_images(inputs: ReportInputs, folder: Path) -> Iterator[list[Path]]:
    """Draw the charts into ``folder`` in other processes while the block runs.

    Yields the paths of the files, in order; they exist when the block has ended. Raises
    WorkspaceError if a chart cannot be drawn.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = []
    for name, specification in static_charts(inputs):
        (folder / f"{name}{SPECIFICATION}").write_text(json.dumps(specification), encoding="utf-8")
        names.append(name)
    with drawing([folder / f"{name}{SPECIFICATION}" for name in names]):
        yield [folder / f"{name}.{ending}" for name in names for ending in ("svg", "png")]


def write_images(inputs: ReportInputs, folder: Path) -> list[Path]:
    """Draw the charts into ``folder`` and return the paths of the files, in order."""
    with drawing_images(inputs, folder) as paths:
        return paths


def static_charts(
    inputs: ReportInputs, statistic: str = DEFAULT_STATISTIC
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The specification of every image file, by the file's name without its ending."""
    with unchecked():
        for name, chart in _named_charts(inputs, statistic):
            yield name, chart.to_dict(validate=False)


def _named_charts(inputs: ReportInputs, statistic: str) -> Iterator[tuple[str, alt.FacetChart]]:
    shown = with_detail(inputs)
    # Verdicts on a family of models have its name in place of a model's.
    models = dict.fromkeys(distinct(shown.curves, "model") + distinct(shown.verdicts, "model"))
    slugs = file_names([*models, *distinct(shown.curves, "benchmark")])
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
