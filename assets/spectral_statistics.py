"""Stage four: spectra become statistics. No model, no accelerator."""

from collections.abc import Iterator
from time import perf_counter
from typing import Any

import dagster as dg

from assets.checks import check_results, check_spec
from assets.dagster_workarounds.killed_runs import mark_process
from assets.gradient_spectra import gradient_spectra
from assets.partitions import grid_partitions, model_and_benchmark
from assets.planning.versions import Versions
from assets.stage import ASSET_GROUP, result, retried
from gradpipe.errors import DamagedError
from gradpipe.report.charts.thumbnail import curve_thumbnail
from gradpipe.statistics.checks import check_norms
from gradpipe.statistics.curves import curves
from gradpipe.statistics.partition import partition_tables
from gradpipe.statistics.reductions import STATISTICS_VERSION
from storage.workspace import Workspace

STATISTICS_CHECKS = [
    check_spec(
        "spectral_statistics",
        "norms_in_order",
        "At every layer and projection nuclear norm ≥ Frobenius norm ≥ spectral norm, all finite.",
        grid_partitions,
    )
]


@dg.asset(
    group_name=ASSET_GROUP,
    kinds={"polars", "parquet"},
    partitions_def=grid_partitions,
    deps=[gradient_spectra],
    code_version=STATISTICS_VERSION,
    check_specs=STATISTICS_CHECKS,
)
def spectral_statistics(
    context: dg.AssetExecutionContext,
) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[Any]]:
    """Nuclear norm, effective rank and the other statistics of every spectrum, and the cosines.

    One row per example, layer and projection. A new statistic is computed from the stored spectra,
    without a model. A second table says which gradients point in the same direction: within a
    layer, from one layer to the next, and between the responses to one item.
    """
    started = perf_counter()
    mark_process(context)
    with retried(context):
        model, benchmark = model_and_benchmark(context)
        workspace = Workspace.current()
        study = workspace.study()
        table = workspace.statistics(model, benchmark)
        version = Versions(workspace, study).statistics(model, benchmark)
        fresh = table.is_current(version)
        if fresh:
            statistics = table.read()
        else:
            if lost := workspace.lost_rows(model, benchmark):
                raise DamagedError(lost)
            examples = workspace.spectra_index(model, benchmark).read()
            spectra = workspace.spectra(model, benchmark)
            made = partition_tables(
                examples, spectra.chunks(examples["key"]), study.statistics, model
            )
            statistics = made.statistics
        checks = [check_norms(statistics.lazy(), study.statistics)]
        yield from check_results(checks, STATISTICS_CHECKS, f"{model} × {benchmark}")
        if not fresh:
            workspace.alignments(model, benchmark).write(made.alignments, version, version)
            table.write(statistics, version, version)
        picture = curve_thumbnail(curves(statistics.lazy(), study.statistics[:1]))
        yield result(
            table.require_notes(),
            computed=0 if fresh else 1,
            reused=1 if fresh else 0,
            seconds=perf_counter() - started,
            metadata={
                "statistics": ", ".join(study.statistics),
                "layers": statistics["layer"].n_unique(),
                "curves": dg.MetadataValue.md(picture),
            },
        )
