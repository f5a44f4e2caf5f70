"""Stage two: items become examples, every style × relevance."""

from time import perf_counter
from typing import Any

import dagster as dg
import polars as pl

from assets.benchmark_items import benchmark_items
from assets.partitions import benchmark_partitions
from assets.results import preview, result
from assets.versions import Versions
from gradpipe.responses.build import RESPONSES_VERSION
from gradpipe.studies.examples import study_examples
from storage.slugs import unslug
from storage.workspace import Workspace


@dg.asset(
    group_name="data",
    kinds={"polars", "parquet"},
    partitions_def=benchmark_partitions,
    deps=[benchmark_items],
    code_version=RESPONSES_VERSION,
)
def responses(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
    """The examples of one benchmark: each item in every style, right and irrelevant.

    An irrelevant response is another item's whole response of the same style, with another answer
    and a length that is close (or the paper's own shuffled text, where the study asks for it).
    """
    started = perf_counter()
    workspace = Workspace.current()
    study = workspace.study()
    config = study.benchmark(unslug(context.partition_key))
    table = workspace.responses(config.name)
    version = Versions(workspace, study).responses(config.name)
    fresh = table.is_current(version)
    if not fresh:
        table.write(study_examples(study, config, workspace.items(config.name).read()), version)
    examples = table.read()
    counts = examples.group_by("style", "relevance", maintain_order=True).agg(
        pl.len().alias("examples"),
        pl.col("response").str.split(" ").list.len().mean().round(1).alias("mean_words"),
    )
    return result(
        table.require_notes(),
        computed=0 if fresh else examples.height,
        reused=examples.height if fresh else 0,
        seconds=perf_counter() - started,
        metadata={
            "examples": preview(counts, counts.height),
            "preview": preview(examples.select("style", "relevance", "instruction", "response")),
        },
    )
