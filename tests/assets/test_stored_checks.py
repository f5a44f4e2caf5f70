"""The job that runs the checks of stored partitions by themselves."""

from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from assets.jobs import check_stored
from assets.stored_checks import CHECKED
from gradpipe.errors import WorkspaceError
from storage.workspace import Workspace
from tests.assets.conftest import NoAccelerator, finished_study, resources

CELL = ("small", "mini_obscure")


def checked(**config: Any) -> tuple[bool, dict[tuple[str, str], tuple[bool, str]]]:
    """Whether the run succeeds, and (check, partition) → whether it passed, with its sentence."""
    with dg.DagsterInstance.ephemeral() as instance:
        result = check_stored.execute_in_process(
            instance=instance,
            resources={"workspace": resources(NoAccelerator())["workspace"]},
            run_config={
                "ops": {"check_stored_partitions": {"config": config}},
                "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
            },
            raise_on_error=False,
        )
    return result.success, {
        (check.check_name, str(check.partition)): (check.passed, str(check.description))
        for check in result.get_asset_check_evaluations()
    }


def failed(results: dict[tuple[str, str], tuple[bool, str]]) -> set[tuple[str, str]]:
    return {place for place, (passed, _) in results.items() if not passed}


@pytest.mark.usefixtures("done")
def test_every_check_of_every_stored_partition_is_run_again() -> None:
    success, results = checked()
    assert success
    assert failed(results) == set()
    assert set(results) == {
        (spec.name, f"{benchmark}|small" if "model" in stage.files.partitioned_by else benchmark)
        for stage in CHECKED.values()
        for spec in stage.asset.check_specs
        for benchmark in ("mini_obscure", "mine")
    }


@pytest.mark.usefixtures("done")
def test_a_partition_whose_stored_rows_are_wrong_fails_the_run_and_is_named() -> None:
    table = Workspace.current().statistics(*CELL)
    notes = table.require_notes()
    wrong = table.read().with_columns(pl.col("nuclear_norm") * 0.1)
    table.write(wrong, notes.version, notes.data)
    success, results = checked()
    assert not success
    assert failed(results) == {("norms_in_order", "mini_obscure|small")}


@pytest.mark.usefixtures("done")
def test_a_damaged_table_fails_the_checks_of_its_partition() -> None:
    workspace = Workspace.current()
    for table in (workspace.responses("mine"), workspace.statistics(*CELL)):
        path = Path(str(table.path))
        path.write_bytes(path.read_bytes()[:-100])
    success, results = checked()
    assert not success
    assert failed(results) == {
        ("norms_in_order", "mini_obscure|small"),
        *((spec.name, "mine") for spec in CHECKED["responses"].asset.check_specs),
    }


def test_a_partition_of_other_settings_is_not_called_wrong(done: Path) -> None:
    added = ["nuclear_norm", "frobenius_norm", "spectral_norm"]
    Workspace.current().keep_study(finished_study(done, statistics=added))
    success, results = checked(assets=["spectral_statistics"])
    assert (success, results) == (True, {})


@pytest.mark.usefixtures("done")
def test_a_store_that_cannot_be_reached_fails_the_run_and_no_check(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unreachable(*_: object) -> None:
        raise WorkspaceError("The store does not answer.", transient=True)

    monkeypatch.setattr("storage.row_store.RowStore.chunks", unreachable)
    assert checked(assets=["gradient_spectra"]) == (False, {})


@pytest.mark.usefixtures("done")
def test_files_that_cannot_be_read_fail_the_checks_of_their_partition_alone() -> None:
    part = next(Path(str(Workspace.current().spectra(*CELL).folder)).glob("part-*.parquet"))
    part.write_bytes(part.read_bytes()[:-100])
    success, results = checked()
    assert not success
    assert {partition for _, partition in failed(results)} == {"mini_obscure|small"}
    assert all(part.name in results[place][1] for place in failed(results))


@pytest.mark.usefixtures("done")
def test_only_what_was_chosen_is_checked() -> None:
    success, results = checked(assets=["spectral_statistics"], benchmarks=["mine"])
    assert success
    assert list(results) == [("norms_in_order", "mine|small")]
    assert checked(assets=["spectra"]) == (False, {})


def test_a_partition_without_results_is_not_checked(done: Path) -> None:
    workspace = Workspace.current()
    workspace.files.delete(workspace.spectra_index(*CELL).path)
    assert ("all_finite", "mini_obscure|small") not in checked()[1]
