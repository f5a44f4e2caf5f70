"""Stage two: items become examples, one per style and relevance."""

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg
import polars as pl

from assets.benchmark_items import BENCHMARK_ITEMS, benchmark_items
from assets.checks import check_spec
from assets.partitions import benchmark_partitions
from assets.planning.generator_calls import write_responses
from assets.planning.second_opinions import JudgedResponses, ask_judge, lacks_opinions
from assets.planning.versions import Stage, Versions
from assets.resources import WorkspaceResource
from assets.stage_run import ASSET_GROUP, stage_run
from assets.table_metadata import column_schema, markdown_table
from gradpipe.benchmarks.config import BenchmarkConfig
from gradpipe.check import Check
from gradpipe.generators.calls import GENERATOR_VERSION
from gradpipe.generators.judge import load_judge_prompt
from gradpipe.generators.prompts import load_templates
from gradpipe.generators.written_styles import MAX_TOKENS
from gradpipe.responses.build import RESPONSES_VERSION
from gradpipe.responses.checks import check_lengths
from gradpipe.responses.examples import EXAMPLE_SCHEMA, count_styles
from gradpipe.responses.gates import check_quality, summarize_verdicts
from gradpipe.responses.second_opinion import OPINIONS_VERSION, check_opinions
from gradpipe.responses.written import GATES_VERSION, QUALITY_SCHEMA
from gradpipe.studies.examples import (
    counting_model,
    counts_tokens,
    study_examples,
    study_quality,
    tokenizer_identity,
)
from gradpipe.studies.study import Study
from gradpipe.styles import THINKING_STYLES
from gradpipe.system.hashing import content_hash
from storage.stages import RESPONSES_FILES, Partition

RESPONSE_CHECKS = [
    check_spec(
        "responses",
        "styles_grow_longer",
        "Detailed responses are longer than simplified ones, which are longer than bare answers. "
        "Responses to knowledge questions grow with the length that their style names.",
        benchmark_partitions,
        blocking=False,
    ),
    check_spec(
        "responses",
        "answers_agree",
        "In every style, the share of responses that are wrong, cut off, refused or of the wrong "
        "length is within the study's `mismatch_limit`.",
        benchmark_partitions,
        blocking=False,
    ),
    check_spec(
        "responses",
        "second_opinions",
        "The study's judge, if there is one, replied about every response in which the rules find "
        "no answer.",
        benchmark_partitions,
        blocking=False,
    ),
]


@dg.asset(
    group_name=ASSET_GROUP,
    kinds={"polars", "parquet"},
    metadata=column_schema(EXAMPLE_SCHEMA),
    partitions_def=benchmark_partitions,
    deps=[benchmark_items],
    code_version=RESPONSES_VERSION,
    check_specs=RESPONSE_CHECKS,
)
def responses(
    context: dg.AssetExecutionContext, workspace: dg.ResourceParam[WorkspaceResource]
) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[Any]]:
    """The examples of one benchmark: each item in every style, correct and irrelevant.

    An irrelevant response is the whole response to another item in the same style, with a different
    answer and a similar length (or several sentences, if the study sets that). The study's
    generator writes the responses that the source does not have. Each call is paid for once, and
    gates distinguish correct answers from wrong ones, refusals and truncated texts. If the study
    has a judge, it reads the responses in which the gates find no answer.
    """
    with stage_run(context, workspace, RESPONSES) as run:
        study, config = run.study, run.study.benchmark(run.partition.benchmark)
        quality_table, paid_calls = run.workspace.quality(config.name), 0
        judged = JudgedResponses(QUALITY_SCHEMA.to_frame())
        asks_again = run.was_current and lacks_opinions(run.workspace, study, config.name) > 0
        if asks_again or not run.was_current:
            items = run.workspace.items(config.name).read()
            texts, paid_calls = write_responses(context, run.workspace, study, config, items)
            by_rules = study_quality(study, config, items, texts)
            judged = ask_judge(context, run.workspace, study, items, by_rules)
            built = study_examples(study, config, items, texts, judged.quality)
            quality_table.write(built.quality, run.version)
            run.table.write(built.examples, run.version)
        examples, quality = run.table.read(), quality_table.read()
        yield from run.check_results(response_checks(examples, quality, study, judged.reasons))
        texts = examples.select("style", "relevance", "instruction", "response")
        yield run.result(
            {
                "examples_per_style": markdown_table(count_styles(examples), 100),
                "generator_calls": paid_calls,
                "judge_calls": judged.paid_calls,
                "quality": markdown_table(summarize_verdicts(quality), 100),
                "first_examples": markdown_table(texts),
            },
            computed=examples.height if asks_again else None,
        )


