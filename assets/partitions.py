"""Partitions: the benchmarks and models of the workspace's study, as growing lists of slugs."""

import dagster as dg

from gradpipe.studies.study import Study
from storage.slugs import slug, unslug

benchmark_partitions = dg.DynamicPartitionsDefinition(name="benchmarks")
model_partitions = dg.DynamicPartitionsDefinition(name="models")
grid_partitions = dg.MultiPartitionsDefinition(
    {"benchmark": benchmark_partitions, "model": model_partitions}
)


def sync_partitions(instance: dg.DagsterInstance, study: Study) -> None:
    """Make the instance's partitions the study's benchmarks and models."""
    for partitions, entries in (
        (benchmark_partitions, study.benchmarks),
        (model_partitions, study.models),
    ):
        name = str(partitions.name)
        wanted = [slug(entry.name) for entry in entries]
        there = instance.get_dynamic_partitions(name)
        instance.add_dynamic_partitions(name, [key for key in wanted if key not in there])
        for key in there:
            if key not in wanted:
                instance.delete_dynamic_partition(name, key)


def grid_key(model: str, benchmark: str) -> dg.MultiPartitionKey:
    """The grid partition of one model and benchmark."""
    return dg.MultiPartitionKey({"benchmark": slug(benchmark), "model": slug(model)})


def model_and_benchmark(context: dg.AssetExecutionContext) -> tuple[str, str]:
    """The names behind the grid partition that is being materialised."""
    key = context.partition_key
    if not isinstance(key, dg.MultiPartitionKey):
        raise dg.DagsterInvariantViolationError(f"{key} is no model × benchmark partition")
    return unslug(key.keys_by_dimension["model"]), unslug(key.keys_by_dimension["benchmark"])
