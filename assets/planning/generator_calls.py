"""Responses that a model writes: each call is paid once, each answer kept as it arrives."""

from __future__ import annotations

import time
from collections.abc import Callable

import dagster as dg
import polars as pl

from gradpipe.benchmarks.config import BenchmarkConfig
from gradpipe.errors import DataError
from gradpipe.generators.generate import GenerationProgress, GenerationSummary, generate
from gradpipe.responses.written import WRITTEN_SCHEMA
from gradpipe.studies.examples import study_calls
from gradpipe.studies.study import Study
from storage.workspace import Workspace

#: Seconds between two lines of the log.
_LINE_INTERVAL = 10.0
#: Calls without an answer that an error names one by one.
NAMED = 3


def write_responses(
    context: dg.AssetExecutionContext,
    workspace: Workspace,
    study: Study,
    benchmark: BenchmarkConfig,
    items: pl.DataFrame,
) -> tuple[pl.DataFrame, int]:
    """What the study's generator has written for a benchmark's items (WRITTEN_SCHEMA).

    And how many of its answers were paid now. Raises DataError, naming them, where some are missing
    after all: those that came are kept, and the next run asks for the others alone.
    """
    calls = study_calls(study, benchmark, items)
    if calls.is_empty():
        return WRITTEN_SCHEMA.to_frame(), 0
    with workspace.lock("generations", str(study.generator.model)):
        # Two processes that wrote the same responses would pay for them twice.
        lacking = unpaid_calls(workspace, study, calls)
        if lacking.height:
            store = workspace.generations(str(study.generator.model))
            summary = generate(lacking, study.generator, store.append, _reporter(context))
            context.log.info(summary.sentence())
            if summary.left or summary.failed:
                _refuse(summary, lacking, items, benchmark.name)
    return written_for(workspace, study, calls), lacking.height


def written_for(workspace: Workspace, study: Study, calls: pl.DataFrame) -> pl.DataFrame:
    """The answers (WRITTEN_SCHEMA) to ``calls`` (PLAN_SCHEMA) that the workspace has."""
    if calls.is_empty():
        return WRITTEN_SCHEMA.to_frame()
    store = workspace.generations(str(study.generator.model))
    answers = store.scan(calls["key"]).select("key", "text", "finish_reason").collect()
    asked = calls.select("key", "item_id", "style")
    return asked.join(answers, on="key", maintain_order="left").drop("key")


def unpaid_calls(workspace: Workspace, study: Study, calls: pl.DataFrame) -> pl.DataFrame:
    """Those of ``calls`` (PLAN_SCHEMA) without an answer in the workspace, each key once."""
    if calls.is_empty():
        return calls
    missing = workspace.generations(str(study.generator.model)).missing(calls["key"])
    return calls.filter(pl.col("key").is_in(missing)).unique("key", maintain_order=True)


def _reporter(context: dg.AssetExecutionContext) -> Callable[[GenerationProgress], None]:
    last = time.monotonic()

    def report(progress: GenerationProgress) -> None:
        nonlocal last
        if time.monotonic() - last >= _LINE_INTERVAL:
            last = time.monotonic()
            context.log.info(f"{progress.kept} of {progress.calls} responses written")

    return report


def _refuse(
    summary: GenerationSummary, calls: pl.DataFrame, items: pl.DataFrame, benchmark: str
) -> None:
    """Raise DataError with the rows that have no response, and why."""
    reasons = pl.DataFrame(
        {"key": list(summary.failed), "reason": list(summary.failed.values())},
        schema={"key": pl.String, "reason": pl.String},
    )
    failed = calls.join(reasons, on="key", maintain_order="left").join(
        items.select("item_id", "index"), on="item_id", maintain_order="left"
    )
    named = [
        f"{style} of item {index}: {reason.rstrip('.')}"
        for style, index, reason in failed.select("style", "index", "reason").iter_rows()
    ]
    more = f"; and {len(named) - NAMED} more" if len(named) > NAMED else ""
    why = "; ".join(named[:NAMED]) + more or str(summary.stopped).rstrip(".")
    raise DataError(
        f"{summary.calls - summary.kept} of {summary.calls} responses for benchmark "
        f"{benchmark!r} are not written ({why}): see to that, then run again to ask for those "
        "alone."
    )
