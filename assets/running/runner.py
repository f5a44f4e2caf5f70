"""Bring a study up to date: compute stale partitions, and count computed and reused rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import chain, product
from typing import Any
from uuid import uuid4

import dagster as dg

from assets.code_location import code_location
from assets.dagster_workarounds.fatal_errors import clear_fatal_errors
from assets.dagster_workarounds.interrupts import keep_interrupts
from assets.dagster_workarounds.killed_runs import process_tag, release_orphans
from assets.dagster_workarounds.pool_slots import (
    GPU,
    holders,
    queue_kept_moving,
    wait_for_slot,
)
from assets.gradient_spectra import GRADIENT_SPECTRA
from assets.partitions import sync_partitions
from assets.planning.plan import Plan, Unit
from assets.planning.versions import Stage, Versions
from assets.resources import Accelerator, WorkspaceResource
from assets.responses import RESPONSES
from assets.run_tags import INTERIM_TAG, seconds_tag
from assets.running.account import account_lines, account_record
from assets.running.instance import open_instance
from assets.running.interim_reports import InterimReports
from assets.running.outcome import StageCount, StageFailure, cause, is_damage, step_failures
from assets.running.run_times import DAGSTER, INTERIM, PLANNING, WAITING, RunTimes
from assets.stages import STAGES
from gradpipe import errors
from gradpipe.engines.connection import require_ray
from gradpipe.gradients.checks import WEIGHTS_CHECK
from gradpipe.models.equal_weights import equal_weights_note
from gradpipe.studies.equal_models import find_equal_models
from gradpipe.studies.study import Study
from gradpipe.system.atomic_files import sweep_leftovers
from gradpipe.system.user_folders import cache_folder
from storage.stages import Partition
from storage.workspace import Workspace

#: Maximum number of passes when files turn out to be damaged.
MAX_PASSES = 5


@dataclass
class Runner:
    """Materializes a study's stale partitions in this process, in the order of the stages.

    A partition that fails does not stop the others; ``failures`` has all of them afterwards.
    ``on_stage`` is called with stage and partition before each run, ``on_note`` with messages:
    the reason for waiting, and the warnings of checks. ``times`` may have started earlier.
    """

    workspace: Workspace
    study: Study
    accelerator: Accelerator
    on_stage: Callable[[str, str], None] = lambda _stage, _partition: None
    on_note: Callable[[str], None] = lambda _note: None
    times: RunTimes = field(default_factory=RunTimes)
    counts: dict[str, StageCount] = field(
        default_factory=lambda: {stage.name: StageCount() for stage in STAGES}
    )
    failures: list[StageFailure] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.study = self.workspace.expand(self.study)
        self._location = code_location(self.accelerator, WorkspaceResource(self.workspace))
        self._counted: set[Unit] = set()

    def bring_up_to_date(
        self,
        models: Sequence[str] | None = None,
        benchmarks: Sequence[str] | None = None,
    ) -> dict[str, StageCount]:
        """Compute every stale stage of the study, or of a rectangle of it, then the report.

        A model that is unavailable is a failure, and does not stop the others. Raises GradpipeError
        if all are, or if a source is, before anything is written.
        """
        self.times.begin(PLANNING)
        notes = self.workspace.series_notes(self.study)
        for note in notes:
            self.on_note(note)
        versions = Versions(self.workspace, self.study)
        plan = Plan(versions, models, benchmarks, ask_again=True)
        if not plan.models:
            raise errors.StudyError(
                notes[0]
                if notes
                else "The study has no model: add one with `gradpipe models add ID`."
            )
        plan = self._without_unavailable(plan)
        for group in find_equal_models(self.study):
            self.on_note(equal_weights_note(group))
        for _ in range(MAX_PASSES - 1):
            try:
                self._run_all(plan)
            except errors.DamagedError as error:
                self._note_damage(str(error))
                self.workspace.quarantine(error.damage)
            else:
                if not self._forget_damage():
                    return self.counts
        self._run_all(plan)
        return self.counts

    def _without_unavailable(self, plan: Plan) -> Plan:
        """Note each model of the plan that is unavailable as a failure; raise if all are.

        Weights of checkpoints are not read here: those of hundreds take long.
        """
        versions = plan.versions
        unavailable = versions.unavailable_models(plan.models)
        if len(unavailable) == len(plan.models):
            raise next(iter(unavailable.values()))
        for (name, error), benchmark in product(unavailable.items(), plan.benchmarks):
            unit = Unit((GRADIENT_SPECTRA,), Partition(benchmark=benchmark, model=name))
            failure = StageFailure(unit, GRADIENT_SPECTRA.name, str(error))
            self.failures.append(failure)
            self.on_note(str(failure))
        versions.ask_all([], plan.benchmarks)
        available = [name for name in plan.models if name not in unavailable]
        return Plan(versions, available, plan.benchmarks, ask_again=True)

    def _run_all(self, plan: Plan) -> None:
        """Run every stale unit once; raises DamagedError before anything is written."""
        work = plan.stale()
        stale_stages = set(chain(*work.values()))
        if self.study.engine == "ray" and stale_stages & {
            *GRADIENT_SPECTRA.upstream,
            GRADIENT_SPECTRA,
        }:
            require_ray()
        # Examples are built in memory first: their errors appear before anything is written.
        data_stages = {*RESPONSES.upstream, RESPONSES}
        for name in plan.benchmarks:
            if any(
                unit.partition.benchmark == name and data_stages & set(stages)
                for unit, stages in work.items()
            ):
                plan.examples(name)
        stale = set(work)
        self.workspace.keep_study(self.study)
        with (
            self.times.part(DAGSTER),
            self._instance() as instance,
            closing(self.accelerator),
        ):
            interim = InterimReports(self.workspace, plan)
            for unit in plan.units():
                if stale & {unit, *unit.upstream} or (stale and unit.summarizes):
                    self._run_unit(instance, plan, unit)
                else:
                    self._count(plan, unit, unit.stages)
                if stale and (summary := interim.due_after(unit)):
                    self._report_so_far(instance, plan, summary, interim)

    def _forget_damage(self) -> bool:
        """Delete the failures that another pass can fix; return whether there were any."""
        damaged = [failure for failure in self.failures if failure.damaged]
        for failure in damaged:
            self._note_damage(failure.reason)
        if damaged:
            # Units that were skipped because of a damaged one get another pass with it.
            self.failures = [
                failure
                for failure in self.failures
                if (failure.stage or not failure.unit.stages) and not failure.damaged
            ]
        return bool(damaged)

    def _note_damage(self, reason: str) -> None:
        self.on_note(f"{reason.removesuffix(errors.DamagedError.CURE)}: recomputing it")

    def summary(self) -> Iterator[str]:
        """Yield one line per stage with its counts and seconds, then one line per failure."""
        return account_lines(self.counts, self.times, self.failures)

    def account(self) -> dict[str, Any]:
        """The summary for programs; it has ``failed`` if anything failed."""
        record = account_record(self.counts, self.times, self.failures)
        return record | {"report": str(self.workspace.report_page)}

    @contextmanager
    def _instance(self) -> Iterator[dg.DagsterInstance]:
        with clear_fatal_errors(self.workspace), open_instance(self.workspace) as instance:
            sync_partitions(instance, self.study)
            release_orphans(instance)
            self._sweep()
            yield instance

    def _sweep(self) -> None:
        """Delete temporary files of killed runs, in the workspace and in the user's cache."""
        for folder in (self.workspace.local_root, cache_folder()):
            if folder is not None:
                sweep_leftovers(folder, recursive=True)

    def _run_unit(self, instance: dg.DagsterInstance, plan: Plan, unit: Unit) -> None:
        failed = {failure.unit for failure in self.failures}
        if unit in failed:
            return
        if failed & unit.upstream:
            self.failures.append(StageFailure(unit, "", "its benchmark failed"))
            return
        if unit.summarizes and failed and not plan.has_input(unit):
            return
        if unit.summarizes and any(failure.damaged for failure in self.failures):
            return
        with self.times.part(PLANNING):
            work = plan.work(unit)
        reused = [stage for stage in unit.stages if stage not in work]
        if work:
            self._materialize(instance, unit, work)
        # A damaged unit gets another pass and is counted then.
        if not any(failure.unit == unit and failure.damaged for failure in self.failures):
            self._count(plan, unit, reused)

    def _count(self, plan: Plan, unit: Unit, stages: Sequence[Stage]) -> None:
        """Count stages of a unit as reused, at most once over all passes."""
        if unit in self._counted:
            return
        self._counted.add(unit)
        for stage in stages:
            notes = plan.versions.notes(stage, unit.partition)
            self.counts[stage.name].reused += notes.rows if notes and stage.counts_rows else 1

    def _materialize(
        self, instance: dg.DagsterInstance, unit: Unit, stages: tuple[Stage, ...]
    ) -> None:
        self.on_stage(stages[0].name, unit.label)
        needs_slot = any(stage.pool == GPU for stage in stages)
        if needs_slot and (others := holders(instance)):
            self.on_note(f"waiting for the accelerator, which run {others[0][:8]} holds")
            with self.times.part(WAITING):
                wait_for_slot(instance)
        before = self.times.elapsed(DAGSTER)
        self._record(self._execute(instance, unit, stages, interim=False), unit, stages)
        if self.failures and self.failures[-1].unit == unit and self.failures[-1].stage:
            # A stage that failed says nothing of its time: it is what the others did not take.
            self.times.move(self.times.elapsed(DAGSTER) - before, self.failures[-1].stage)

    def _execute(
        self, instance: dg.DagsterInstance, unit: Unit, stages: tuple[Stage, ...], interim: bool
    ) -> dg.ExecuteInProcessResult:
        tags = seconds_tag(self.times.rounded(1)) | (INTERIM_TAG if interim else {})
        run_id = str(uuid4())
        try:
            with keep_interrupts(), queue_kept_moving(instance):
                return self._location.resolve_job_def(stages[0].job).execute_in_process(
                    partition_key=unit.key,
                    asset_selection=[stage.asset.key for stage in stages],
                    instance=instance,
                    run_id=run_id,
                    tags=process_tag(run_id) | tags,
                    run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
                    raise_on_error=False,
                )
        except dg.DagsterExecutionInterruptedError as interrupt:
            # Callers of a library do not expect Dagster's own exception.
            raise KeyboardInterrupt from interrupt

    def _report_so_far(
        self, instance: dg.DagsterInstance, plan: Plan, unit: Unit, interim: InterimReports
    ) -> None:
        """Write a page on the finished partitions, if any; the last report shows what fails."""
        if not plan.has_input(unit):
            return
        with interim.writing(), self.times.part(INTERIM):
            outcome = self._execute(instance, unit, unit.stages, interim=True)
        if not any(step_failures(outcome, self.workspace)):
            self.on_note(f"the results so far are in {self.workspace.report_page}")

    def _record(
        self, outcome: dg.ExecuteInProcessResult, unit: Unit, stages: tuple[Stage, ...]
    ) -> None:
        """Add a run's counts, and note its failed checks and its failures."""
        for stage in stages:
            for event in outcome.asset_materializations_for_node(stage.name):
                metadata: Any = {name: value.value for name, value in event.metadata.items()}
                self.counts[stage.name].computed += metadata["computed"]
                self.counts[stage.name].reused += metadata["reused"]
                self.times.move(metadata["seconds"], stage.name)
        for check in outcome.get_asset_check_evaluations():
            # Models of equal weights are named once, before the first partition.
            if not check.passed and check.check_name != WEIGHTS_CHECK:
                self.on_note(f"{check.check_name} of {unit.label}: {check.description}")
        self.failures += [
            StageFailure(unit, step, cause(error), is_damage(error))
            for step, error in step_failures(outcome, self.workspace)
        ]
