"""The sensor and the schedule: keep partitions and results up to date with the study.

Dagster's own conditions see neither an edited study nor replaced weights, and its staleness goes
silent above a hundred partitions. The sensor uses the plan instead, like every other entry point.
Dagster queues one run per partition and starts it wherever its launcher does.
"""

import json
import time
from collections.abc import Iterator, Mapping
from itertools import islice

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
from gradpipe.errors import GradpipeError, ModelError
from gradpipe.studies.study import Study
from gradpipe.system.hashing import content_hash
from storage.tables import read_notes
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
        study = opened.study()
        if adopt_models(context, opened, study):
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
    state = _state(instance, workspace, study)
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


def _state(instance: dg.DagsterInstance, workspace: Workspace, study: Study) -> str:
    """A hash of the study, its checkpoints' files, the latest runs, and the RECHECK_INTERVAL."""
    runs = [(run.run_id, run.status.value) for run in instance.get_runs(limit=100)]
    stamps = [model.checkpoint.stamp for model in study.models if model.checkpoint]
    recorded = [model.record.fingerprint for model in study.models if model.record]
    rows = _rows_of_training(workspace, study)
    interval = time.time() // RECHECK_INTERVAL
    return content_hash(study.model_dump(mode="json"), stamps, recorded, rows, runs, interval)


def _rows_of_training(workspace: Workspace, study: Study) -> list[tuple[str, str, int]]:
    """The bytes of rows that a training has stored, and that no run has used yet, by partition."""
    cells = [
        (model.name, benchmark.name)
        for model in study.models
        if model.record is not None and model.record.probed
        for benchmark in study.benchmarks
    ]
    indices = read_notes([workspace.spectra_index(*cell) for cell in cells])
    unused = [cell for cell, notes in zip(cells, indices, strict=True) if notes is None]
    return [(*cell, workspace.spectra(*cell).bytes()) for cell in unused]


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
    units = set(stale)
    places = max(0, MAX_QUEUED_RUNS - len(busy))
    ready = _attempts(
        instance,
        plan,
        {
            unit: stages
            for unit, stages in stale.items()
            if not unit.summarizes
            and not unit.upstream & units
            and not busy & {(stage.name, str(unit.key)) for stage in stages}
        },
        filling,
    )
    requests = _untried(instance, ready, places)
    if not requests and not busy:
        summaries = {unit: stages for unit, stages in stale.items() if unit.summarizes}
        ready_summaries = {u: stages for u, stages in summaries.items() if plan.has_input(u)}
        last = _attempts(instance, plan, ready_summaries, filling)
        requests = _untried(instance, last, places)
    return requests


def _attempts(
    instance: dg.DagsterInstance,
    plan: Plan,
    work: Mapping[Unit, tuple[Stage, ...]],
    filling: str | None,
) -> Iterator[dg.RunRequest]:
    """Yield a request per unit; a checkpoint that is deleted meanwhile has none."""
    for unit, stages in work.items():
        try:
            yield _request(instance, plan, unit, stages, filling)
        except ModelError:
            continue


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


def _untried(
    instance: dg.DagsterInstance, requests: Iterator[dg.RunRequest], most: int
) -> list[dg.RunRequest]:
    """The first requests that were not attempted yet; no more than needed are made."""
    untried: list[dg.RunRequest] = []
    while len(untried) < most and (batch := list(islice(requests, MAX_QUEUED_RUNS))):
        keys = [request.run_key or "" for request in batch]
        tried = {
            run.tags["dagster/run_key"]
            for run in instance.get_runs(dg.RunsFilter(tags={"dagster/run_key": keys}))
        }
        untried += [request for request in batch if request.run_key not in tried]
    return untried[:most]
