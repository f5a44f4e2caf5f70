"""The code location: all definitions that Dagster loads, in its own processes and in ours."""

import dagster as dg

from assets.automation import keep_up, nightly
from assets.jobs import STAGE_JOBS, fill
from assets.resources import Accelerator, WorkspaceResource
from assets.stages import STAGES


def code_location(accelerator: Accelerator, workspace: WorkspaceResource) -> dg.Definitions:
    """Assets, jobs, sensor and schedule, with the resources that they use."""
    return dg.Definitions(
        assets=[stage.asset for stage in STAGES],
        jobs=[*STAGE_JOBS.values(), fill],
        sensors=[keep_up],
        schedules=[nightly],
        resources={"accelerator": accelerator, "workspace": workspace},
        # One process per stage would import Dagster and load the model again for each of them.
        executor=dg.in_process_executor,
    )
