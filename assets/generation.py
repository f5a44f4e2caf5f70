"""Responses that a model writes: each call is paid once, each answer kept as it arrives."""

from __future__ import annotations

import time
from collections.abc import Callable

import dagster as dg
import polars as pl

from gradpipe.benchmarks.config import BenchmarkConfig
from gradpipe.errors import DataError
from gradpipe.generators.calls import CALL_SCHEMA
from gradpipe.generators.generate import GenerationProgress, GenerationSummary, generate
from gradpipe.studies.examples import study_calls
from gradpipe.studies.study import Study
from storage.workspace import Workspace

#: Seconds between two lines of the log.
LINE_INTERVAL = 10.0
#: Calls without an answer that an error names one by one.
NAMED = 3


def write_responses(
    context: dg.AssetExecutionContext,
    workspace: Workspace,
    study: Study,
    benchmark: BenchmarkConfig,
    items: pl.DataFrame,
) -> tuple[pl.DataFrame, int]:
    """Every answer (CALL_SCHEMA) that the study's generator gives for a benchmark's items.

    And how many of them were paid now. Raises DataError, naming them, where some are missing after
    all: those that came are kept, and the next run asks for the others alone.
    """
    calls = study_calls(study, benchmark, items)
    if calls.is_empty():
        return CALL_SCHEMA.to_frame(), 0
    model = str(study.generator.model)
    store = workspace.generations(model)
    # Two processes that wrote the same responses would pay for them twice.
    with workspace.lock("generations", model):
        lacking = calls.filter(pl.col("key").is_in(store.missing(calls["key"])))
        if lacking.height:
            summary = generate(lacking, study.generator, store.append, _reporter(context))
            context.log.info(summary.sentence())
            if summary.left or summary.failed:
                _refuse(summary, lacking, items, benchmark.name)
    return store.scan(calls["key"]).collect(), lacking["key"].n_unique()


def written_so_far(
    workspace: Workspace, study: Study, benchmark: BenchmarkConfig, items: pl.DataFrame
) -> pl.DataFrame:
    """The answers (CALL_SCHEMA) to those items' calls that are in the workspace."""
    calls = study_calls(study, benchmark, items)
    if calls.is_empty():
        return CALL_SCHEMA.to_frame()
    return workspace.generations(str(study.generator.model)).scan(calls["key"]).collect()


def unpaid_calls(
    workspace: Workspace, study: Study, benchmark: BenchmarkConfig, items: pl.DataFrame
) -> pl.DataFrame:
    """The calls (PLAN_SCHEMA) for those items that have no answer in the workspace yet."""
    calls = study_calls(study, benchmark, items)
    if calls.is_empty():
        return calls
    missing = workspace.generations(str(study.generator.model)).missing(calls["key"])
    return calls.filter(pl.col("key").is_in(missing)).unique("key", maintain_order=True)


def _reporter(context: dg.AssetExecutionContext) -> Callable[[GenerationProgress], None]:
    last = time.monotonic()

    def report(progress: GenerationProgress) -> None:
        nonlocal last
        if time.monotonic() - last >= LINE_INTERVAL:
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
    failed = (
        calls.unique("key", maintain_order=True)
        .join(reasons, on="key", maintain_order="left")
        .join(items.select("item_id", "index"), on="item_id", maintain_order="left")
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
