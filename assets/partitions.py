"""Dagster's partitions: the benchmarks and models of a study."""

import json
from collections.abc import Iterable
from dataclasses import dataclass

import dagster as dg

from gradpipe.errors import ModelError, StudyError
from gradpipe.models.fingerprint import pin
from gradpipe.models.source import resolve_model
from gradpipe.studies.series import series_of
from gradpipe.studies.study import Study
from storage.names import slug, unslug
from storage.stages import Partition

PartitionSet = dg.DynamicPartitionsDefinition | dg.StaticPartitionsDefinition


@dataclass(frozen=True)
class StudyPartitions:
    """The partitions of one study's assets."""

    benchmarks: PartitionSet
    models: PartitionSet

    @property
    def grid(self) -> dg.MultiPartitionsDefinition:
        """The partitions of assets with one partition per model and benchmark."""
        return dg.MultiPartitionsDefinition({"benchmark": self.benchmarks, "model": self.models})

    def definition(self, dimensions: tuple[str, ...]) -> dg.PartitionsDefinition[str] | None:
        """The partitions of a stage; ``dimensions`` are what its files are partitioned by."""
        if "model" in dimensions:
            return self.grid
        return self.benchmarks if dimensions else None

    @classmethod
    def of_study(cls, study: Study, prefix: str) -> "StudyPartitions":
        """The partitions of a study that is part of the code.

        Its benchmarks and models are known when Dagster loads the code; only the steps of a series
        change later. ``prefix`` keeps the names of several studies in one instance apart.
        """
        benchmarks = dg.StaticPartitionsDefinition([slug(entry.name) for entry in study.benchmarks])
        if series_of(study):
            return cls(benchmarks, dg.DynamicPartitionsDefinition(name=f"{prefix}models"))
        models = dg.StaticPartitionsDefinition([slug(model.name) for model in study.models])
        return cls(benchmarks, models)


benchmark_partitions = dg.DynamicPartitionsDefinition(name="benchmarks")
model_partitions = dg.DynamicPartitionsDefinition(name="models")
#: The partitions of the workspace's own study, which commands and the UI change.
WORKSPACE_PARTITIONS = StudyPartitions(benchmark_partitions, model_partitions)
grid_partitions = WORKSPACE_PARTITIONS.grid
#: Where the instance keeps the keys that gradpipe added to a partitions definition.
_OWN_KEYS = "gradpipe/partitions/{}"

PartitionChange = dg.AddDynamicPartitionsRequest | dg.DeleteDynamicPartitionsRequest


def partition_changes(
    instance: dg.DagsterInstance,
    study: Study,
    changeable: StudyPartitions = WORKSPACE_PARTITIONS,
) -> list[PartitionChange]:
    """List the changes that make the partitions match the study's benchmarks and models.

    Keys that gradpipe did not add, but a user in the UI, are not deleted. The keys that the study
    needs are recorded as gradpipe's own.
    """
    changes: list[PartitionChange] = []
    for partitions, entries in (
        (changeable.benchmarks, study.benchmarks),
        (changeable.models, study.models),
    ):
        if not isinstance(partitions, dg.DynamicPartitionsDefinition):
            continue
        name = str(partitions.name)
        wanted = dict.fromkeys(slug(entry.name) for entry in entries)
        current = dict.fromkeys(instance.get_dynamic_partitions(name))
        own = _own_keys(instance, name, current)
        if new := [key for key in wanted if key not in current]:
            changes.append(partitions.build_add_request(new))
        if removed := [key for key in current if key in own and key not in wanted]:
            changes.append(partitions.build_delete_request(removed))
        # A key that is to be deleted stays gradpipe's own until it is gone.
        _record_own_keys(instance, name, {*wanted, *(own & current.keys())}, own)
    return changes


def keys_of_users(instance: dg.DagsterInstance, study: Study) -> list[str]:
    """The keys of models that a user added in the UI, and that the study does not have."""
    name = str(model_partitions.name)
    current = dict.fromkeys(instance.get_dynamic_partitions(name))
    known = _own_keys(instance, name, current) | {slug(model.name) for model in study.models}
    return [key for key in current if key not in known]


def _own_keys(instance: dg.DagsterInstance, name: str, current: Iterable[str]) -> set[str]:
    """The keys that gradpipe added; all current ones in an instance of an earlier version."""
    cursor = _OWN_KEYS.format(name)
    stored = instance.daemon_cursor_storage.get_cursor_values({cursor}).get(cursor)
    return set(current) if stored is None else set(json.loads(stored))


def _record_own_keys(
    instance: dg.DagsterInstance, name: str, keys: set[str], before: set[str]
) -> None:
    cursor = _OWN_KEYS.format(name)
    if keys != before or not instance.daemon_cursor_storage.get_cursor_values({cursor}):
        instance.daemon_cursor_storage.set_cursor_values({cursor: json.dumps(sorted(keys))})


def sync_partitions(instance: dg.DagsterInstance, study: Study) -> None:
    """Make the instance's partitions match the study's benchmarks and models."""
    for change in partition_changes(instance, study):
        name = change.partitions_def_name
        if isinstance(change, dg.AddDynamicPartitionsRequest):
            instance.add_dynamic_partitions(name, change.partition_keys)
        else:
            for key in change.partition_keys:
                instance.delete_dynamic_partition(name, key)


PartitionKey = str | dg.MultiPartitionKey


def partition_key(partition: Partition) -> PartitionKey | None:
    """Dagster's key of a partition, or None for an asset without partitions."""
    if partition.model:
        dimensions = {"benchmark": slug(partition.benchmark), "model": slug(partition.model)}
        return dg.MultiPartitionKey(dimensions)
    return slug(partition.benchmark) if partition.benchmark else None


def partition_of_run(context: dg.AssetExecutionContext) -> Partition:
    """The partition that is being materialized."""
    if not context.has_partition_key:
        return Partition()
    key = context.partition_key
    if isinstance(key, dg.MultiPartitionKey):
        return Partition(**{name: unslug(text) for name, text in key.keys_by_dimension.items()})
    return Partition(benchmark=unslug(key))


def require_in_study(study: Study, partition: Partition) -> None:
    """Raise a GradpipeError that says why a partition's model or benchmark is not in the study."""
    if partition.benchmark:
        study.benchmark(partition.benchmark)
    name = partition.model
    if not name or any(model.name == name for model in study.models):
        return
    series = name.rpartition("@")[0]
    if series in {entry.name for entry in series_of(study)}:
        raise ModelError(
            f"{name} is not a step of the series {series!r} now: its checkpoint is gone or not "
            "complete, and it has no results. `gradpipe models list` says which steps there are."
        )
    pin(resolve_model(name))
    raise StudyError(
        f"{name} is not in the study yet: add it with `gradpipe models add`, or wait for the "
        "sensor `keep_up`."
    )
