"""Stage one: a raw benchmark becomes items."""

from time import perf_counter
from typing import Any

import dagster as dg

from assets.dagster_workarounds.killed_runs import mark_process
from assets.partitions import benchmark_partitions
from assets.planning.versions import Versions
from assets.stage import ASSET_GROUP, preview, result, retried
from gradpipe.benchmarks.read import READER_VERSION
from gradpipe.studies.examples import study_items
from storage.names import unslug
from storage.workspace import Workspace


@dg.asset(
    group_name=ASSET_GROUP,
    kinds={"polars", "parquet"},
    partitions_def=benchmark_partitions,
    code_version=READER_VERSION,
)
def benchmark_items(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
    """The questions of one benchmark, read from its source and brought into one shape.

    One row per item: instruction, gold answer, the source's rationale if it has one, and the
    ready-made responses that it brings. Read again only when the source, the sample size or the
    seed changes.
    """
    started = perf_counter()
    mark_process(context)
    with retried(context):
        workspace = Workspace.current()
        study = workspace.study()
        config = study.benchmark(unslug(context.partition_key))
        table = workspace.items(config.name)
        version = Versions(workspace, study).items(config.name)
        fresh = table.is_current(version)
        if not fresh:
            table.write(study_items(study, config), version)
        items = table.read()
        return result(
            table.require_notes(),
            computed=0 if fresh else items.height,
            reused=items.height if fresh else 0,
            seconds=perf_counter() - started,
            metadata={
                "source": config.source,
                "family": items["family"].first() or "none",
                "preview": preview(items.select("index", "instruction", "answer")),
            },
        )
