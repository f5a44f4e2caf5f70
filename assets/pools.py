"""Pools: how many runs may use the accelerators at a time, which Dagster counts for all of them."""

import dagster as dg

from assets.retries import MAX_RETRIES

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
