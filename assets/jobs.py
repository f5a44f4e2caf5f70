"""Jobs: what `dagster job backfill`, the sensor and the nightly schedule launch."""

import dagster as dg

from assets.planning.plan import Plan
from assets.planning.versions import Stage, Versions
from assets.resources import WorkspaceResource
from assets.stages import STAGES


def _stages_by_job() -> dict[str, list[Stage]]:
    jobs = dict.fromkeys(stage.job for stage in STAGES)
    return {job: [stage for stage in STAGES if stage.job == job] for job in jobs}


#: The jobs that compute stages, by name.
STAGE_JOBS = {
    job: dg.define_asset_job(
        job,
        dg.AssetSelection.assets(*(stage.asset for stage in stages)),
        description=f"Computes {' and '.join(stage.name for stage in stages)}.",
    )
    for job, stages in _stages_by_job().items()
}


@dg.op
def ask_to_fill(
    context: dg.OpExecutionContext, workspace: dg.ResourceParam[WorkspaceResource]
) -> None:
    """Log what is missing or out of date; the sensor `keep_up` then requests the runs."""
    opened = workspace.open()
    plan = Plan.of_reachable(Versions(opened, opened.study()))
    stale = plan.stale()
    for unit, stages in stale.items():
        context.log.info(f"{', '.join(stage.name for stage in stages)}  {unit.label}")
    context.add_output_metadata({"partitions": len(stale)})


@dg.job(executor_def=dg.in_process_executor)
def fill() -> None:
    """Compute everything that is missing, once: the sensor `keep_up` then requests the runs.

    Works if automation is off, too. Failed partitions are not retried before the next fill.
    """
    ask_to_fill()
