"""The plan: which stages of which partitions are not current, in the order they feed each other.

Every entry point uses it: the command line, its dry run, the status table, the sensor. It compares
what the workspace has with what the study asks for, so it detects what Dagster's own staleness does
not: an edited study, replaced weights, a changed source, more than a hundred partitions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import dagster as dg
import polars as pl

from assets.partitions import grid_key
from assets.planning.generator_calls import unpaid_calls, written_for
from assets.planning.versions import CELL, ITEMS, REPORT, RESPONSES, Versions
from gradpipe.generators.calls import PLAN_SCHEMA
from gradpipe.responses.examples import EXAMPLE_SCHEMA
from gradpipe.studies.examples import study_calls, study_examples, study_items
from storage.names import slug


@dataclass(frozen=True)
class Unit:
    """What one run makes: stages that share a partition."""

    stages: tuple[str, ...]
    model: str = ""
    benchmark: str = ""

    @property
    def label(self) -> str:
        """The partition as a person reads it."""
        return " × ".join(filter(None, (self.model, self.benchmark)))

    @property
    def key(self) -> str | dg.MultiPartitionKey | None:
        """The partition as Dagster names it."""
        if self.model:
            return grid_key(self.model, self.benchmark)
        return slug(self.benchmark) if self.benchmark else None


class Plan:
    """A rectangle of a study, by default all of it, against what its workspace has."""

    def __init__(
        self,
        versions: Versions,
        models: Sequence[str] | None = None,
        benchmarks: Sequence[str] | None = None,
    ) -> None:
        study = versions.study
        self.versions = versions
        self.models = [m.name for m in study.models if models is None or m.name in models]
        self.benchmarks = [
            b.name for b in study.benchmarks if benchmarks is None or b.name in benchmarks
        ]

    @classmethod
    def of_reachable(cls, versions: Versions) -> Plan:
        """Plan the study without the models and benchmarks that are unavailable now."""
        return cls(versions, versions.reachable_models(), versions.reachable_benchmarks())

    def units(self) -> Iterator[Unit]:
        """All units, each behind those it reads; a model's column stays together."""
        for benchmark in self.benchmarks:
            yield Unit(ITEMS, benchmark=benchmark)
            yield Unit(RESPONSES, benchmark=benchmark)
        for model in self.models:
            for benchmark in self.benchmarks:
                yield Unit(CELL, model, benchmark)
        yield Unit(REPORT)

    @staticmethod
    def upstream(unit: Unit) -> tuple[Unit, ...]:
        """The units that have to be current before this one; the report takes what there is."""
        if unit.stages == RESPONSES:
            return (Unit(ITEMS, benchmark=unit.benchmark),)
        if unit.stages == CELL:
            return (
                Unit(ITEMS, benchmark=unit.benchmark),
                Unit(RESPONSES, benchmark=unit.benchmark),
            )
        return ()

    def items(self, benchmark: str) -> pl.DataFrame:
        """A benchmark's items as the next run has them, made in memory where they are stale."""
        if self.versions.is_current("benchmark_items", benchmark=benchmark):
            return self.versions.workspace.items(benchmark).read()
        return study_items(self.versions.study, self.versions.study.benchmark(benchmark))

    def unpaid(self, benchmark: str) -> pl.DataFrame:
        """The calls (PLAN_SCHEMA) that the study's generator has not answered yet."""
        study = self.versions.study
        if study.generator.kind == "source":
            return PLAN_SCHEMA.to_frame()
        calls = study_calls(study, study.benchmark(benchmark), self.items(benchmark))
        return unpaid_calls(self.versions.workspace, study, calls)

    def examples(self, benchmark: str) -> pl.DataFrame:
        """A benchmark's examples as the next run has them, made in memory where they are stale.

        None if some of their responses are still to be written. Raises GradpipeError if they
        cannot be made.
        """
        study, workspace = self.versions.study, self.versions.workspace
        if self.versions.is_current("benchmark_items", benchmark=benchmark) and (
            self.versions.is_current("responses", benchmark=benchmark)
        ):
            return workspace.responses(benchmark).read()
        config, items = study.benchmark(benchmark), self.items(benchmark)
        calls = study_calls(study, config, items)
        if unpaid_calls(workspace, study, calls).height:
            return EXAMPLE_SCHEMA.to_frame()
        written = written_for(workspace, study, calls)
        return study_examples(study, config, items, written).examples

    def stale(self) -> dict[Unit, tuple[str, ...]]:
        """Every unit with work to do, and its stages, as the workspace is now."""
        with self.versions.remembered():
            work = {unit: self.work(unit) for unit in self.units()}
        return {unit: stages for unit, stages in work.items() if stages}

    def work(self, unit: Unit) -> tuple[str, ...]:
        """Return the stages of a unit to run now, if its inputs are current; often empty."""
        for number, stage in enumerate(unit.stages):
            if not self.versions.is_current(stage, unit.model, unit.benchmark):
                return unit.stages[number:]
        return ()
