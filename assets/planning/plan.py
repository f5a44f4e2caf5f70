"""The plan: which stages of which partitions are not current, in the order they feed each other.

Every entry point uses it: the command line, its dry run, the status table, the sensor. It compares
the workspace with the study, so it detects changes that Dagster's own staleness does not: an edited
study, replaced weights, a changed source, more than a hundred partitions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import polars as pl

from assets.benchmark_items import BENCHMARK_ITEMS
from assets.partitions import PartitionKey, partition_key
from assets.planning.generator_calls import unpaid_calls, written_for
from assets.planning.reach import is_within_reach
from assets.planning.second_opinions import (
    OpinionBill,
    judged_by_answer,
    lacks_opinions,
    stored_opinions,
)
from assets.planning.versions import Stage, Versions
from assets.responses import RESPONSES
from assets.stages import STAGES, stages_by_run
from gradpipe.generators.bill import estimate_bill
from gradpipe.generators.calls import PLAN_SCHEMA
from gradpipe.responses.examples import EXAMPLE_SCHEMA
from gradpipe.studies.examples import (
    depends_on_calls,
    study_calls,
    study_examples,
    study_items,
    study_quality,
)
from storage.stages import Partition


@dataclass(frozen=True)
class Unit:
    """The work of one run: stages that are computed together on one partition."""

    stages: tuple[Stage, ...]
    partition: Partition

    @property
    def label(self) -> str:
        """The partition as a person reads it."""
        return self.partition.label

    @property
    def key(self) -> PartitionKey | None:
        """The partition as Dagster names it."""
        return partition_key(self.partition)

    @property
    def summarizes(self) -> bool:
        """Whether it reads any number of partitions, as the report does."""
        return any(stage.summarizes for stage in self.stages)

    @property
    def upstream(self) -> set[Unit]:
        """The units that have to be current before this one; the report requires no unit."""
        if self.summarizes:
            return set()
        read = set(self.stages[0].upstream)
        return {
            Unit(stages, stages[0].files.partition_of(self.partition))
            for stages in stages_by_run()
            if read & set(stages)
        }


class Plan:
    """A rectangle of a study, by default all of it, against what its workspace has.

    With ``ask_again``, responses about which a call to the judge failed are work to do.
    """

    def __init__(
        self,
        versions: Versions,
        models: Sequence[str] | None = None,
        benchmarks: Sequence[str] | None = None,
        *,
        ask_again: bool = False,
    ) -> None:
        study = versions.study
        self.versions, self._ask_again = versions, ask_again
        chosen = None if models is None else frozenset(models)
        self.models = [m.name for m in study.models if chosen is None or m.name in chosen]
        self.benchmarks = [
            b.name for b in study.benchmarks if benchmarks is None or b.name in benchmarks
        ]

    @classmethod
    def of_reachable(cls, versions: Versions) -> Plan:
        """Plan the study without the models and benchmarks that are unavailable now."""
        return cls(versions, versions.reachable_models(), versions.reachable_benchmarks())

    def units(self) -> Iterator[Unit]:
        """All units in the order of their inputs; the benchmarks of a model stay together."""
        by_partitioning = groupby(stages_by_run(), lambda stages: stages[0].files.partitioned_by)
        for _, runs in by_partitioning:
            groups = list(runs)
            for partition in groups[0][0].files.partitions(self.models, self.benchmarks):
                yield from (Unit(stages, partition) for stages in groups)

    def items(self, benchmark: str) -> pl.DataFrame:
        """A benchmark's items as the next run will have them, read in memory if they are stale."""
        if self.versions.is_current(BENCHMARK_ITEMS, Partition(benchmark=benchmark)):
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
        """A benchmark's examples as the next run will have them, built in memory if stale.

        Empty if some of the responses are still to be written, or judged where that decides which
        examples there are. Raises GradpipeError if the examples cannot be built.
        """
        study, workspace = self.versions.study, self.versions.workspace
        if self._has_responses(benchmark):
            return workspace.responses(benchmark).read()
        config, items = study.benchmark(benchmark), self.items(benchmark)
        calls = study_calls(study, config, items)
        if unpaid_calls(workspace, study, calls).height:
            return EXAMPLE_SCHEMA.to_frame()
        written = written_for(workspace, study, calls)
        quality = study_quality(study, config, items, written)
        if study.judge is not None:
            quality, unpaid = stored_opinions(workspace, study.judge, items, quality)
            if unpaid.height and depends_on_calls(study):
                return EXAMPLE_SCHEMA.to_frame()
        return study_examples(study, config, items, written, quality).examples

    def opinion_bill(self, benchmark: str) -> OpinionBill | None:
        """What the judge's calls for a benchmark still cost; None without a judge or calls."""
        study, workspace = self.versions.study, self.versions.workspace
        if study.judge is None:
            return None
        config, items = study.benchmark(benchmark), self.items(benchmark)
        calls = study_calls(study, config, items)
        unwritten = unpaid_calls(workspace, study, calls)
        if self._has_responses(benchmark):
            quality = workspace.quality(benchmark).read()
        else:
            written = written_for(workspace, study, calls)
            quality = study_quality(study, config, items, written)
            # A source's own responses that others will replace are not asked about.
            replaced = calls.join(unwritten, on="key", how="semi")
            quality = quality.join(replaced, on=["item_id", "style"], how="anti")
        _, unpaid = stored_opinions(workspace, study.judge, items, quality)
        later = judged_by_answer(items, unwritten)
        if not unpaid.height and not later:
            return None
        return OpinionBill(estimate_bill(unpaid, study.judge), later)

    def _has_responses(self, benchmark: str) -> bool:
        """Whether a benchmark's items and examples are current."""
        partition = Partition(benchmark=benchmark)
        stages = (BENCHMARK_ITEMS, RESPONSES)
        return all(self.versions.is_current(stage, partition) for stage in stages)

    def stale(self) -> dict[Unit, tuple[Stage, ...]]:
        """Every unit with work to do, and its stages to compute, as the workspace is now."""
        with self.versions.snapshot(STAGES):
            work = {unit: self.work(unit) for unit in self.units()}
        return {unit: stages for unit, stages in work.items() if stages}

    def work(self, unit: Unit) -> tuple[Stage, ...]:
        """Return the stages of a unit to compute now, if its inputs are current; often empty.

        Empty too if rows are missing of a step whose weights are gone.
        """
        for number, stage in enumerate(unit.stages):
            if not self.versions.is_current(stage, unit.partition) or self._asks(stage, unit):
                within_reach = is_within_reach(self.versions, stage, unit.partition)
                return unit.stages[number:] if within_reach else ()
        return ()

    def _asks(self, stage: Stage, unit: Unit) -> bool:
        """Whether a current stage asks the judge again."""
        if not self._ask_again or stage is not RESPONSES:
            return False
        versions = self.versions
        return lacks_opinions(versions.workspace, versions.study, unit.partition.benchmark) > 0

    def has_input(self, unit: Unit) -> bool:
        """Whether a unit that summarizes partitions has any partition to read."""
        reads = [stage for own in unit.stages for stage in own.reads]
        return any(self.versions.current_partitions(stage) for stage in reads)
