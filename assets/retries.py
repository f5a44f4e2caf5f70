"""What is tried again: a network that did not answer; and what is set aside: damaged files."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from gradpipe.errors import DamagedError, GradpipeError, connection_failed
from storage.workspace import Workspace

#: How often a stage is tried again before its partition counts as failed.
MAX_RETRIES = 4


@contextmanager
def retried(context: dg.AssetExecutionContext) -> Iterator[None]:
    """Ask Dagster to try again for what may pass; everything else fails at the first try.

    A bad study is the same a minute later, and a bug too. A damaged file is set aside, so that the
    next run computes again what it held.
    """
    try:
        yield
    except dg.RetryRequested:
        raise
    except DamagedError as error:
        for moved in Workspace.current().set_aside(error.damage):
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
    """How often this step was tried before."""
    return context.op_execution_context.retry_number


def backoff(number: int) -> float:
    """Seconds until the next try: 5, 20, 80, 320."""
    return 5.0 * 4.0**number


def may_pass(error: BaseException) -> bool:
    """Whether the same may work later."""
    return error.passing if isinstance(error, GradpipeError) else connection_failed(error)
