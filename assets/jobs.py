"""Jobs: what `dagster job backfill`, the sensor and the nightly schedule launch."""

import dagster as dg

from assets.benchmark_items import benchmark_items
from assets.gradient_spectra import gradient_spectra
from assets.planning.plan import Plan
from assets.planning.versions import Versions
from assets.report import report
from assets.responses import responses
from assets.spectral_statistics import spectral_statistics
from storage.workspace import Workspace

benchmark_data = dg.define_asset_job(
    "benchmark_data",
    dg.AssetSelection.assets(benchmark_items, responses),
    description="Items and examples of a benchmark.",
)
model_gradients = dg.define_asset_job(
    "model_gradients",
    dg.AssetSelection.assets(gradient_spectra, spectral_statistics),
    description="Gradients and statistics of a model on a benchmark.",
)
report_page = dg.define_asset_job(
    "report_page",
    dg.AssetSelection.assets(report),
    description="The report on every partition that is current.",
)

#: The job that a stage is a part of.
JOB_OF = {
    "benchmark_items": benchmark_data,
    "responses": benchmark_data,
    "gradient_spectra": model_gradients,
    "spectral_statistics": model_gradients,
    "report": report_page,
}


@dg.op
def ask_to_fill(context: dg.OpExecutionContext) -> None:
    """Log what is missing or out of date; the sensor `keep_up` then requests the runs."""
    workspace = Workspace.current()
    plan = Plan.of_reachable(Versions(workspace, workspace.study()))
    stale = plan.stale()
    for unit, stages in stale.items():
        context.log.info(f"{', '.join(stages)}  {unit.label}")
    context.add_output_metadata({"partitions": len(stale)})


@dg.job(executor_def=dg.in_process_executor)
def fill() -> None:
    """Compute all that is missing, once; the sensor `keep_up` requests runs up to the report.

    Works with automation off too. Failed partitions are not retried before the next fill.
    """
    ask_to_fill()
