"""Stage five: statistics become curves, tables, charts and the page."""

from collections.abc import Sequence
from typing import Any

import dagster as dg
import polars as pl

from assets.planning.response_origins import provenance_of
from assets.planning.versions import Stage, Versions
from assets.resources import WorkspaceResource
from assets.responses import RESPONSES
from assets.run_tags import earlier_seconds, is_interim
from assets.spectral_statistics import SPECTRAL_STATISTICS, spectral_statistics
from assets.stage_run import ASSET_GROUP, StageRun, markdown_table, stage_run
from gradpipe.errors import WorkspaceError
from gradpipe.models.weights_notes import weights_notes
from gradpipe.report import REPORT_VERSION
from gradpipe.report.cell_results import CellResults
from gradpipe.report.charts.thumbnail import curve_thumbnail
from gradpipe.report.collect import all_curves, gather
from gradpipe.report.report_data import ReportInputs
from gradpipe.report.steps import step_table
from gradpipe.responses.written import quality_of
from gradpipe.studies.equal_models import find_equal_models
from gradpipe.studies.provenance import extraction_costs, provenance
from gradpipe.studies.study import Study
from gradpipe.system.hashing import content_hash
from storage.stages import REPORT_FILES, Partition
from storage.workspace import Workspace

#: Settings of a study, and of its models, that change no number and no word of the report.
_UNPRINTED = ("automation", "unusable_limit", "mismatch_limit", "engine", "ray")
#: Chat templates, tokenizers and adapters are in the version of the spectra already.
_UNPRINTED_OF_MODELS = {
    *("device_map", "gradient_checkpointing", "max_memory"),
    *("chat_template", "chat_template_kwargs", "tokenizer", "adapter"),
}


@dg.asset(
    group_name=ASSET_GROUP,
    kinds={"altair", "html"},
    deps=[spectral_statistics],
    code_version=REPORT_VERSION,
)
def report(
    context: dg.AssetExecutionContext, workspace: dg.ResourceParam[WorkspaceResource]
) -> dg.MaterializeResult[Any]:
    """The page: verdicts on the paper's claims and the study's own, with curves, tables and
    examples of every partition that is current.

    One HTML file that works without a network, next to its charts as PNG and SVG and its tables as
    CSV and LaTeX. It lists unusable rows with their reasons. It excludes partitions whose
    statistics are missing or come from an earlier protocol, sample or checkpoint; the metadata
    entry ``excluded_partitions`` names them.
    """
    with stage_run(context, workspace, REPORT) as run:
        with run.versions.snapshot(REPORT.upstream):
            cells = run.versions.current_partitions(SPECTRAL_STATISTICS)
            was_current = run.was_current
        results = _all_results(run.workspace, cells)
        curves = all_curves(results, run.study.statistics)
        page = run.workspace.report_page
        interim = is_interim(context)
        excluded = set(SPECTRAL_STATISTICS.partitions(run.study)) - set(cells)
        if interim or not was_current:
            # At the top of the file it would load Altair, which takes a second, into every run.
            from gradpipe.report.build import build_report

            inputs = _inputs(run, results, curves)
            if interim:
                inputs.provenance["finished"] = {
                    "cells": len(cells),
                    "of": len(cells) + len(excluded),
                }
            inputs.provenance["seconds"] = earlier_seconds(context)
            with run.workspace.report_files() as folder:
                build_report(inputs, folder, images=not interim)
            # An interim report is never current, even if no other partition is ever finished.
            run.table.write(inputs.rows, f"interim {run.version}" if interim else run.version)
        context.log.info(f"The report is at {page}")
        rows = run.table.read()
        return run.result(
            {
                "page": dg.MetadataValue.path(str(page)),
                "partitions": len(cells),
                "excluded_partitions": ", ".join(sorted(cell.label for cell in excluded)) or "none",
                "examples": int(rows["examples"].sum()),
                "unusable": int(rows["unusable"].sum()),
                "rows": markdown_table(rows, 30),
                "curves": dg.MetadataValue.md(curve_thumbnail(curves)),
            }
        )


def finished_cells(workspace: Workspace, study: Study) -> list[CellResults]:
    """The results of every current partition of a study; raises WorkspaceError without any."""
    versions = Versions(workspace, study)
    with versions.snapshot(REPORT.upstream):
        return _all_results(workspace, versions.current_partitions(SPECTRAL_STATISTICS))


