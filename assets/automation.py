"""The sensor and the schedule: keep partitions and results up to date with the study.

Dagster's own conditions see neither an edited study nor replaced weights, and its staleness goes
silent above a hundred partitions. The sensor uses the plan instead, like every other entry point.
Dagster queues one run per partition and starts it wherever its launcher does.
"""

import json
import time

import dagster as dg

from assets.adopted_models import adopt_models
from assets.dagster_workarounds.killed_runs import release_orphans
from assets.dagster_workarounds.pool_slots import move_queue
from assets.jobs import STAGE_JOBS, fill
from assets.partitions import partition_changes
from assets.planning.plan import Plan, Unit
from assets.planning.versions import Stage, Versions
from assets.resources import WorkspaceResource
from assets.stages import STAGES
from gradpipe.errors import GradpipeError
from gradpipe.studies.study import Study
from gradpipe.system.hashing import content_hash
from storage.workspace import Workspace

#: Maximum number of runs in the queue. A short queue makes an edited study take effect soon.
MAX_QUEUED_RUNS = 12
#: Seconds after which weights, sources and the hub are checked even if no run started or ended.
RECHECK_INTERVAL = 600.0

UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


@dg.sensor(
    jobs=list(STAGE_JOBS.values()),
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Updates the partitions to match the study. If `automation` is on, or after the "
    "job `fill`, it requests runs that compute missing partitions, then the report. Each partition "
    "is attempted once per version of its inputs; failed partitions are retried every night.",
)
def keep_up(
    context: dg.SensorEvaluationContext, workspace: dg.ResourceParam[WorkspaceResource]
) -> dg.SensorResult | dg.SkipReason:
    """Update the partitions, then request runs for stale partitions with current inputs."""
    instance = context.instance
    try:
        release_orphans(instance)
        move_queue(instance)
        opened = workspace.open()
        adopt_models(context, opened)
        study = opened.study()
        if changes := partition_changes(instance, study):
            # Runs on the new partitions can be requested from the next tick on.
            return dg.SensorResult(dynamic_partitions_requests=changes)
        return _keep_up(instance, opened, study, json.loads(context.cursor or "{}"))
    except GradpipeError as error:
        return dg.SkipReason(str(error))


@dg.schedule(
    job=fill,
    cron_schedule="0 3 * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="If `automation` is on or nightly, requests missing and failed partitions.",
)
def nightly(
    context: dg.ScheduleEvaluationContext, workspace: dg.ResourceParam[WorkspaceResource]
) -> dg.RunRequest | dg.SkipReason:
    """Request a run of ``fill`` if the study's ``automation`` allows it."""
    try:
        study = workspace.open().study()
    except GradpipeError as error:
        return dg.SkipReason(str(error))
    if not study.automation:
        return dg.SkipReason("The study has `automation` off.")
    return dg.RunRequest(run_key=context.scheduled_execution_time.isoformat())


def _keep_up(
    instance: dg.DagsterInstance, workspace: Workspace, study: Study, cursor: dict[str, str]
) -> dg.SensorResult | dg.SkipReason:
    filling = _open_fill(instance, cursor.get("closed"))
    if study.automation is not True and filling is None:
        return dg.SkipReason("The study has `automation` off, and no run of `fill` is open.")
    state = _state(instance, study)
    if state == cursor.get("quiet"):
        return dg.SkipReason("Everything was current, and nothing has happened since.")
    busy = _in_flight(instance)
    plan = Plan.of_reachable(Versions(workspace, study))
    requests = _requests(instance, plan, busy, filling)
    if not requests and not busy:
        closed = {"closed": filling or cursor.get("closed", ""), "quiet": state}
        return dg.SensorResult(skip_reason="Everything is current.", cursor=json.dumps(closed))
    if not requests:
        return dg.SkipReason(f"{len(busy)} partitions are being computed.")
    return dg.SensorResult(run_requests=requests)


def _open_fill(instance: dg.DagsterInstance, closed: str | None) -> str | None:
    """Return the latest run of `fill` if its work is not finished yet."""
    done = dg.RunsFilter(job_name=fill.name, statuses=[dg.DagsterRunStatus.SUCCESS])
    latest = [run.run_id for run in instance.get_runs(done, limit=1)]
    return latest[0] if latest and latest[0] != closed else None


def _state(instance: dg.DagsterInstance, study: Study) -> str:
    """A hash of the study, the latest runs' states, and the number of the RECHECK_INTERVAL."""
    runs = [(run.run_id, run.status.value) for run in instance.get_runs(limit=100)]
    return content_hash(study.model_dump(mode="json"), runs, time.time() // RECHECK_INTERVAL)


def _in_flight(instance: dg.DagsterInstance) -> set[tuple[str, str]]:
    """(stage's name, partition) of every unfinished run, whoever started it."""
    return {
        (stage, run.tags.get("dagster/partition", ""))
        for run in instance.get_runs(dg.RunsFilter(statuses=UNFINISHED))
        for stage in _stages_of(run)
    }


def _stages_of(run: dg.DagsterRun) -> list[str]:
    """The names of a run's stages; a run of a whole job has no selection."""
    if run.asset_selection is None:
        return [stage.name for stage in STAGES if stage.job == run.job_name]
    return [key.to_user_string() for key in run.asset_selection]


def _requests(
    instance: dg.DagsterInstance, plan: Plan, busy: set[tuple[str, str]], filling: str | None
) -> list[dg.RunRequest]:
    """Request runs of stale units that were not attempted yet; the report comes last."""
    stale = plan.stale()
    ready = [
        _request(instance, plan, unit, stages, filling)
        for unit, stages in stale.items()
        if not unit.summarizes
        and not unit.upstream & set(stale)
        and not busy & {(stage.name, str(unit.key)) for stage in stages}
    ]
    ready = _untried(instance, ready)
    if not ready and not busy:
        last = [
            _request(instance, plan, unit, stages, filling)
            for unit, stages in stale.items()
            if unit.summarizes and plan.has_input(unit)
        ]
        ready = _untried(instance, last)
    return ready[: max(0, MAX_QUEUED_RUNS - len(busy))]


def _request(
    instance: dg.DagsterInstance,
    plan: Plan,
    unit: Unit,
    stages: tuple[Stage, ...],
    filling: str | None,
) -> dg.RunRequest:
    names = [stage.name for stage in stages]
    version = plan.versions.version(stages[0], unit.partition)
    # Without the last success, inputs that change and change back would count as attempted.
    attempt = filling or [version, _last_materialization(instance, unit, names[0])]
    return dg.RunRequest(
        run_key=content_hash(names, str(unit.key), attempt),
        job_name=stages[0].job,
        partition_key=unit.key,
        asset_selection=[dg.AssetKey(name) for name in names],
    )


def _last_materialization(instance: dg.DagsterInstance, unit: Unit, stage: str) -> int:
    """Return the event number of the last materialization, or 0 if it was never materialized."""
    partitions = [str(unit.key)] if unit.key else None
    records = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=dg.AssetKey(stage), asset_partitions=partitions), limit=1
    ).records
    return records[0].storage_id if records else 0


def _untried(instance: dg.DagsterInstance, requests: list[dg.RunRequest]) -> list[dg.RunRequest]:
    if not requests:
        return []
    keys = [request.run_key or "" for request in requests]
    tried = {
        run.tags["dagster/run_key"]
        for run in instance.get_runs(dg.RunsFilter(tags={"dagster/run_key": keys}))
    }
    return [request for request in requests if request.run_key not in tried]
