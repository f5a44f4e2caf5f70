"""The code location: all definitions that Dagster loads, in its own processes and in ours."""

import dagster as dg

from assets.automation import keep_up, nightly
from assets.jobs import STAGE_JOBS, check_stored, fill
from assets.resources import Accelerator, WorkspaceResource
from assets.stages import STAGES
from assets.study_attributes import assets_of
from gradpipe.studies.study import Study


def code_location(
    accelerator: Accelerator, workspace: WorkspaceResource, shown: Study | None = None
) -> dg.Definitions:
    """Assets, jobs, sensor and schedule, with the resources that they use.

    For the UI, ``shown`` is the workspace's study: the assets then have its owners and tags.
    """
    return dg.Definitions(
        assets=assets_of(shown) if shown else [stage.asset for stage in STAGES],
        jobs=[*STAGE_JOBS.values(), fill, check_stored],
        sensors=[keep_up],
        schedules=[nightly],
        resources={"accelerator": accelerator, "workspace": workspace},
        # One process per stage would import Dagster and load the model again for each of them.
        executor=dg.in_process_executor,
    )
