"""Bringing a study up to date: only what is stale runs, and every number says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import dagster as dg

from assets.code_location import code_location
from assets.dagster_workarounds.fatal_errors import stop_behind, stops_in_words
from assets.dagster_workarounds.interrupts import no_signal_lost
from assets.dagster_workarounds.killed_runs import process_tag, release_orphans
from assets.dagster_workarounds.pool_slots import holders, queue_kept_moving, wait_for_slot
from assets.jobs import JOB_OF
from assets.partitions import sync_partitions
from assets.planning.plan import Plan, Unit
from assets.planning.versions import CELL, ITEMS, REPORT, RESPONSES, STAGE_NAMES, Versions
from assets.resources import Accelerator
from assets.running.instance import open_instance
from gradpipe import errors
from gradpipe.engines.connection import require_ray
from gradpipe.studies.study import Study
from gradpipe.system.atomic_files import sweep_leftovers
from gradpipe.system.user_folders import cache_folder
from storage.workspace import Workspace

#: Maximum number of passes when files turn out to be damaged.
PASSES = 5


@dataclass
class StageCount:
    """What one stage did: rows, examples or partitions computed and reused, and its seconds."""

    computed: int = 0
    reused: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class StageFailure:
    """A stage that failed on a partition, and why; ``stage`` is empty where it was never tried.

    ``damaged``: it found files that were not as they were written, which are set aside by now.
    """

    unit: Unit
    stage: str
    reason: str
    damaged: bool = False

    def __str__(self) -> str:
        """As in ``gradient_spectra of m × b failed: the reason.``"""
        label = self.unit.label or "the study"
        what = f"{self.stage} of {label} failed" if self.stage else f"{label} was left out"
        return f"{what}: {self.reason}"


@dataclass
class Runner:
    """Materialises a study's stale partitions in this process, in the order of the stages.

    A partition that fails does not stop the others; ``failures`` has them afterwards. ``on_stage``
    is told the stage and partition before each that has work to do, ``on_note`` what it waits for
    and what its checks warn of.
    """

    workspace: Workspace
    study: Study
    accelerator: Accelerator
    on_stage: Callable[[str, str], None] = lambda _stage, _partition: None
    on_note: Callable[[str], None] = lambda _note: None
    counts: dict[str, StageCount] = field(
        default_factory=lambda: {name: StageCount() for name in STAGE_NAMES}
    )
    failures: list[StageFailure] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._location = code_location(self.accelerator)
        self._counted: set[Unit] = set()

    def bring_up_to_date(
        self,
        models: Sequence[str] | None = None,
        benchmarks: Sequence[str] | None = None,
    ) -> dict[str, StageCount]:
        """Every stage of the study, or of a rectangle of it, then the report.

        Raises GradpipeError for a model or source that is unavailable, before anything is
        written.
        """
        versions = Versions(self.workspace, self.study)
        plan = Plan(versions, models, benchmarks)
        if not plan.models:
            raise errors.StudyError(
                "The study has no model: add one with `gradpipe models add ID`."
            )
        versions.ask_all(plan.models, plan.benchmarks)
        for _ in range(PASSES - 1):
            try:
                self._bring_all(plan)
            except errors.DamagedError as error:
                self._tell_of_damage(str(error))
                self.workspace.quarantine(error.damage)
            else:
                if not self._forget_damage():
                    return self.counts
        self._bring_all(plan)
        return self.counts

    def _bring_all(self, plan: Plan) -> None:
        """Every unit once; raises DamagedError for what it finds before anything is written."""
        found = plan.stale()
        stale = set(found)
        if self.study.engine == "ray" and set(chain(*found.values())) - {CELL[1], *REPORT}:
            require_ray()
        for name in plan.benchmarks:
            # Made without being kept: what is wrong with them is said before anything is written.
            if stale & {Unit(ITEMS, benchmark=name), Unit(RESPONSES, benchmark=name)}:
                plan.examples(name)
        self.workspace.keep_study(self.study)
        with self._instance() as instance, closing(self.accelerator):
            for unit in plan.units():
                if stale & {unit, *plan.upstream(unit)} or (stale and unit.stages == REPORT):
                    self._bring(instance, plan, unit)
                else:
                    self._count(plan, unit, unit.stages)

    def _forget_damage(self) -> bool:
        """Drop the failures that another pass can fix; return whether there were any."""
        damaged = [failure for failure in self.failures if failure.damaged]
        for failure in damaged:
            self._tell_of_damage(failure.reason)
        if damaged:
            # What was left out for want of such a partition is tried with it.
            self.failures = [
                failure for failure in self.failures if failure.stage and not failure.damaged
            ]
        return bool(damaged)

    def _tell_of_damage(self, reason: str) -> None:
        self.on_note(
            f"{reason.removesuffix(errors.DamagedError.CURE)}: set aside, to be made again"
        )

    def summary(self, seconds: float) -> Iterator[str]:
        """What was done, stage by stage, and what failed, as lines of text."""
        for name, count in self.counts.items():
            yield (
                f"{name:<20} {count.computed:>7} computed {count.reused:>7} reused "
                f"{count.seconds:>8.1f} s"
            )
        yield f"{'in all':<20} {seconds:>41.1f} s"
        for failure in self.failures:
            yield str(failure)

    def account(self, seconds: float) -> dict[str, Any]:
        """The same for programs; ``failed`` is there where something failed."""
        stages = {
            name: {
                "computed": count.computed,
                "reused": count.reused,
                "seconds": round(count.seconds, 3),
            }
            for name, count in self.counts.items()
        }
        failed = [str(failure) for failure in self.failures]
        return {
            "stages": stages,
            "seconds": round(seconds, 3),
            "report": str(self.workspace.report_page),
        } | ({"failed": failed} if failed else {})

    @contextmanager
    def _instance(self) -> Iterator[dg.DagsterInstance]:
        with stops_in_words(self.workspace), open_instance(self.workspace) as instance:
            sync_partitions(instance, self.study)
            release_orphans(instance)
            self._sweep()
            yield instance

    def _sweep(self) -> None:
        """Delete what killed runs left half-written, here and in the user's cache."""
        for folder in (self.workspace.local_root, cache_folder()):
            if folder is not None:
                sweep_leftovers(folder, recursive=True)

    def _bring(self, instance: dg.DagsterInstance, plan: Plan, unit: Unit) -> None:
        failed = {failure.unit for failure in self.failures}
        if unit in failed:
            return
        if failed & set(plan.upstream(unit)):
            self.failures.append(StageFailure(unit, "", "its benchmark failed"))
            return
        if unit.stages == REPORT and failed and not plan.versions.cells():
            return
        if unit.stages == REPORT and any(failure.damaged for failure in self.failures):
            return
        work = plan.work(unit)
        reused = [stage for stage in unit.stages if stage not in work]
        if work:
            self._materialize(instance, unit, work)
        # A damaged one is gone through once more, and counted then.
        if not any(failure.unit == unit and failure.damaged for failure in self.failures):
            self._count(plan, unit, reused)

    def _count(self, plan: Plan, unit: Unit, stages: Sequence[str]) -> None:
        """Count stages of a unit as reused, once in all passes."""
        if unit in self._counted:
            return
        self._counted.add(unit)
        for stage in stages:
            notes = plan.versions.notes(stage, unit.model, unit.benchmark)
            by_rows = stage not in {"spectral_statistics", "report"}
            self.counts[stage].reused += notes.rows if notes and by_rows else 1

    def _materialize(
        self, instance: dg.DagsterInstance, unit: Unit, stages: tuple[str, ...]
    ) -> None:
        self.on_stage(stages[0], unit.label)
        if "gradient_spectra" in stages and (others := holders(instance)):
            self.on_note(f"waiting for the accelerator, which run {others[0][:8]} holds")
            wait_for_slot(instance)
        try:
            with no_signal_lost(), queue_kept_moving(instance):
                outcome = self._location.resolve_job_def(JOB_OF[stages[0]].name).execute_in_process(
                    partition_key=unit.key,
                    asset_selection=[dg.AssetKey(stage) for stage in stages],
                    instance=instance,
                    tags=process_tag(),
                    run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
                    raise_on_error=False,
                )
        except dg.DagsterExecutionInterruptedError as interrupt:
            # Dagster's own kind, which no caller of a library would think of.
            raise KeyboardInterrupt from interrupt
        self._take_account(outcome, unit, stages)

    def _take_account(
        self, outcome: dg.ExecuteInProcessResult, unit: Unit, stages: tuple[str, ...]
    ) -> None:
        for stage in stages:
            for event in outcome.asset_materializations_for_node(stage):
                made: Any = {name: value.value for name, value in event.metadata.items()}
                self.counts[stage].computed += made["computed"]
                self.counts[stage].reused += made["reused"]
                self.counts[stage].seconds += made["seconds"]
        for check in outcome.get_asset_check_evaluations():
            if not check.passed:
                self.on_note(f"{check.check_name} of {unit.label}: {check.description}")
        for failure in outcome.filter_events(lambda event: event.is_step_failure):
            error: Any = failure.step_failure_data.error
            if error.cls_name == dg.DagsterExecutionInterruptedError.__name__:
                # Within a step it comes back as a failure of this one run.
                raise KeyboardInterrupt
            if stop := stop_behind(error, self.workspace):
                raise stop
            self.failures.append(
                StageFailure(unit, str(failure.step_key), cause(error), _is_damage(error))
            )


def _is_damage(error: Any) -> bool:
    """Whether a DamagedError is behind what Dagster tells of a failure."""
    while error is not None and error.cls_name != errors.DamagedError.__name__:
        error = error.cause
    return error is not None


def cause(error: Any) -> str:
    """What went wrong below Dagster's own errors, as one line: gradpipe's sentence, if any."""
    ours = f"{errors.__name__}."
    while error.cause and not error.message.startswith(ours):
        error = error.cause
    text = " ".join(error.message.split())
    return text.partition(": ")[2] if text.startswith(ours) else text
