"""Responses that a model writes: each call is paid for once, each answer kept as it arrives."""

from __future__ import annotations

import time
from collections.abc import Callable

import dagster as dg
import polars as pl

from gradpipe.benchmarks.config import BenchmarkConfig
from gradpipe.benchmarks.samples import base_item, sample_number
from gradpipe.errors import DataError, StudyError
from gradpipe.generators.config import GeneratorConfig
from gradpipe.generators.generate import GenerationProgress, GenerationSummary, generate
from gradpipe.responses.thinking import written_responses
from gradpipe.responses.written import WRITTEN_SCHEMA
from gradpipe.studies.examples import study_calls
from gradpipe.studies.study import Study
from storage.workspace import Workspace

#: Seconds between two log lines.
_LOG_INTERVAL = 10.0
#: The workspace's folder for the files of the generator `batch`.
_BATCHES = "batches"
#: Maximum number of calls without an answer that an error lists.
MAX_LISTED_CALLS = 3


def write_responses(
    context: dg.AssetExecutionContext,
    workspace: Workspace,
    study: Study,
    benchmark: BenchmarkConfig,
    items: pl.DataFrame,
) -> tuple[pl.DataFrame, int]:
    """Return what the generator wrote for a benchmark's items, and the number of calls made now.

    The texts have WRITTEN_SCHEMA. Raises DataError, which names them, if some are missing: the
    answers that arrived are kept, and the next run asks only for the others.
    """
    calls = study_calls(study, benchmark, items)
    if calls.is_empty():
        return WRITTEN_SCHEMA.to_frame(), 0
    with workspace.lock("generations", str(study.generator.model)):
        # Two processes that wrote the same responses would pay for them twice.
        unpaid = unpaid_calls(workspace, study, calls)
        if unpaid.height:
            store = workspace.generations(str(study.generator.model))
            config = with_batch_folder(study.generator, workspace)
            report = answer_reporter(context, "responses")
            summary = generate(unpaid, config, store.append, report)
            # Each answer was stored by itself, as it arrived.
            store.compact()
            context.log.info(summary.sentence())
            if summary.left or summary.failed:
                _raise_unanswered(summary, unpaid, items, benchmark.name)
    return written_for(workspace, study, calls), unpaid.height


def written_for(workspace: Workspace, study: Study, calls: pl.DataFrame) -> pl.DataFrame:
    """The answers (WRITTEN_SCHEMA) to ``calls`` (PLAN_SCHEMA) that the workspace has."""
    if calls.is_empty():
        return WRITTEN_SCHEMA.to_frame()
    store = workspace.generations(str(study.generator.model))
    answers = store.scan(calls["key"]).select("key", "text", "finish_reason", "reasoning").collect()
    return written_responses(calls, answers)


def unpaid_calls(workspace: Workspace, study: Study, calls: pl.DataFrame) -> pl.DataFrame:
    """The calls (PLAN_SCHEMA) without an answer in the workspace, each key once."""
    if calls.is_empty():
        return calls
    missing = workspace.generations(str(study.generator.model)).missing(calls["key"])
    return calls.filter(pl.col("key").is_in(missing)).unique("key", maintain_order=True)


def with_batch_folder(config: GeneratorConfig, workspace: Workspace) -> GeneratorConfig:
    """The generator's settings with the workspace's folder for batch files, unless one is set.

    Raises StudyError if the workspace is in an object store: the files are uploaded by hand.
    """
    if config.kind != "batch" or config.batch_folder is not None:
        return config
    if workspace.local_root is None:
        raise StudyError(
            "The workspace is in an object store, where batch files cannot be uploaded from: set "
            "the generator's `batch_folder` to a local folder."
        )
    return config.model_copy(update={"batch_folder": str(workspace.local_root / _BATCHES)})


def answer_reporter(
    context: dg.AssetExecutionContext, what: str
) -> Callable[[GenerationProgress], None]:
    """A function that logs the progress of a run from time to time; ``what`` is a plural."""
    last = time.monotonic()

    def report(progress: GenerationProgress) -> None:
        nonlocal last
        if time.monotonic() - last >= _LOG_INTERVAL:
            last = time.monotonic()
            context.log.info(f"{progress.kept} of {progress.calls} {what} written")

    return report


def _raise_unanswered(
    summary: GenerationSummary, calls: pl.DataFrame, items: pl.DataFrame, benchmark: str
) -> None:
    """Raise DataError with the items that have no response, and the reasons."""
    reasons = pl.DataFrame(
        {"key": list(summary.failed), "reason": list(summary.failed.values())},
        schema={"key": pl.String, "reason": pl.String},
    )
    failed = (
        calls.join(reasons, on="key", maintain_order="left")
        .with_columns(base_item(), sample_number())
        .join(items.select("item_id", "index"), on="item_id", maintain_order="left")
    )
    listed = [
        f"{style} of item {index}{f' (sample {sample + 1})' if sample else ''}: "
        + reason.rstrip(".")
        for style, index, sample, reason in failed.select(
            "style", "index", "sample", "reason"
        ).iter_rows()
    ]
    hidden = len(listed) - MAX_LISTED_CALLS
    more = f"; and {hidden} more" if hidden > 0 else ""
    why = "; ".join(listed[:MAX_LISTED_CALLS]) + more
    stopped = (summary.stopped or "").rstrip(".")
    if summary.next_step is None:
        why, stopped = why or stopped, ""
    notes = "; ".join(filter(None, [why, *summary.notes, stopped]))
    cure = summary.next_step or "fix this, then run again to request only the missing ones"
    raise DataError(
        f"{summary.calls - summary.kept} of {summary.calls} responses for benchmark "
        f"{benchmark!r} are not written{f' ({notes})' if notes else ''}: {cure}."
    )
