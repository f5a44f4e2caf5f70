"""What an asset records: counts, seconds, and the data version that its children look at."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import dagster as dg
import polars as pl

from gradpipe.errors import DamagedError, GradpipeError
from gradpipe.system.failures import connection_failed
from storage.tables import Notes
from storage.workspace import Workspace

#: All stages in one group: the lineage page folds several into boxes that show no asset.
ASSET_GROUP = "gradpipe"


def result(
    notes: Notes,
    *,
    computed: int,
    reused: int,
    seconds: float,
    metadata: Mapping[str, Any] | None = None,
) -> dg.MaterializeResult[Any]:
    """A materialisation with the numbers that every stage has, and its own ``metadata``."""
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": notes.rows,
            "computed": computed,
            "reused": reused,
            "seconds": round(seconds, 3),
            **(metadata or {}),
        },
        data_version=dg.DataVersion(notes.data),
    )


def preview(frame: pl.DataFrame, rows: int = 5) -> dg.MarkdownMetadataValue:
    """The first rows as a table in the UI, long texts cut."""
    head = frame.head(rows).select(
        pl.when(pl.col(name).str.len_chars() > 80)
        .then(pl.col(name).str.slice(0, 77) + "...")
        .otherwise(pl.col(name))
        .str.replace_all(r"[\r\n|]+", " ")
        if dtype == pl.String
        else pl.col(name).round_sig_figs(5)
        if dtype.is_float()
        else pl.col(name)
        for name, dtype in frame.schema.items()
    )
    lines = [head.columns, ["---"] * head.width, *head.iter_rows()]
    return dg.MetadataValue.md(
        "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)
    )


#: Number of retries of a stage before its partition counts as failed.
MAX_RETRIES = 4


@contextmanager
def retried(context: dg.AssetExecutionContext) -> Iterator[None]:
    """Ask Dagster to retry transient failures; all other errors fail at the first attempt.

    A bad study is the same a minute later, and a bug too. A damaged file is set aside, so that the
    next run recomputes its content.
    """
    try:
        yield
    except dg.RetryRequested:
        raise
    except DamagedError as error:
        for moved in Workspace.current().quarantine(error.damage):
            context.log.warning(f"Damaged, and set aside: {moved}")
        raise
    except Exception as error:
        if not may_pass(error):
            raise
        number = attempt(context)
        wait = backoff(number)
        context.log.warning(f"Attempt {number + 1}: {error}; trying again in {wait:.0f} s.")
        raise dg.RetryRequested(max_retries=MAX_RETRIES, seconds_to_wait=wait) from error


def attempt(context: dg.AssetExecutionContext) -> int:
    """Return the number of earlier attempts at this step."""
    return context.op_execution_context.retry_number


def backoff(number: int) -> float:
    """Return the seconds until the next attempt: 5, 20, 80, 320."""
    return 5.0 * 4.0**number


def may_pass(error: BaseException) -> bool:
    """Return whether the failure is transient."""
    return error.transient if isinstance(error, GradpipeError) else connection_failed(error)
