"""Stage four: spectra become statistics. No model, no accelerator."""

from time import perf_counter
from typing import Any

import dagster as dg
import polars as pl

from assets.gradient_spectra import gradient_spectra
from assets.partitions import grid_partitions, model_and_benchmark
from assets.results import result
from assets.versions import Versions
from gradpipe.report.thumbnail import curve_thumbnail
from gradpipe.statistics.curves import curves
from gradpipe.statistics.reductions import STATISTICS_VERSION
from gradpipe.statistics.table import statistics_table
from storage.workspace import Workspace


@dg.asset(
    group_name="statistics",
    kinds={"polars", "parquet"},
    partitions_def=grid_partitions,
    deps=[gradient_spectra],
    code_version=STATISTICS_VERSION,
)
def spectral_statistics(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
    """Nuclear norm, effective rank and the other statistics of every spectrum.

    One row a (example, layer, projection). A new statistic is computed from the kept spectra, so it
    never touches a model.
    """
    started = perf_counter()
    model, benchmark = model_and_benchmark(context)
    workspace = Workspace.current()
    study = workspace.study()
    table = workspace.statistics(model, benchmark)
    version = Versions(workspace, study).statistics(model, benchmark)
    fresh = table.is_current(version)
    if not fresh:
        examples = workspace.spectra_index(model, benchmark).read()
        spectra = workspace.spectra(model, benchmark).chunks(examples["key"])
        table.write(statistics_table(examples, spectra, study.statistics, model), version, version)
    statistics = table.scan()
    picture = curve_thumbnail(curves(statistics, study.statistics[:1]))
    return result(
        table.require_notes(),
        computed=0 if fresh else 1,
        reused=1 if fresh else 0,
        seconds=perf_counter() - started,
        metadata={
            "statistics": ", ".join(study.statistics),
            "layers": statistics.select(pl.col("layer").n_unique()).collect().item(),
            "curves": dg.MetadataValue.md(picture),
        },
    )
