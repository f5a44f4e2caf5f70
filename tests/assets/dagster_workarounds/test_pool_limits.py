"""The limit of a pool is stored before a run claims a slot, and follows the instance's settings."""

from pathlib import Path

import dagster as dg
import pytest

from assets.automation import keep_up
from assets.dagster_workarounds.pool_limits import set_pool_limits
from assets.resources import WorkspaceResource
from storage.workspace import Workspace
from tests.conftest import study_of


def limits(instance: dg.DagsterInstance) -> dict[str, int]:
    return {pool.name: pool.limit for pool in instance.event_log_storage.get_pool_limits()}


def with_default(monkeypatch: pytest.MonkeyPatch, limit: int | None) -> None:
    monkeypatch.setattr(dg.DagsterInstance, "global_op_concurrency_default_limit", limit)


def test_the_sensor_stores_a_changed_default_limit(
    home: Path, small_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Workspace.current().keep_study(study_of(small_model, "mini_maths"))
    with dg.DagsterInstance.ephemeral() as instance:
        for limit in (1, 2):
            with_default(monkeypatch, limit)
            keep_up(dg.build_sensor_context(instance), workspace=WorkspaceResource())
            assert limits(instance) == {"gpu": limit}
            info = instance.event_log_storage.get_concurrency_info("gpu")
            assert info.slot_count == limit


def test_a_limit_that_a_user_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    with_default(monkeypatch, 1)
    with dg.DagsterInstance.ephemeral() as instance:
        instance.event_log_storage.set_concurrency_slots("gpu", 3)
        set_pool_limits(instance, ["gpu"])
        assert limits(instance) == {"gpu": 3}


def test_a_pool_without_a_default_limit_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    with_default(monkeypatch, None)
    with dg.DagsterInstance.ephemeral() as instance:
        set_pool_limits(instance, ["gpu"])
        assert limits(instance) == {}
