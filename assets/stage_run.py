"""What all assets do: measure time, retry transient failures, run checks, record the result."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import dagster as dg

from assets.checks import check_results
from assets.dagster_workarounds.killed_runs import mark_process
from assets.partitions import partition_of_run, require_in_study
from assets.planning.versions import Stage, Versions
from assets.resources import WorkspaceResource
from gradpipe.check import Check
from gradpipe.checkpoints.checkpoint import StepRecord
from gradpipe.errors import DamagedError, DataError, GradpipeError
from gradpipe.gradients.protocol import Protocol
from gradpipe.system.failures import connection_failed
from gradpipe.system.hashing import content_hash
from storage.tables import Table
from storage.workspace import Workspace

if TYPE_CHECKING:
    from storage.filesystem import Location

#: All stages are in one group: the lineage page folds several groups into boxes without assets.
ASSET_GROUP = "gradpipe"
#: Number of retries of a stage before its partition counts as failed.
MAX_RETRIES = 4
_CURE_OF_ROWS = (
    "find the cause, then delete its rows with `gradpipe models remove NAME --rows` and recompute "
    "them"
)
_CURE_OF_TABLE = "the stored table was deleted, and the next run recomputes it"


class StageRun:
    """The computation of one partition of a stage; see ``stage_run``."""

    def __init__(
        self, context: dg.AssetExecutionContext, workspace: Workspace, stage: Stage, started: float
    ) -> None:
        self.context = context
        self.workspace = workspace
        self.study = workspace.study()
        self.versions = Versions(workspace, self.study)
        self.stage = stage
        self.partition = partition_of_run(context)
        require_in_study(self.study, self.partition)
        self._started = started

    @property
    def table(self) -> Table:
        """The stage's table of the partition."""
        return self.versions.table(self.stage, self.partition)

    @cached_property
    def version(self) -> str:
        """The version that the table should have."""
        return self.versions.version(self.stage, self.partition)

    @cached_property
    def was_current(self) -> bool:
        """Whether the table was up to date when this was first asked, so before it is written."""
        notes = self.versions.notes(self.stage, self.partition)
        complete = self.stage.files.is_complete(self.workspace)
        return notes is not None and notes.version == self.version and complete

    def record_step(self, protocol: Protocol) -> None:
        """Record the partition's model if it is a checkpoint: training may delete its weights."""
        config = self.study.model(self.partition.model)
        if config.series is None or config.checkpoint is None or config.step is None:
            return
        identity = self.versions.row_identity(config.name)
        record = StepRecord(
            step=float(config.step),
            place=config.id,
            revision=config.revision,
            fingerprint=self.versions.model(config.name)[1],
            identities={content_hash(protocol.key()): identity},
            notes=tuple(self.versions.prompt_notes(config.name)),
        )
        self.workspace.series.keep(config.series, record)

    def check_results(self, checks: Iterable[Check]) -> Iterator[dg.AssetCheckResult]:
        """Yield the checks as Dagster's results; raises DataError if a blocking one failed.

        A table that was current is deleted then: the report would show it, and no run would compute
        it again. What it is made from stays.
        """
        cure = _CURE_OF_ROWS
        if self.was_current and not self.stage.files.parts:
            cure = _CURE_OF_TABLE
        specs = self.stage.asset.check_specs
        try:
            yield from check_results(checks, specs, self.partition.label, cure)
        except DataError:
            if self.was_current:
                self.workspace.files.delete(self.table.path)
            raise

    def result(
        self, metadata: Mapping[str, Any], computed: int | None = None
    ) -> dg.MaterializeResult[Any]:
        """The materialization, with the numbers of every stage and ``metadata`` of its own.

        Dagster plots numbers over the materializations.

        ``computed`` is the number of rows computed now, by default all if the table was stale.
        Raises DamagedError if the table is missing.
        """
        notes = self.table.require_notes()
        total = notes.rows if self.stage.counts_rows else 1
        if computed is None:
            computed = 0 if self.was_current else total
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": notes.rows,
                "computed": computed,
                "reused": total - computed,
                "seconds": round(perf_counter() - self._started, 3),
                "bytes": self.stage.files.bytes_of(self.workspace, self.partition),
                "dagster/uri": _uri(self.table.path),
                **metadata,
            },
            data_version=dg.DataVersion(notes.data),
        )


@contextmanager
def stage_run(
    context: dg.AssetExecutionContext, workspace: WorkspaceResource, stage: Stage
) -> Iterator[StageRun]:
    """Open the computation of the context's partition, and retry if the block fails transiently.

    All other errors fail at the first attempt: an invalid study or a bug is the same a minute
    later. Damaged files are renamed so that the next run recomputes their content.
    """
    started = perf_counter()
    mark_process(context)
    try:
        yield StageRun(context, workspace.open(), stage, started)
    except dg.RetryRequested:
        raise
    except DamagedError as error:
        for renamed in workspace.open().quarantine(error.damage):
            context.log.warning(f"A damaged file was renamed to {renamed}.")
        raise
    except Exception as error:
        if not is_transient(error):
            raise
        number = attempt(context)
        wait = backoff(number)
        context.log.warning(f"Attempt {number + 1} failed: {error} Retrying in {wait:.0f} s.")
        raise dg.RetryRequested(max_retries=MAX_RETRIES, seconds_to_wait=wait) from error


def attempt(context: dg.AssetExecutionContext) -> int:
    """Return the number of earlier attempts at this step."""
    return context.op_execution_context.retry_number


def backoff(number: int) -> float:
    """Return the seconds until the next attempt: 5, 20, 80, 320."""
    return 5.0 * 4.0**number


def is_transient(error: BaseException) -> bool:
    """Return whether an error may disappear by itself, as a failed connection does."""
    return error.transient if isinstance(error, GradpipeError) else connection_failed(error)


def _uri(location: Location) -> str:
    return location.absolute().as_uri() if isinstance(location, Path) else str(location)
