"""Stage five: statistics become curves, tables, charts and the page."""

from time import perf_counter
from typing import Any

import dagster as dg
import polars as pl

from assets.orphans import mark_process
from assets.results import GROUP, preview, result
from assets.retries import retried
from assets.spectral_statistics import spectral_statistics
from assets.versions import Versions
from gradpipe.errors import WorkspaceError
from gradpipe.report import REPORT_VERSION
from gradpipe.report.build import build_report
from gradpipe.report.inputs import ReportInputs
from gradpipe.report.thumbnail import curve_thumbnail
from gradpipe.responses.written import quality_of
from gradpipe.statistics.curves import curves
from gradpipe.statistics.differences import mad, rd
from gradpipe.statistics.rows import count_rows, unusable_rows
from gradpipe.studies.provenance import provenance
from storage.workspace import Workspace


@dg.asset(
    group_name=GROUP,
    kinds={"altair", "html"},
    deps=[spectral_statistics],
    code_version=REPORT_VERSION,
)
def report(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
    """The page: curves, MAD and RD of every model and benchmark of the study that is current.

    One HTML file that works without a network, with each chart as PNG and SVG and each table as CSV
    beside it. Rows that could not be used are listed there with their reasons. A partition whose
    statistics are missing or of an earlier protocol, sample or checkpoint is left out, and named
    here as ``left_out``.
    """
    started = perf_counter()
    mark_process(context)
    with retried(context):
        workspace = Workspace.current()
        versions = Versions(workspace, workspace.study())
        with versions.remembered():
            cells, version = versions.cells(), versions.report()
            fresh = versions.is_current("report")
        if not cells:
            raise WorkspaceError(
                "There are no statistics to report on yet: run `gradpipe run`, or materialise "
                "spectral_statistics first."
            )
        all_curves = pl.concat(
            curves(workspace.statistics(*cell).scan(), versions.study.statistics) for cell in cells
        )
        if not fresh:
            inputs = _inputs(versions, cells, all_curves)
            with workspace.report_files() as folder:
                build_report(inputs, folder)
            workspace.report_notes().write(inputs.rows, version)
        context.log.info(f"The report is at {workspace.report_page}")
        rows = workspace.report_notes().read()
        left_out = versions.study.grid() - set(cells)
        return result(
            workspace.report_notes().require_notes(),
            computed=0 if fresh else 1,
            reused=1 if fresh else 0,
            seconds=perf_counter() - started,
            metadata={
                "page": dg.MetadataValue.path(str(workspace.report_page)),
                "partitions": len(cells),
                "left_out": ", ".join(sorted(map(" × ".join, left_out))) or "none",
                "examples": int(rows["examples"].sum()),
                "unusable": int(rows["unusable"].sum()),
                "rows": preview(rows, 30),
                "curves": dg.MetadataValue.md(curve_thumbnail(all_curves)),
            },
        )


def _inputs(
    versions: Versions, cells: list[tuple[str, str]], all_curves: pl.DataFrame
) -> ReportInputs:
    study, workspace = versions.study, versions.workspace
    measured = pl.concat(
        workspace.spectra_index(model, benchmark).read().with_columns(model=pl.lit(model))
        for model, benchmark in cells
    )
    items = {entry.name: workspace.items(entry.name).notes() for entry in study.benchmarks}
    return ReportInputs(
        curves=all_curves,
        mad=mad(all_curves),
        rd=rd(all_curves),
        rows=count_rows(measured),
        unusable=unusable_rows(measured),
        provenance=provenance(
            study,
            {model: versions.model(model) for model in versions.reachable_models()},
            {name: (notes.data, notes.rows) if notes else ("", 0) for name, notes in items.items()},
        ),
        quality=quality_of(
            {name: workspace.quality(name).read() for name in sorted({name for _, name in cells})}
        ),
    )
