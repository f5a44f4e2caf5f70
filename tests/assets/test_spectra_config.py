"""The run configuration of one materialization of the spectra."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

import gradpipe.engines.local
from assets.partitions import sync_partitions
from assets.planning.versions import Versions
from assets.report import REPORT
from assets.resources import Accelerator
from storage.stages import Partition
from storage.workspace import Workspace
from tests.assets.conftest import ASSETS, resources

CELL = ("small", "mini_obscure")


def materialized(**config: Any) -> tuple[set[str], dict[str, Any]]:
    """The assets that a run with this configuration materializes, and the rows it observes."""
    with dg.DagsterInstance.ephemeral() as instance:
        sync_partitions(instance, Workspace.current().study())
        result = dg.materialize(
            ASSETS,
            selection=["gradient_spectra", "spectral_statistics"],
            partition_key=dg.MultiPartitionKey({"benchmark": CELL[1], "model": CELL[0]}),
            instance=instance,
            resources=resources(Accelerator()),
            run_config={
                "ops": {"gradient_spectra": {"config": config}},
                "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
            },
        )
    assert result.success
    made = {event.asset_key.path[-1] for event in result.get_asset_materialization_events()}
    observed = {
        name: value.value
        for event in result.get_asset_observation_events()
        for name, value in event.asset_observation_data.asset_observation.metadata.items()
    }
    return made, observed


@pytest.fixture
def without_rows(done: Path) -> Workspace:
    """A workspace that has everything but the gradients of one partition."""
    workspace = Workspace.current()
    workspace.files.delete(workspace.spectra_index(*CELL).path)
    workspace.spectra(*CELL).discard(pl.lit(True))
    return workspace


def test_a_limited_run_computes_that_many_rows_and_claims_no_more(without_rows: Workspace) -> None:
    made, observed = materialized(limit=3)
    assert made == set()
    assert (observed["computed"], observed["missing"]) == (3, 1)
    assert len(without_rows.spectra(*CELL).keys()) == 3
    assert without_rows.spectra_index(*CELL).notes() is None
    made, _ = materialized(limit=3)
    assert made == {"gradient_spectra", "spectral_statistics"}
    assert without_rows.spectra_index(*CELL).require_notes().rows == 4


def test_batches_are_as_large_as_they_may_be(
    without_rows: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    budgets: list[int | None] = []
    extract = gradpipe.engines.local.extract_examples

    def extract_and_note(*arguments: Any) -> Iterator[pl.DataFrame]:
        budgets.append(arguments[4])
        return extract(*arguments)

    monkeypatch.setattr(gradpipe.engines.local, "extract_examples", extract_and_note)
    materialized(batch_tokens=64)
    assert budgets == [64]


def report_version() -> str:
    """The version that the report should have now."""
    workspace = Workspace.current()
    return Versions(workspace, workspace.study()).version(REPORT, Partition())


def test_unusable_rows_are_computed_again_and_reported_if_that_is_asked_for(done: Path) -> None:
    workspace = Workspace.current()
    store = workspace.spectra(*CELL)
    rows = store.scan().collect()
    key = rows["key"][0]
    store.discard(pl.col("key") == key)
    broken = rows.filter(key=key).with_columns(
        reason=pl.lit("no room"), matrices=pl.col("matrices").list.head(0)
    )
    store.append(broken)
    workspace.files.delete(workspace.spectra_index(*CELL).path)
    materialized()
    reported = report_version()
    assert store.scan().filter(pl.col("reason").is_not_null()).collect()["key"].to_list() == [key]
    materialized(retry_unusable=True)
    assert store.scan().collect()["reason"].is_null().all()
    assert set(store.keys()) == set(rows["key"])
    assert report_version() != reported
