"""The sensor and the schedule: keep partitions and results up to date with the study.

Dagster's own conditions see neither an edited study nor replaced weights, and its staleness goes
silent above a hundred partitions. The sensor uses the plan instead, like every other entry point.
Dagster queues one run per partition and starts it wherever its launcher does.
"""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import dagster as dg

from assets.adopted_models import adopt_models
from assets.dagster_workarounds.killed_runs import release_orphans
from assets.dagster_workarounds.pool_limits import set_pool_limits
from assets.dagster_workarounds.pool_slots import move_queue
from assets.derived_assets import bind
from assets.jobs import WORKSPACE_JOBS, StudyJobs
from assets.naming import WORKSPACE_NAMES, Naming
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


def study_sensor(
    names: Naming, jobs: StudyJobs, resources: Mapping[str, Any]
) -> dg.SensorDefinition:
    """The sensor `keep_up` of a study, which is part of the code if it has ``resources``."""

    def keep_up(
        context: dg.SensorEvaluationContext, workspace: dg.ResourceParam[WorkspaceResource]
    ) -> dg.SensorResult | dg.SkipReason:
        """Update the partitions, then request runs for stale partitions with current inputs."""
        instance = context.instance
        try:
            release_orphans(instance)
            if names.pool:
                set_pool_limits(instance, [names.pool])
                move_queue(instance, names.pool)
            opened = workspace.open()
            study = opened.study()
            # A study that is part of the code is changed there.
            if not resources and adopt_models(context, opened, study):
                study = opened.study()
            if changes := partition_changes(instance, study, names.partitions):
                # Runs on the new partitions can be requested from the next tick on.
                return dg.SensorResult(dynamic_partitions_requests=changes)
            upkeep = Upkeep(instance, opened, study, names, jobs)
            return upkeep.tick(json.loads(context.cursor or "{}"))
        except GradpipeError as error:
            return dg.SkipReason(str(error))

    return dg.sensor(
        name=names.name("keep_up"),
        jobs=list(jobs.stages.values()),
        minimum_interval_seconds=15,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Updates the partitions to match the study. If `automation` is on, or after "
        "the job `fill`, it requests runs that compute missing partitions, then the report. Each "
        "partition is attempted once per version of its inputs; failed partitions are retried "
        "every night.",
    )(bind(keep_up, resources))


def study_schedule(
    names: Naming, jobs: StudyJobs, resources: Mapping[str, Any]
) -> dg.ScheduleDefinition:
    """The schedule `nightly` of a study."""

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

    return dg.schedule(
        name=names.name("nightly"),
        job=jobs.fill,
        cron_schedule="0 3 * * *",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="If `automation` is on or nightly, requests missing and failed partitions.",
    )(bind(nightly, resources))


