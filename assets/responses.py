"""Stage two: items become examples, every style × relevance."""

from collections.abc import Iterator
from time import perf_counter
from typing import Any

import dagster as dg

from assets.benchmark_items import benchmark_items
from assets.checks import check_results, check_spec
from assets.orphans import mark_process
from assets.partitions import benchmark_partitions
from assets.results import GROUP, preview, result
from assets.retries import retried
from assets.versions import Versions
from gradpipe.responses.build import RESPONSES_VERSION
from gradpipe.responses.checks import check_lengths
from gradpipe.responses.examples import count_styles
from gradpipe.studies.examples import study_examples
from storage.slugs import unslug
from storage.workspace import Workspace

CHECKS = [
    check_spec(
        "responses",
        "styles_grow_longer",
        "Detailed responses are longer than simplified ones, those than bare answers; knowledge "
        "by its lengths.",
        benchmark_partitions,
        blocking=False,
    )
]


@dg.asset(
    group_name=GROUP,
    kinds={"polars", "parquet"},
    partitions_def=benchmark_partitions,
    deps=[benchmark_items],
    code_version=RESPONSES_VERSION,
    check_specs=CHECKS,
)
def responses(
    context: dg.AssetExecutionContext,
) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[Any]]:
    """The examples of one benchmark: each item in every style, right and irrelevant.

    An irrelevant response is another item's whole response of the same style, with another answer
    and a length that is close (or the paper's own shuffled text, where the study asks for it).
    """
    started = perf_counter()
    mark_process(context)
    with retried(context):
        workspace = Workspace.current()
        study = workspace.study()
        config = study.benchmark(unslug(context.partition_key))
        table = workspace.responses(config.name)
        version = Versions(workspace, study).responses(config.name)
        fresh = table.is_current(version)
        if not fresh:
            table.write(study_examples(study, config, workspace.items(config.name).read()), version)
        examples = table.read()
        yield from check_results([check_lengths(examples)], CHECKS, config.name)
        yield result(
            table.require_notes(),
            computed=0 if fresh else examples.height,
            reused=examples.height if fresh else 0,
            seconds=perf_counter() - started,
            metadata={
                "examples": preview(count_styles(examples), 100),
                "preview": preview(
                    examples.select("style", "relevance", "instruction", "response")
                ),
            },
        )
