"""The asset checks of stored partitions, run again by themselves: nothing is computed or written.

Dagster's UI runs no partitioned check without its asset, so a job does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dagster as dg
import polars as pl
from pydantic import Field

from assets.checks import severity_of
from assets.naming import Naming
from assets.partitions import partition_key
from assets.planning.versions import Stage, Versions
from assets.resources import WorkspaceResource
from assets.stages import STAGES
from assets.table_metadata import markdown_table
from gradpipe.errors import DamagedError, GradpipeError, StudyError, nearest
from storage.stages import Partition

#: The stages that have checks, by name.
CHECKED = {stage.name: stage for stage in STAGES if stage.checks is not None}
#: One row per check and partition.
_RESULT_SCHEMA = pl.Schema(
    {
        "asset": pl.String(),
        "partition": pl.String(),
        "check": pl.String(),
        "passed": pl.Boolean(),
        "blocking": pl.Boolean(),
        "sentence": pl.String(),
    }
)
#: One row per partition that was not checked.
_OUTDATED_SCHEMA = pl.Schema(dict.fromkeys(("asset", "partition", "reason"), pl.String()))


class StoredChecksConfig(dg.Config):
    """What to check; empty lists mean everything."""

    assets: list[str] = Field(
        default=[], description=f"Assets to check: {', '.join(CHECKED)}; by default all."
    )
    models: list[str] = Field(default=[], description="Models of the study; by default all.")
    benchmarks: list[str] = Field(
        default=[], description="Benchmarks of the study; by default all."
    )


def check_stored_partitions(
    config: StoredChecksConfig,
    workspace: dg.ResourceParam[WorkspaceResource],
    names: Naming,
) -> Iterator[dg.AssetCheckEvaluation | dg.Output[None]]:
    """Run the checks of the stored partitions again, and fail if a blocking one fails.

    A partition that is out of date is listed and not checked: its rows are those of other settings.
    """
    opened = workspace.open()
    versions = Versions(opened, opened.study())
    rows, outdated = [], []
    for stage, partition in _stored(versions, config):
        if reason := _why_outdated(versions, stage, partition):
            outdated.append((stage.name, partition.label, reason))
            continue
        for result in _evaluate(stage, versions, partition, names):
            yield result
            rows.append(
                (
                    stage.name,
                    partition.label,
                    result.check_name,
                    result.passed,
                    result.blocking,
                    result.description,
                )
            )
    results = pl.DataFrame(rows, schema=_RESULT_SCHEMA, orient="row")
    failed = results.filter(~pl.col("passed")).sort("blocking", descending=True)
    metadata: dict[str, Any] = {
        "checks": results.height,
        "partitions": results.select("asset", "partition").n_unique(),
        "failed": failed.height,
        "failed_checks": markdown_table(failed.drop("passed"), failed.height),
        "out_of_date": markdown_table(
            pl.DataFrame(outdated, schema=_OUTDATED_SCHEMA, orient="row"), len(outdated)
        ),
    }
    if failed["blocking"].any():
        raise dg.Failure(
            f"{failed['blocking'].sum()} of {results.height} checks fail on what is stored: the "
            "table `failed_checks` says which. Materialize their partitions again, after deleting "
            "rows that are wrong with `gradpipe models remove NAME --rows`.",
            metadata=metadata,
            allow_retries=False,
        )
    yield dg.Output(None, metadata=metadata)


def _stored(versions: Versions, config: StoredChecksConfig) -> Iterator[tuple[Stage, Partition]]:
    """The chosen partitions that have a table, whole or damaged.

    Raises StudyError for unknown names.
    """
    study = versions.study
    for name in config.assets:
        if name not in CHECKED:
            raise StudyError(f"{name!r} has no checks: {nearest(name, list(CHECKED))}")
    models = [study.model(name).name for name in config.models] or [m.name for m in study.models]
    benchmarks = [study.benchmark(name).name for name in config.benchmarks] or [
        benchmark.name for benchmark in study.benchmarks
    ]
    for name in config.assets or CHECKED:
        for partition in CHECKED[name].files.partitions(models, benchmarks):
            if versions.table(CHECKED[name], partition).written() is not None:
                yield CHECKED[name], partition


def _why_outdated(versions: Versions, stage: Stage, partition: Partition) -> str:
    """Why a partition is not what the study describes now; empty if it is, or if it is damaged."""
    if versions.notes(stage, partition) is None:
        return ""
    try:
        current = versions.is_current(stage, partition)
    except GradpipeError as error:
        return str(error)
    return "" if current else "Its inputs or settings have changed: materialize it."


def _evaluate(
    stage: Stage, versions: Versions, partition: Partition, names: Naming
) -> Iterator[dg.AssetCheckEvaluation]:
    """The results of a partition's checks; if its files are damaged, every check fails."""
    assert stage.checks is not None
    try:
        found = {check.name: check for check in stage.checks(versions, partition)}
        fault = ""
    except DamagedError as error:
        found, fault = {}, str(error)
    for spec in stage.asset.check_specs:
        check = found.get(spec.name)
        yield dg.AssetCheckEvaluation(
            asset_key=names.key(stage.name),
            check_name=spec.name,
            passed=check is not None and check.passed,
            severity=severity_of(spec),
            description=fault if check is None else check.sentence,
            metadata={} if check is None else dict(check.numbers),
            blocking=spec.blocking,
            partition=partition_key(partition),
        )
