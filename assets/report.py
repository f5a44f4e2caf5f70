"""Stage five: statistics become curves, tables, charts and the page."""

from pathlib import Path
from time import perf_counter
from typing import Any

import dagster as dg
import polars as pl

from assets.dagster_workarounds.killed_runs import mark_process
from assets.planning.versions import Versions
from assets.spectral_statistics import spectral_statistics
from assets.stage import ASSET_GROUP, preview, result, retried
from gradpipe.errors import WorkspaceError
from gradpipe.report import REPORT_VERSION
from gradpipe.report.charts.thumbnail import curve_thumbnail
from gradpipe.report.collect import CellResults, all_curves, gather
from gradpipe.report.report_data import ReportInputs
from gradpipe.responses.written import quality_of
from gradpipe.studies.provenance import extraction_costs, provenance
from storage.workspace import Workspace


@dg.asset(
    group_name=ASSET_GROUP,
    kinds={"altair", "html"},
    deps=[spectral_statistics],
    code_version=REPORT_VERSION,
)
def report(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
    """The page: the paper's claims and the study's own judged, with the curves, tables and examples
    of every model and benchmark that is current.

    One HTML file that works without a network, with charts as PNG and SVG and tables as CSV and
    LaTeX beside it. Rows that could not be used are listed there with their reasons. A partition
    whose statistics are missing or of an earlier protocol, sample or checkpoint is left out, and
    named here as ``left_out``.
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
        results = [_results(workspace, *cell) for cell in cells]
        found = all_curves(results, versions.study.statistics)
        if not fresh:
            inputs = _inputs(versions, results, found)
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
                "curves": dg.MetadataValue.md(curve_thumbnail(found)),
            },
        )


def build_report(inputs: ReportInputs, folder: Path) -> None:
    """Build the report in a folder.

    The import is here because drawing imports Altair, which takes a second.
    """
    from gradpipe.report import build

    build.build_report(inputs, folder)


def _results(workspace: Workspace, model: str, benchmark: str) -> CellResults:
    return CellResults(
        model=model,
        benchmark=benchmark,
        examples=workspace.spectra_index(model, benchmark).deferred(),
        statistics=workspace.statistics(model, benchmark).deferred(),
        alignments=workspace.alignments(model, benchmark).deferred(),
        rows_of=workspace.spectra(model, benchmark).scan,
    )


def _inputs(versions: Versions, cells: list[CellResults], found: pl.DataFrame) -> ReportInputs:
    study, workspace = versions.study, versions.workspace
    items = {entry.name: workspace.items(entry.name).notes() for entry in study.benchmarks}
    return gather(
        cells,
        found,
        study.all_claims(),
        study.model_pairs(),
        study.seed,
        provenance(
            study,
            {model: versions.model(model) for model in versions.reachable_models()},
            {name: (notes.data, notes.rows) if notes else ("", 0) for name, notes in items.items()},
            pl.concat(extraction_costs(cell.model, cell.examples) for cell in cells),
        ),
        quality_of(
            {name: workspace.quality(name).read() for name in sorted({c.benchmark for c in cells})}
        ),
    )
