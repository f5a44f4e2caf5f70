"""Stage four: spectra become statistics. No model, no accelerator."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from assets.checks import check_spec
from assets.gradient_spectra import GRADIENT_SPECTRA, gradient_spectra
from assets.partitions import grid_partitions
from assets.planning.versions import Stage, Versions
from assets.resources import WorkspaceResource
from assets.stage_run import ASSET_GROUP, StageRun, stage_run
from assets.table_metadata import column_schema, markdown_table
from gradpipe.check import Check
from gradpipe.errors import DamagedError
from gradpipe.report.charts.thumbnail import curve_thumbnail
from gradpipe.statistics.checks import check_norms
from gradpipe.statistics.curves import curves
from gradpipe.statistics.partition import PartitionTables, partition_tables
from gradpipe.statistics.reductions import STATISTICS_VERSION
from gradpipe.statistics.rows import mean_by_style
from gradpipe.system.hashing import content_hash
from storage.stages import STATISTICS_FILES, Partition

STATISTICS_CHECKS = [
    check_spec(
        "spectral_statistics",
        "norms_in_order",
        "For every layer and projection, nuclear norm ≥ Frobenius norm ≥ spectral norm, and all "
        "are finite.",
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
    context: dg.AssetExecutionContext, workspace: dg.ResourceParam[WorkspaceResource]
) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[Any]]:
    """Nuclear norm, effective rank and the other statistics of every spectrum, and the cosines.

    One row per example, layer and projection. A new statistic is computed from the stored spectra,
    without a model. A second table says which gradients point in the same direction: within a
    layer, from one layer to the next, and between the responses to one item. A third describes the
    sets of examples: how diverse they are, and their mean gradients.
    """
    with stage_run(context, workspace, SPECTRAL_STATISTICS) as run:
        names = run.study.statistics
        built = None if run.was_current else _reduce(run)
        statistics = built.statistics if built else run.table.read()
        yield from run.check_results([check_norms(statistics.lazy(), names)])
        if built:
            alignments = run.workspace.alignments(run.partition.model, run.partition.benchmark)
            alignments.write(built.alignments, run.version, run.version)
            sets = run.workspace.example_sets(run.partition.model, run.partition.benchmark)
            sets.write(built.sets, run.version, run.version)
            run.table.write(statistics, run.version, run.version)
        yield run.result(
            {
                "statistics": ", ".join(names),
                "layers": statistics["layer"].n_unique(),
                **{
                    f"{names[0]}_{style}": round(mean, 4)
                    for style, mean in mean_by_style(statistics, names[0]).items()
                },
                # The columns are those of the study's statistics.
                **column_schema(statistics.schema),
                "first_rows": markdown_table(
                    statistics.select("style", "relevance", "layer", "projection", *names)
                ),
                "curves": dg.MetadataValue.md(
                    curve_thumbnail(curves(statistics.lazy(), names[:1]))
                ),
            }
        )


def _reduce(run: StageRun) -> PartitionTables:
    """The tables of the partition; raises DamagedError if rows of the spectra are missing."""
    cell = run.partition.model, run.partition.benchmark
    if lost := run.workspace.lost_rows(*cell):
        raise DamagedError(lost)
    examples = run.workspace.spectra_index(*cell).read()
    spectra = run.workspace.spectra(*cell).chunks(examples["key"])
    return partition_tables(examples, spectra, run.study.statistics, run.partition.model)


def _stored_checks(versions: Versions, partition: Partition) -> list[Check]:
    table = versions.table(SPECTRAL_STATISTICS, partition).deferred()
    return [check_norms(table, versions.study.statistics)]


def _version(versions: Versions, partition: Partition) -> str:
    """The spectra and the list of statistics."""
    spectra = versions.data(GRADIENT_SPECTRA, partition)
    return content_hash(STATISTICS_VERSION, spectra, versions.study.statistics)


SPECTRAL_STATISTICS = Stage(
    asset=spectral_statistics,
    files=STATISTICS_FILES,
    reads=(GRADIENT_SPECTRA,),
    version=_version,
    checks=_stored_checks,
    job="model_gradients",
    joins_upstream_run=True,
    counts_rows=False,
)