def response_checks(
    examples: pl.DataFrame, quality: pl.DataFrame, study: Study, reasons: Sequence[str] = ()
) -> list[Check]:
    """The checks of a benchmark's examples and of the verdicts on its responses.

    ``reasons`` say why second opinions are missing, for those of this run.
    """
    return [
        check_lengths(examples),
        check_quality(quality, study.mismatch_limit),
        check_opinions(quality, reasons),
    ]


def _stored_checks(versions: Versions, partition: Partition) -> list[Check]:
    examples = versions.table(RESPONSES, partition).read()
    quality = versions.workspace.quality(partition.benchmark).read()
    return response_checks(examples, quality, versions.study)


def _version(versions: Versions, partition: Partition) -> str:
    """Item content, styles, generator and its settings."""
    study, config = versions.study, versions.study.benchmark(partition.benchmark)
    # Only where it is set, so that examples that were built before the setting existed stay valid.
    correct = [study.correct] if study.correct != "all" else []
    return content_hash(
        RESPONSES_VERSION,
        versions.data(BENCHMARK_ITEMS, partition),
        study.styles_of(config),
        study.relevances,
        (study.irrelevant, study.sampling, study.seed)
        if "irrelevant" in study.relevances
        else None,
        _generator_version(versions, config),
        GATES_VERSION,
        *correct,
        # Only where it matters, so that the tables of other studies stay valid.
        *((study.wrong, study.seed) if "wrong" in study.relevances else ()),
        *_judge_version(versions),
    )


def _judge_version(versions: Versions) -> list[object]:
    """Everything that determines the replies of the study's judge; empty without one."""
    judge = versions.study.judge
    if judge is None:
        return []
    settings = versions.generator("judge"), judge.additions(), judge.most_tokens
    return [("judge", OPINIONS_VERSION, settings, load_judge_prompt(judge.prompt).hash)]


def _generator_version(versions: Versions, benchmark: BenchmarkConfig) -> object:
    """Everything that determines the texts that are missing from the source."""
    study, generator = versions.study, versions.study.generator
    counter = _counter_version(versions) if counts_tokens(study, benchmark) else None
    if generator.kind == "source":
        return counter or "source"
    written = generator.styles_to_write(study.styles_of(benchmark))
    templates = load_templates(generator, [style for style in MAX_TOKENS if style in written])
    prompts = {style: template.hash for style, template in templates.items()}
    settings = versions.generator(), generator.mismatches, generator.styles
    thinking = [generator.thinking_settings(style) for style in prompts if style in THINKING_STYLES]
    additions = generator.additions()
    # Only where they are set, so that the tables of other studies stay valid.
    own = [additions] if additions else []
    return GENERATOR_VERSION, settings, prompts, counter, *thinking, *own


def _counter_version(versions: Versions) -> str | None:
    """The tokenizer that counts tokens; the same for all steps of a series that share it."""
    model = counting_model(versions.study)
    if model is None:
        return None
    source, fingerprint = versions.model(model.name)
    in_folder = model.series is not None and source.kind == "folder"
    return tokenizer_identity(model) if in_folder else fingerprint


RESPONSES = Stage(
    asset=responses,
    files=RESPONSES_FILES,
    reads=(BENCHMARK_ITEMS,),
    version=_version,
    checks=_stored_checks,
    job="benchmark_data",
)
