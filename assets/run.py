"""Bringing a study up to date: only what is stale runs, and every number says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from assets.accelerator import Accelerator
from assets.instance import open_instance
from assets.orphans import process_tag, release_orphans
from assets.partitions import grid_key, sync_partitions
from assets.stages import STAGES
from assets.versions import Versions
from gradpipe.errors import StudyError
from gradpipe.studies.examples import study_examples, study_items
from gradpipe.studies.study import Study
from storage.slugs import slug
from storage.tables import Table
from storage.workspace import Workspace

STAGE_NAMES = tuple(stage.key.to_user_string() for stage in STAGES)


@dataclass
class StageCount:
    """What one stage did: rows, examples or partitions computed and reused, and its seconds."""

    computed: int = 0
    reused: int = 0
    seconds: float = 0.0


@dataclass
class Runner:
    """Materialises a study's stale partitions in this process, in the order of the stages.

    ``on_stage`` is told the stage and partition before each that has work to do.
    """

    workspace: Workspace
    study: Study
    accelerator: Accelerator
    on_stage: Callable[[str, str], None] = lambda _stage, _partition: None
    counts: dict[str, StageCount] = field(
        default_factory=lambda: {name: StageCount() for name in STAGE_NAMES}
    )

    def bring_up_to_date(
        self,
        models: Sequence[str] | None = None,
        benchmarks: Sequence[str] | None = None,
    ) -> dict[str, StageCount]:
        """Every stage of the study, or of a rectangle of it, then the report.

        Raises GradpipeError for a model or source that is not to be had, before anything is
        written.
        """
        chosen_models = [m.name for m in self.study.models if models is None or m.name in models]
        chosen = [
            b.name for b in self.study.benchmarks if benchmarks is None or b.name in benchmarks
        ]
        if not chosen_models:
            raise StudyError("The study has no model: add one with `gradpipe models add ID`.")
        versions = Versions(self.workspace, self.study)
        for benchmark in chosen:
            versions.source(benchmark)
        for model in chosen_models:
            versions.model(model)
        self._try_examples(versions, chosen)
        self.workspace.keep_study(self.study)
        with self._instance() as instance:
            for benchmark in chosen:
                self._benchmark(instance, versions, benchmark)
            for model in chosen_models:
                for benchmark in chosen:
                    self._cell(instance, versions, model, benchmark)
            self._report(instance, versions)
        return self.counts

    def _try_examples(self, versions: Versions, benchmarks: Sequence[str]) -> None:
        """Make the examples that are to be made once without keeping them: errors come now."""
        for name in benchmarks:
            items, responses = self.workspace.items(name), self.workspace.responses(name)
            if not items.is_current(versions.items(name)):
                config = self.study.benchmark(name)
                study_examples(self.study, config, study_items(self.study, config))
            elif not responses.is_current(versions.responses(name)):
                study_examples(self.study, self.study.benchmark(name), items.read())

    @contextmanager
    def _instance(self) -> Iterator[dg.DagsterInstance]:
        with open_instance(self.workspace) as instance:
            sync_partitions(instance, self.study)
            release_orphans(instance)
            yield instance

    def _benchmark(self, instance: dg.DagsterInstance, versions: Versions, name: str) -> None:
        items, responses = self.workspace.items(name), self.workspace.responses(name)
        key = slug(name)
        if not items.is_current(versions.items(name)):
            self._materialize(instance, "benchmark_items", key, name)
        else:
            self._reuse("benchmark_items", items)
        if not responses.is_current(versions.responses(name)):
            self._materialize(instance, "responses", key, name)
        else:
            self._reuse("responses", responses)

    def _cell(
        self, instance: dg.DagsterInstance, versions: Versions, model: str, benchmark: str
    ) -> None:
        index = self.workspace.spectra_index(model, benchmark)
        statistics = self.workspace.statistics(model, benchmark)
        key, label = grid_key(model, benchmark), f"{model} × {benchmark}"
        if not index.is_current(versions.spectra(model, benchmark)):
            self._materialize(instance, "gradient_spectra", key, label)
        else:
            self._reuse("gradient_spectra", index)
        if not statistics.is_current(versions.statistics(model, benchmark)):
            self._materialize(instance, "spectral_statistics", key, label)
        else:
            self.counts["spectral_statistics"].reused += 1

    def _report(self, instance: dg.DagsterInstance, versions: Versions) -> None:
        notes = self.workspace.report_notes()
        if notes.is_current(versions.report()) and self.workspace.report_page.is_file():
            self.counts["report"].reused += 1
        else:
            self._materialize(instance, "report", None, "")

    def _reuse(self, stage: str, table: Table) -> None:
        self.counts[stage].reused += table.require_notes().rows

    def _materialize(self, instance: dg.DagsterInstance, stage: str, key: Any, label: str) -> None:
        self.on_stage(stage, label)
        try:
            outcome = dg.materialize(
                STAGES,
                selection=[stage],
                partition_key=key,
                instance=instance,
                tags=process_tag(),
                resources={"accelerator": self.accelerator},
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            )
        except dg.DagsterExecutionInterruptedError as interrupt:
            # Dagster's own kind, which no caller of a library would think of.
            raise KeyboardInterrupt from interrupt
        for event in outcome.asset_materializations_for_node(stage):
            count = self.counts[stage]
            made: Any = {name: value.value for name, value in event.metadata.items()}
            count.computed += made["computed"]
            count.reused += made["reused"]
            count.seconds += made["seconds"]
