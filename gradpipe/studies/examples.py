"""A study's settings applied to one of its benchmarks: its items, generator calls and examples."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import polars as pl

from gradpipe.benchmarks.config import BenchmarkConfig
from gradpipe.benchmarks.items import sample_items
from gradpipe.benchmarks.read import read_items
from gradpipe.benchmarks.samples import with_samples
from gradpipe.errors import DataError, ModelError
from gradpipe.generators.calls import PLAN_SCHEMA, plan_calls
from gradpipe.models.fingerprint import file_digest
from gradpipe.responses.build import build_examples
from gradpipe.responses.length_matched import MATCHED_FROM
from gradpipe.responses.token_counts import CountTokens
from gradpipe.responses.verified import verified_examples
from gradpipe.responses.written import (
    judge_ready_made,
    judge_written,
    with_matched,
    with_mismatches,
    with_rationales,
    with_written,
)
from gradpipe.studies.model_config import ModelConfig
from gradpipe.studies.study import Study
from gradpipe.studies.study_models import find_study_model
from gradpipe.styles import MATCHED_STYLES, THINKING_STYLES, uncut_style
from gradpipe.system.hashing import content_hash

#: The files that decide how texts become tokens.
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "tokenizer_config.json")
#: What to do if most responses of a style have a verdict.
_CURES = {
    "cut_off": "raise the generator's `max_tokens`",
    "no_thinking": "choose a thinking model, or set `thinking_request` as its server documents",
}


@dataclass(frozen=True)
class StudyExamples:
    """The ``examples`` (EXAMPLE_SCHEMA) of a benchmark, and the ``quality`` of its responses.

    ``quality`` (QUALITY_SCHEMA) includes the responses that it excluded.
    """

    examples: pl.DataFrame
    quality: pl.DataFrame


def study_items(study: Study, benchmark: BenchmarkConfig) -> pl.DataFrame:
    """The items (ITEM_SCHEMA) that the study uses of a benchmark; raises DataError."""
    sample = benchmark.sample or study.sample
    own = study.benchmark(benchmark.name).own_styles
    return sample_items(
        read_items(benchmark.with_own_styles(own)), sample, study.sampling, study.seed
    )


def study_calls(study: Study, benchmark: BenchmarkConfig, items: pl.DataFrame) -> pl.DataFrame:
    """The generator calls that the study needs for these items (PLAN_SCHEMA); raises DataError.

    Only for styles that the study has, or derives others from.
    """
    if study.generator.kind == "source":
        return PLAN_SCHEMA.to_frame()
    wanted = _styles(study, benchmark)
    calls = plan_calls(items, study.generator, wanted)
    if wanted is None:
        return calls
    needed = set(wanted)
    for style in needed & MATCHED_FROM.keys():
        needed |= {MATCHED_FROM[style], "simplified"}
    return calls.filter(pl.col("style").is_in(list(needed)))


def counts_tokens(study: Study, benchmark: BenchmarkConfig) -> bool:
    """Whether the examples that the study makes of a benchmark depend on lengths in tokens."""
    wanted = _styles(study, benchmark) or ()
    matched = any(style in MATCHED_STYLES or uncut_style(style, wanted) for style in wanted)
    return study.generator.kind != "source" or matched


def depends_on_calls(study: Study) -> bool:
    """Whether the study's examples depend on what a generator or a judge answers."""
    judged = study.judge is not None and study.correct == "verified"
    return study.generator.kind != "source" or judged


