"""Waiting for an accelerator that another run has, without end only where that run has none."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import dagster as dg

from assets.dagster_workarounds.killed_runs import release_orphans
from assets.stage import MAX_RETRIES

#: Seconds between two looks.
INTERVAL = 2.0


def wait_for_slot(instance: dg.DagsterInstance) -> None:
    """Return when the accelerators' pool has a slot to claim.

    Dagster's own wait for one takes a whole core, which the run that it waits for could use. A
    holder that is killed meanwhile is noticed.
    """
    while len(holders(instance)) >= _slots(instance) > 0:
        time.sleep(INTERVAL)
        release_orphans(instance)


@contextmanager
def queue_kept_moving(instance: dg.DagsterInstance) -> Iterator[None]:
    """While open, look now and then after what waits in Dagster's queue for a slot.

    For a holder that was killed, and for ``move_queue``.
    """
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(INTERVAL):
            # A look that fails, as where another process has the database, is made again.
            with suppress(Exception):
                release_orphans(instance)
                move_queue(instance)

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def move_queue(instance: dg.DagsterInstance) -> None:
    """Give a free slot of the accelerators' pool to the step that waits for it longest.

    Dagster does so when a slot becomes free, and where a step finds none. One that found none and
    queues up just after the slot became free would wait for ever.
    """
    pools = instance.event_log_storage
    waiting = pools.get_concurrency_info(GPU).pending_step_count
    if waiting and pools.has_unassigned_slots(GPU):  # type: ignore[attr-defined]
        pools.assign_pending_steps([GPU])  # type: ignore[attr-defined]


def _slots(instance: dg.DagsterInstance) -> int:
    return instance.event_log_storage.get_concurrency_info(GPU).slot_count


#: The pool of extractions; its limit is the number of accelerators, by default one.
GPU = "gpu"


def holders(instance: dg.DagsterInstance) -> list[str]:
    """The runs that hold a slot of the accelerators' pool now."""
    info = instance.event_log_storage.get_concurrency_info(GPU)
    return [slot.run_id for slot in info.claimed_slots]


def require_slot(context: dg.AssetExecutionContext) -> None:
    """Go back to the queue where another run took the slot that this one was given.

    Dagster looks for a free slot and takes it in two steps, with nothing between them that would
    stop a second run: two that claim within a millisecond both go on, and the later one is noted.
    """
    noted = holders(context.instance)
    if noted and context.run.run_id not in noted:
        context.log.info(f"Run {noted[0]} claimed the accelerator at the same moment; waiting.")
        raise dg.RetryRequested(max_retries=MAX_RETRIES, seconds_to_wait=1)
