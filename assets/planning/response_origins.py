"""Where the responses of a benchmark come from, as the workspace knows it."""

from __future__ import annotations

import polars as pl

from gradpipe.errors import GradpipeError
from gradpipe.responses.provenance import CALL_COLUMNS, response_provenance
from gradpipe.responses.thinking import written_responses
from gradpipe.studies.examples import study_calls
from gradpipe.studies.study import Study
from storage.generated_answers import answers_of_calls
from storage.workspace import Workspace


def provenance_of(workspace: Workspace, study: Study, benchmark: str) -> pl.DataFrame:
    """The provenance (PROVENANCE_SCHEMA) and ``text`` of a benchmark's judged responses.

    Raises DamagedError if they are missing or damaged.
    """
    quality = workspace.quality(benchmark).read()
    if quality["by_model"].any() and not quality["key"].count():
        quality = _with_keys(workspace, study, benchmark, quality)
    return response_provenance(quality, answers_of_calls(workspace, quality["key"], CALL_COLUMNS))


def _with_keys(
    workspace: Workspace, study: Study, benchmark: str, quality: pl.DataFrame
) -> pl.DataFrame:
    """Find the calls of responses that were judged before their keys were stored.

    They are the calls of the study as it is now, if these have the same texts.
    """
    try:
        config = study.benchmark(benchmark)
        calls = study_calls(study, config, workspace.items(benchmark).read())
    except GradpipeError:
        # Without its settings, prompts or model, a call has no key.
        return quality
    answers = answers_of_calls(workspace, calls["key"])
    written = written_responses(calls, answers).select("item_id", "style", "text", "key")
    keys = written.with_columns(by_model=pl.lit(value=True)).unique(["item_id", "style"])
    return quality.drop("key").join(
        keys, on=["by_model", "item_id", "style", "text"], how="left", maintain_order="left"
    )