def study_quality(
    study: Study,
    benchmark: BenchmarkConfig,
    items: pl.DataFrame,
    written: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """The verdicts of the rules (QUALITY_SCHEMA) on the responses to these items.

    Arguments as for ``study_examples``. A response that a model wrote replaces the source's own.
    """
    styles = _styles(study, benchmark)
    quality = judge_ready_made(_with_rationales(items, styles))
    if styles is not None:
        quality = quality.filter(pl.col("style").is_in(styles))
    if study.generator.kind == "source" or written is None:
        return quality
    count = token_counter(study) if counts_tokens(study, benchmark) else None
    judged = judge_written(with_samples(items, study.generator.samples), written, count)
    replaced = quality.join(judged, on=["item_id", "style"], how="anti", maintain_order="left")
    return pl.concat([replaced, judged])


def study_examples(
    study: Study,
    benchmark: BenchmarkConfig,
    items: pl.DataFrame,
    written: pl.DataFrame | None = None,
    quality: pl.DataFrame | None = None,
) -> StudyExamples:
    """The examples that the study makes of these items; raises DataError.

    ``written`` (WRITTEN_SCHEMA) are the responses that its generator wrote for them. If the study
    lists ``thinking`` or ``answer_only``, and neither the source nor the generator has them, they
    are made of the source's rationale and the item's answer. ``quality`` are the verdicts on the
    responses, by default ``study_quality``.
    """
    styles = _styles(study, benchmark)
    count = token_counter(study) if counts_tokens(study, benchmark) else None
    if quality is None:
        quality = study_quality(study, benchmark, items, written)
    items = _with_rationales(items, styles)
    if study.generator.kind != "source" and written is not None:
        items = with_samples(items, study.generator.samples)
        judged = quality.filter("by_model")
        items = with_written(items, judged, study.generator.mismatches)
        if study.generator.mismatches == "exclude":
            _require_passed(judged, benchmark.name)
        if study.wrong == "mismatches" and "wrong" in study.relevances:
            items = with_mismatches(items, judged)
    examples = build_examples(
        with_matched(items, styles or [], count),
        styles=styles,
        relevances=list(study.relevances),
        irrelevant=study.irrelevant,
        seed=study.seed,
        how=study.sampling,
        wrong=study.wrong,
    )
    examples = _with_gate_results(examples, quality)
    if study.correct == "verified":
        examples = verified_examples(examples)
        _require_examples(examples, benchmark.name)
    return StudyExamples(examples, quality)


def token_counter(study: Study) -> CountTokens | None:
    """A function that counts tokens as the ``counting_model`` does; None without models."""
    first = counting_model(study)
    if first is None:
        return None
    from gradpipe.models.load import tokenizer_of

    tokenizer = tokenizer_of(find_study_model(study, first.name, weights=False), first.location)

    def count(texts: list[str]) -> list[int]:
        return [len(ids) for ids in tokenizer(texts, add_special_tokens=False)["input_ids"]]

    return count


def counting_model(study: Study) -> ModelConfig | None:
    """The model whose tokenizer counts tokens; None without models.

    The first one that is not a step of a series, since steps come and go; or else the first step
    that has its files.
    """
    single = (model for model in study.models if model.series is None)
    steps = (model for model in study.models if model.record is None)
    return next(chain(single, steps), None)


def tokenizer_identity(model: ModelConfig) -> str:
    """A hash of a local model's tokenizer, which is the same for all steps of most series.

    Raises ModelError if the files are deleted meanwhile.
    """
    files = (Path(model.location) / name for name in _TOKENIZER_FILES)
    try:
        return content_hash([(file.name, file_digest(file)) for file in files if file.is_file()])
    except OSError as error:
        raise ModelError(
            f"The tokenizer of {model.name} cannot be read ({error.strerror}): check its folder.",
            transient=True,
        ) from error


def _styles(study: Study, benchmark: BenchmarkConfig) -> list[str] | None:
    styles = study.styles_of(benchmark)
    return list(styles) if styles else None


def _with_rationales(items: pl.DataFrame, styles: list[str] | None) -> pl.DataFrame:
    """The items with the styles of a thinking model that their source's rationales can make."""
    if any(style in THINKING_STYLES for style in styles or ()):
        return with_rationales(items, styles or [])
    return items


def _require_passed(quality: pl.DataFrame, benchmark: str) -> None:
    passed = pl.col("verdict") == "passed"
    results = quality.group_by("style", maintain_order=True).agg(
        passed.any().alias("any_passed"), pl.col("verdict").mode().sort().first()
    )
    for style, any_passed, result in results.iter_rows():
        if not any_passed:
            raise DataError(
                f"No response of style {style!r} that was written for benchmark {benchmark!r} "
                f"passed the gates (mostly {result.replace('_', ' ')}): "
                f"{_CURES.get(result, 'choose another model or prompt')}, or set the generator's "
                "`mismatches: keep`."
            )


def _require_examples(examples: pl.DataFrame, benchmark: str) -> None:
    if examples.is_empty():
        raise DataError(
            f"No response to benchmark {benchmark!r} is verified: set `correct: all`, or check "
            "its gold answers."
        )


def _with_gate_results(examples: pl.DataFrame, quality: pl.DataFrame) -> pl.DataFrame:
    marks = quality.select("item_id", "style", "verdict", relevance=pl.lit("correct"))
    return examples.drop("verdict").join(
        marks, on=["item_id", "style", "relevance"], how="left", maintain_order="left"
    )
