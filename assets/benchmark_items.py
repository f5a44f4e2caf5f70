"""Stage one: a raw benchmark becomes items."""

from typing import Any

import dagster as dg

from assets.partitions import benchmark_partitions
from assets.planning.versions import Stage, Versions
from assets.resources import WorkspaceResource
from assets.stage_run import ASSET_GROUP, stage_run
from assets.table_metadata import column_schema, markdown_table
from gradpipe.benchmarks.items import ITEM_SCHEMA
from gradpipe.benchmarks.read import READER_VERSION
from gradpipe.benchmarks.table_items import count_unusable
from gradpipe.studies.examples import study_items
from gradpipe.system.hashing import content_hash
from storage.stages import ITEMS_FILES, Partition


@dg.asset(
    group_name=ASSET_GROUP,
    kinds={"polars", "parquet"},
    metadata=column_schema(ITEM_SCHEMA),
    partitions_def=benchmark_partitions,
    code_version=READER_VERSION,
)
def benchmark_items(
    context: dg.AssetExecutionContext, workspace: dg.ResourceParam[WorkspaceResource]
) -> dg.MaterializeResult[Any]:
    """The questions of one benchmark, read from its source and converted to one schema.

    One row per item: instruction, gold answer, the source's rationale if it has one, and the
    responses that come with the source. Read again only if the source, the sample size or the seed
    changes.
    """
    with stage_run(context, workspace, BENCHMARK_ITEMS) as run:
        config = run.study.benchmark(run.partition.benchmark)
        if not run.was_current:
            run.table.write(study_items(run.study, config), run.version)
        items = run.table.read()
        commit = run.versions.revision(config.name)
        return run.result(
            {
                "source": config.source,
                **({"revision": commit} if commit else {}),
                "unusable_rows": count_unusable(items),
                "family": items["family"].first() or "none",
                "first_items": markdown_table(items.select("index", "instruction", "answer")),
            }
        )


def _version(versions: Versions, partition: Partition) -> str:
    """Source revision, sample size, seed."""
    study, config = versions.study, versions.study.benchmark(partition.benchmark)
    sample = config.sample or study.sample
    drawn = (sample, study.sampling, study.seed) if sample else None
    return content_hash("items", versions.source(config.name), drawn)


BENCHMARK_ITEMS = Stage(
    asset=benchmark_items, files=ITEMS_FILES, version=_version, job="benchmark_data"
)