def _all_results(workspace: Workspace, cells: Sequence[Partition]) -> list[CellResults]:
    if not cells:
        raise WorkspaceError(
            "There are no statistics to report on yet: run `gradpipe run`, or materialize "
            "spectral_statistics first."
        )
    return [_results(workspace, cell) for cell in cells]


def _results(workspace: Workspace, cell: Partition) -> CellResults:
    model, benchmark = cell.model, cell.benchmark
    return CellResults(
        model=model,
        benchmark=benchmark,
        examples=workspace.spectra_index(model, benchmark).deferred(),
        statistics=workspace.statistics(model, benchmark).deferred(),
        alignments=workspace.alignments(model, benchmark).deferred(),
        sets=workspace.example_sets(model, benchmark).deferred(),
        rows_of=workspace.spectra(model, benchmark).scan,
    )


def _inputs(run: StageRun, cells: list[CellResults], curves: pl.DataFrame) -> ReportInputs:
    study, workspace, versions = run.study, run.workspace, run.versions
    items = {entry.name: workspace.items(entry.name).notes() for entry in study.benchmarks}
    benchmarks = sorted({cell.benchmark for cell in cells})
    # Of a series, only steps with results: the files of the others need not be read.
    with_results = {cell.model for cell in cells}
    models = [
        name
        for name in versions.reachable_models()
        if name in with_results or versions.config(name).series is None
    ]
    return gather(
        cells=cells,
        curve_table=curves,
        claims=study.all_claims(),
        twins=study.model_pairs(),
        seed=study.seed,
        provenance=provenance(
            study,
            {model: versions.model(model) for model in models},
            {name: (notes.data, notes.rows) if notes else ("", 0) for name, notes in items.items()},
            pl.concat(extraction_costs(cell.model, cell.examples) for cell in cells),
            revisions={name: versions.revision(name) for name in versions.reachable_benchmarks()},
            notes={name: versions.prompt_notes(name) for name in models},
            weights={name: weights_notes(versions.model(name)[0]) for name in models},
            equal_weights=find_equal_models(study),
        ),
        quality=quality_of({name: workspace.quality(name).read() for name in benchmarks}),
        responses=pl.concat(
            provenance_of(workspace, study, name).with_columns(benchmark=pl.lit(name))
            for name in benchmarks
        ),
        divided=study.protocol.spans is not None,
        correction=study.correction,
        steps=step_table(study.models),
    )


def _version(versions: Versions, _: Partition) -> str:
    """Every statistic it reads, and the study that it prints."""
    with versions.snapshot(REPORT.upstream):
        statistics = [
            (cell.model, cell.benchmark, versions.data(SPECTRAL_STATISTICS, cell))
            for cell in versions.current_partitions(SPECTRAL_STATISTICS)
        ]
        # The verdicts on the responses follow from the inputs of the responses.
        responses = {
            benchmark: getattr(
                versions.notes(RESPONSES, Partition(benchmark=benchmark)), "version", None
            )
            for _, benchmark, _ in statistics
        }
    unprinted: Any = dict.fromkeys(_UNPRINTED, True)
    unprinted["models"] = {"__all__": _UNPRINTED_OF_MODELS}
    # In the version of the responses already.
    unprinted["generator"] = {"thinking_request"}
    unprinted["protocol"] = versions.study.protocol.later_defaults
    printed = versions.study.model_dump(mode="json", exclude=unprinted)
    # Added later, too: the judge's verdicts are in no version, since its failed calls are repeated.
    if printed["judge"] is None:
        del printed["judge"]
    else:
        responses = {
            name: (version, getattr(versions.workspace.quality(name).notes(), "data", None))
            for name, version in responses.items()
        }
    # Added later: left out where they are not given, so that earlier reports stay current.
    for name in ("title", "description"):
        if printed[name] is None:
            del printed[name]
    for model in printed["models"]:
        if model["series"] is None:
            del model["series"], model["step"]
    return content_hash(REPORT_VERSION, printed, statistics, responses)


REPORT = Stage(
    asset=report,
    files=REPORT_FILES,
    reads=(SPECTRAL_STATISTICS,),
    version=_version,
    job="report_page",
    counts_rows=False,
)