@dataclass(frozen=True)
class Upkeep:
    """One tick of the sensor of a study."""

    instance: dg.DagsterInstance
    workspace: Workspace
    study: Study
    names: Naming
    jobs: StudyJobs

    def tick(self, cursor: dict[str, str]) -> dg.SensorResult | dg.SkipReason:
        """Request runs, if the study or an open `fill` asks for them; ``cursor`` is the last."""
        filling = self._open_fill(cursor.get("closed"))
        if self.study.automation is not True and filling is None:
            return dg.SkipReason("The study has `automation` off, and no run of `fill` is open.")
        state = _state(self.instance, self.workspace, self.study)
        if state == cursor.get("quiet"):
            return dg.SkipReason("Everything was current, and nothing has happened since.")
        busy = self._in_flight()
        plan = Plan.of_reachable(Versions(self.workspace, self.study))
        requests = self._requests(plan, busy, filling)
        if not requests and not busy:
            closed = {"closed": filling or cursor.get("closed", ""), "quiet": state}
            return dg.SensorResult(skip_reason="Everything is current.", cursor=json.dumps(closed))
        if not requests:
            return dg.SkipReason(f"{len(busy)} partitions are being computed.")
        return dg.SensorResult(run_requests=requests)

    def _open_fill(self, closed: str | None) -> str | None:
        """Return the latest run of `fill` if its work is not finished yet."""
        done = dg.RunsFilter(job_name=self.jobs.fill.name, statuses=[dg.DagsterRunStatus.SUCCESS])
        latest = [run.run_id for run in self.instance.get_runs(done, limit=1)]
        return latest[0] if latest and latest[0] != closed else None

    def _in_flight(self) -> set[tuple[str, str]]:
        """(stage's name, partition) of every unfinished run, whoever started it."""
        return {
            (stage, run.tags.get("dagster/partition", ""))
            for run in self.instance.get_runs(dg.RunsFilter(statuses=UNFINISHED))
            for stage in self._stages_of(run)
        }

    def _stages_of(self, run: dg.DagsterRun) -> list[str]:
        """The names of a run's stages; a run of a whole job has no selection."""
        if run.asset_selection is None:
            return [s.name for s in STAGES if self.names.name(s.job) == run.job_name]
        return [s.name for s in STAGES if self.names.key(s.name) in run.asset_selection]

    def _requests(
        self, plan: Plan, busy: set[tuple[str, str]], filling: str | None
    ) -> list[dg.RunRequest]:
        """Request runs of stale units that were not attempted yet; the report comes last."""
        stale = plan.stale()
        units = set(stale)
        places = max(0, MAX_QUEUED_RUNS - len(busy))
        ready = {
            unit: stages
            for unit, stages in stale.items()
            if not unit.summarizes
            and not unit.upstream & units
            and not busy & {(stage.name, str(unit.key)) for stage in stages}
        }
        requests = self._untried(self._attempts(plan, ready, filling), places)
        if not requests and not busy:
            summaries = {unit: stages for unit, stages in stale.items() if unit.summarizes}
            last = {unit: stages for unit, stages in summaries.items() if plan.has_input(unit)}
            requests = self._untried(self._attempts(plan, last, filling), places)
        return requests

    def _attempts(
        self, plan: Plan, work: Mapping[Unit, tuple[Stage, ...]], filling: str | None
    ) -> Iterator[dg.RunRequest]:
        """Yield a request per unit; a checkpoint that is deleted meanwhile has none."""
        for unit, stages in work.items():
            try:
                yield self._request(plan, unit, stages, filling)
            except ModelError:
                continue

    def _request(
        self, plan: Plan, unit: Unit, stages: tuple[Stage, ...], filling: str | None
    ) -> dg.RunRequest:
        names = [stage.name for stage in stages]
        version = plan.versions.version(stages[0], unit.partition)
        # Without the last success, inputs that change and change back would count as attempted.
        attempt = filling or [version, self._last_materialization(unit, names[0])]
        return dg.RunRequest(
            run_key=content_hash(names, str(unit.key), attempt, *self.names.prefix),
            job_name=self.names.name(stages[0].job),
            partition_key=unit.key,
            asset_selection=[self.names.key(name) for name in names],
        )

    def _last_materialization(self, unit: Unit, stage: str) -> int:
        """Return the event number of the last materialization, or 0 without any."""
        partitions = [str(unit.key)] if unit.key else None
        key = self.names.key(stage)
        records = self.instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=key, asset_partitions=partitions), limit=1
        ).records
        return records[0].storage_id if records else 0

    def _untried(self, requests: Iterator[dg.RunRequest], most: int) -> list[dg.RunRequest]:
        """The first requests that were not attempted yet; no more than needed are made."""
        untried: list[dg.RunRequest] = []
        while len(untried) < most and (batch := list(islice(requests, MAX_QUEUED_RUNS))):
            keys = [request.run_key or "" for request in batch]
            tried = {
                run.tags["dagster/run_key"]
                for run in self.instance.get_runs(dg.RunsFilter(tags={"dagster/run_key": keys}))
            }
            untried += [request for request in batch if request.run_key not in tried]
        return untried[:most]


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


keep_up = study_sensor(WORKSPACE_NAMES, WORKSPACE_JOBS, {})
nightly = study_schedule(WORKSPACE_NAMES, WORKSPACE_JOBS, {})
