"""Partitions: the benchmarks and models of the workspace's study, as growing lists of slugs."""

import dagster as dg

from gradpipe.studies.study import Study
from storage.names import slug, unslug

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
        there = instance.get_dynamic_partitions(str(partitions.name))
        if new := [key for key in wanted if key not in there]:
            changes.append(partitions.build_add_request(new))
        if gone := [key for key in there if key not in wanted]:
            changes.append(partitions.build_delete_request(gone))
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


def grid_key(model: str, benchmark: str) -> dg.MultiPartitionKey:
    """The grid partition of one model and benchmark."""
    return dg.MultiPartitionKey({"benchmark": slug(benchmark), "model": slug(model)})


def model_and_benchmark(context: dg.AssetExecutionContext) -> tuple[str, str]:
    """Return the model and benchmark of the grid partition that is being materialized."""
    key = context.partition_key
    if not isinstance(key, dg.MultiPartitionKey):
        raise dg.DagsterInvariantViolationError(f"{key} is no model × benchmark partition")
    return unslug(key.keys_by_dimension["model"]), unslug(key.keys_by_dimension["benchmark"])
