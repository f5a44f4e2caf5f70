"""A run that waits for the accelerator gets it, however the run that had it ended."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

import assets.dagster_workarounds.pool_slots
from assets.dagster_workarounds.killed_runs import process_tag
from assets.dagster_workarounds.pool_slots import move_queue, queue_kept_moving, wait_for_slot
from assets.running.instance import open_instance
from storage.workspace import Workspace
from tests.assets.conftest import killed_process

ONE, OTHER = (f"00000000-0000-4000-8000-00000000000{number}" for number in (1, 2))


@pytest.fixture
def instance(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """An instance with two runs, of which one holds the only slot; looks are frequent."""
    monkeypatch.setattr(assets.dagster_workarounds.pool_slots, "INTERVAL", 0.05)
    with open_instance(Workspace.current()) as instance:
        for run in (ONE, OTHER):
            instance.add_run(
                dg.DagsterRun(
                    "job", run_id=run, tags=process_tag(run), status=dg.DagsterRunStatus.STARTED
                )
            )
        instance.event_log_storage.initialize_concurrency_limit_to_default("gpu")
        assert claims(instance, ONE)
        yield instance


def claims(instance: dg.DagsterInstance, run: str) -> bool:
    return instance.event_log_storage.claim_concurrency_slot("gpu", run, "step").is_claimed


def queue_up_too_late(instance: dg.DagsterInstance) -> None:
    """Finds no slot, and is in the queue only after the slot became free."""
    pools = instance.event_log_storage
    assert not pools.has_unassigned_slots("gpu")  # type: ignore[attr-defined]
    pools.free_concurrency_slots_for_run(ONE)
    pools.add_pending_step("gpu", OTHER, "step")  # type: ignore[attr-defined]


def test_a_step_that_queues_up_just_after_the_slot_became_free_gets_it(
    instance: dg.DagsterInstance,
) -> None:
    queue_up_too_late(instance)
    assert not claims(instance, OTHER), "Dagster has fixed this: move_queue is no longer needed"
    move_queue(instance)
    assert claims(instance, OTHER)


def test_nobody_is_given_a_slot_that_is_taken(instance: dg.DagsterInstance) -> None:
    assert not claims(instance, OTHER)
    move_queue(instance)
    assert not claims(instance, OTHER)


def test_the_queue_moves_by_itself_while_a_run_is_in_it(instance: dg.DagsterInstance) -> None:
    queue_up_too_late(instance)
    with queue_kept_moving(instance):
        deadline = time.monotonic() + 300
        while not claims(instance, OTHER):
            assert time.monotonic() < deadline
            time.sleep(0.02)


@pytest.mark.parametrize("killed", [True, False])
def test_the_wait_for_a_slot_ends_with_the_run_that_holds_it(
    instance: dg.DagsterInstance, killed: bool
) -> None:
    ended = threading.Event()

    def wait() -> None:
        wait_for_slot(instance)
        ended.set()

    waiting = threading.Thread(target=wait)
    waiting.start()
    assert not ended.wait(0.3)
    if killed:
        instance.add_run_tags(ONE, dict.fromkeys(process_tag(ONE), f"{killed_process()}/{ONE}"))
    else:
        instance.event_log_storage.free_concurrency_slots_for_run(ONE)
    assert ended.wait(300)
    waiting.join()
