"""Waiting for an accelerator: three faults of Dagster 1.13.27 with the slots of a pool.

1. A run in this process polls for a slot without a pause and keeps a core busy: ``wait_for_slot``.
2. A step that finds no slot and joins the queue just after one became free is never given it:
   ``move_queue`` and ``queue_kept_moving``.
3. Two runs that claim within a millisecond are both given the same slot: ``require_slot``.

No upstream issue known. ``test_waiting_for_slots`` fails once Dagster has fixed the second.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import dagster as dg

from assets.dagster_workarounds.killed_runs import release_orphans
from assets.stage_run import MAX_RETRIES

#: The pool of extractions; its limit is the number of accelerators, by default one.
GPU = "gpu"
#: Seconds between two polls.
INTERVAL = 2.0


def holders(instance: dg.DagsterInstance, pool: str = GPU) -> list[str]:
    """The ids of the runs that hold a slot of the accelerators' pool now."""
    info = instance.event_log_storage.get_concurrency_info(pool)
    return [slot.run_id for slot in info.claimed_slots]


def wait_for_slot(instance: dg.DagsterInstance) -> None:
    """Return when the accelerators' pool has a free slot.

    Polls with a pause, and frees the slots of runs that were killed in the meantime.
    """
    while len(holders(instance)) >= _slot_count(instance) > 0:
        time.sleep(INTERVAL)
        release_orphans(instance)


@contextmanager
def queue_kept_moving(instance: dg.DagsterInstance) -> Iterator[None]:
    """While open, a thread calls ``release_orphans`` and ``move_queue`` every INTERVAL seconds."""
    ended = threading.Event()

    def poll() -> None:
        while not ended.wait(INTERVAL):
            # A poll may fail while another process has the database locked; the next one follows.
            with suppress(Exception):
                release_orphans(instance)
                move_queue(instance)

    watcher = threading.Thread(target=poll, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def move_queue(instance: dg.DagsterInstance, pool: str = GPU) -> None:
    """Give a free slot of the accelerators' pool to the step that has waited longest for one.

    Dagster does so only when a slot becomes free and when a step finds none.
    """
    pools = instance.event_log_storage
    waiting = pools.get_concurrency_info(pool).pending_step_count
    if waiting and pools.has_unassigned_slots(pool):  # type: ignore[attr-defined]
        pools.assign_pending_steps([pool])  # type: ignore[attr-defined]


def require_slot(context: dg.AssetExecutionContext) -> None:
    """Return to the queue if another run claimed the slot that this run was given.

    Dagster reads the free slots and claims one in two separate steps, so two runs can claim the
    same slot; the later of the two is recorded as its holder. Raises dagster.RetryRequested.
    """
    pool = context.op_execution_context.op_def.pool
    runs = holders(context.instance, pool) if pool else []
    if runs and context.run.run_id not in runs:
        context.log.info(f"Run {runs[0]} claimed the accelerator at the same moment; waiting.")
        raise dg.RetryRequested(max_retries=MAX_RETRIES, seconds_to_wait=1)


def _slot_count(instance: dg.DagsterInstance) -> int:
    return instance.event_log_storage.get_concurrency_info(GPU).slot_count
