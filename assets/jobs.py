"""Jobs: what `dagster job backfill`, the sensor and the nightly schedule launch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg

from assets.derived_assets import bind
from assets.naming import WORKSPACE_NAMES, Naming
from assets.planning.plan import Plan
from assets.planning.versions import Stage, Versions
from assets.resources import WorkspaceResource
from assets.stages import STAGES
from assets.stored_checks import check_stored_partitions


@dataclass(frozen=True)
class StudyJobs:
    """The jobs of one study: ``stages`` compute them, by the job's name in ``Stage.job``.

    ``fill`` requests everything that is missing, ``check_stored`` checks what is stored.
    """

    stages: Mapping[str, Any]
    fill: dg.JobDefinition
    check_stored: dg.JobDefinition


def study_jobs(
    names: Naming, resources: Mapping[str, Any], executor: dg.ExecutorDefinition | None = None
) -> StudyJobs:
    """The jobs of a study; ``executor`` runs the stages, by default the code location's."""
    stages = {
        job: dg.define_asset_job(
            names.name(job),
            dg.AssetSelection.assets(*(names.key(stage.name) for stage in stages)),
            description=f"Computes {' and '.join(stage.name for stage in stages)}.",
            executor_def=executor,
        )
        for job, stages in _stages_by_job().items()
    }
    return StudyJobs(stages, _fill_job(names, resources), _check_job(names, resources))


def _stages_by_job() -> dict[str, list[Stage]]:
    jobs = dict.fromkeys(stage.job for stage in STAGES)
    return {job: [stage for stage in STAGES if stage.job == job] for job in jobs}


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


def _fill_job(names: Naming, resources: Mapping[str, Any]) -> dg.JobDefinition:
    ask = dg.op(name=names.name("ask_to_fill"))(bind(ask_to_fill, resources))

    @dg.job(name=names.name("fill"), executor_def=dg.in_process_executor)
    def fill() -> None:
        """Compute everything that is missing, once: the sensor `keep_up` then requests the runs.

        Works if automation is off, too. Failed partitions are not retried before the next fill.
        """
        ask()

    return fill


def _check_job(names: Naming, resources: Mapping[str, Any]) -> dg.JobDefinition:
    check = dg.op(name=names.name("check_stored_partitions"))(
        bind(check_stored_partitions, {**resources, "names": names})
    )

    @dg.job(name=names.name("check_stored"), executor_def=dg.in_process_executor)
    def check_stored() -> None:
        """Run the asset checks of stored partitions again; nothing is computed or written.

        The run fails if a blocking check fails.
        """
        check()

    return check_stored


WORKSPACE_JOBS = study_jobs(WORKSPACE_NAMES, {})
#: The jobs that compute the stages of the workspace's own study, by name.
STAGE_JOBS = WORKSPACE_JOBS.stages
fill = WORKSPACE_JOBS.fill
check_stored = WORKSPACE_JOBS.check_stored
