"""Dagster's dynamic partitions: the benchmarks and models of the workspace's study."""

import dagster as dg

from gradpipe.studies.study import Study
from storage.names import slug, unslug
from storage.stages import Partition

benchmark_partitions = dg.DynamicPartitionsDefinition(name="benchmarks")
model_partitions = dg.DynamicPartitionsDefinition(name="models")
grid_partitions = dg.MultiPartitionsDefinition(
    {"benchmark": benchmark_partitions, "model": model_partitions}
)


PartitionChange = dg.AddDynamicPartitionsRequest | dg.DeleteDynamicPartitionsRequest


def partition_changes(instance: dg.DagsterInstance, study: Study) -> list[PartitionChange]:
    """List the changes that make the partitions match the study's benchmarks and models."""
    changes: list[PartitionChange] = []
    for partitions, entries in (
        (benchmark_partitions, study.benchmarks),
        (model_partitions, study.models),
    ):
        wanted = [slug(entry.name) for entry in entries]
        current = instance.get_dynamic_partitions(str(partitions.name))
        if new := [key for key in wanted if key not in current]:
            changes.append(partitions.build_add_request(new))
        if removed := [key for key in current if key not in wanted]:
            changes.append(partitions.build_delete_request(removed))
    return changes


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
