"""Stage two: items become examples, every style × relevance."""

from collections.abc import Iterator
from time import perf_counter
from typing import Any

import dagster as dg

from assets.benchmark_items import benchmark_items
from assets.checks import check_results, check_spec
from assets.dagster_workarounds.killed_runs import mark_process
from assets.partitions import benchmark_partitions
from assets.planning.generator_calls import write_responses
from assets.planning.versions import Versions
from assets.stage import ASSET_GROUP, preview, result, retried
from gradpipe.responses.build import RESPONSES_VERSION
from gradpipe.responses.checks import check_lengths
from gradpipe.responses.examples import count_styles
from gradpipe.responses.gates import check_quality, summarize_verdicts
from gradpipe.studies.examples import study_examples
from storage.names import unslug
from storage.workspace import Workspace

RESPONSE_CHECKS = [
    check_spec(
        "responses",
        "styles_grow_longer",
        "Detailed responses are longer than simplified ones, those than bare answers; knowledge "
        "by its lengths.",
        benchmark_partitions,
        blocking=False,
    ),
    check_spec(
        "responses",
        "answers_agree",
        "Of no style is a larger share than the study's `mismatch_limit` wrong, cut off, refused "
        "or of another length than it should be.",
        benchmark_partitions,
        blocking=False,
    ),
]


@dg.asset(
    group_name=ASSET_GROUP,
    kinds={"polars", "parquet"},
    partitions_def=benchmark_partitions,
    deps=[benchmark_items],
    code_version=RESPONSES_VERSION,
    check_specs=RESPONSE_CHECKS,
)
def responses(
    context: dg.AssetExecutionContext,
) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[Any]]:
    """The examples of one benchmark: each item in every style, right and irrelevant.

    An irrelevant response is another item's whole response of the same style, with another answer
    and a length that is close (or sentences of several, where the study asks for that). What the
    source does not bring, the study's generator writes: each call is paid once, and gates tell
    right answers from wrong ones, refusals and cut-off texts.
    """
    started = perf_counter()
    mark_process(context)
    with retried(context):
        workspace = Workspace.current()
        study = workspace.study()
        config = study.benchmark(unslug(context.partition_key))
        table, judged = workspace.responses(config.name), workspace.quality(config.name)
        version = Versions(workspace, study).responses(config.name)
        fresh, written = table.is_current(version), 0
        if not fresh:
            items = workspace.items(config.name).read()
            texts, written = write_responses(context, workspace, study, config, items)
            made = study_examples(study, config, items, texts)
            judged.write(made.quality, version)
            table.write(made.examples, version)
        examples, quality = table.read(), judged.read()
        checks = [check_lengths(examples), check_quality(quality, study.mismatch_limit)]
        yield from check_results(checks, RESPONSE_CHECKS, config.name)
        yield result(
            table.require_notes(),
            computed=0 if fresh else examples.height,
            reused=examples.height if fresh else 0,
            seconds=perf_counter() - started,
            metadata={
                "examples": preview(count_styles(examples), 100),
                "written": written,
                "quality": preview(summarize_verdicts(quality), 100),
                "preview": preview(
                    examples.select("style", "relevance", "instruction", "response")
                ),
            },
        )
