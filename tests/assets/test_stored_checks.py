"""Checks that run by themselves: on every stored partition, without computing any."""

from pathlib import Path

import dagster as dg
import pytest

from assets.naming import WORKSPACE_NAMES
from assets.stored_checks import STORED_PARTITIONS, stored_checks
from storage.workspace import Workspace
from tests.assets.conftest import ASSETS, resources

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
CELLS = {"mine|small", "mini_obscure|small"}


def executed_alone(stage: str) -> dict[tuple[str, str | None], dg.AssetCheckEvaluation]:
    """(name of a check, partition) → its result, after its button was pressed."""
    key = dg.AssetCheckKey(dg.AssetKey(stage), STORED_PARTITIONS)
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            [*ASSETS, *stored_checks(WORKSPACE_NAMES, {})],
            selection=dg.AssetSelection.checks(key),
            instance=instance,
            resources=resources(),
            run_config=QUIET,
        )
    assert result.success
    assert result.get_asset_materialization_events() == []
    return {
        (made.check_name, made.partition): made for made in result.get_asset_check_evaluations()
    }


@pytest.mark.parametrize(
    ("stage", "partitions"),
    [
        ("responses", {"mine", "mini_obscure"}),
        ("gradient_spectra", CELLS),
        ("spectral_statistics", CELLS),
    ],
)
def test_every_check_is_repeated_for_every_stored_partition(
    stage: str, partitions: set[str], done: Path
) -> None:
    results = executed_alone(stage)
    (asset,) = (asset for asset in ASSETS if asset.key == dg.AssetKey(stage))
    names = {spec.name for spec in asset.check_specs}
    assert results.keys() == {
        *((name, partition) for name in names for partition in partitions),
        (STORED_PARTITIONS, None),
    }
    assert all(result.passed for result in results.values())


def test_a_partition_that_has_become_bad_is_named(done: Path) -> None:
    table = Workspace.current().statistics("small", "mine")
    swapped = {"nuclear_norm": "frobenius_norm", "frobenius_norm": "nuclear_norm"}
    table.write(table.read().rename(swapped), table.require_notes().version)
    damaged = Workspace.current().statistics("small", "mini_obscure").path
    assert isinstance(damaged, Path)
    content = bytearray(damaged.read_bytes())
    content[10] ^= 1
    damaged.write_bytes(content)
    results = executed_alone("spectral_statistics")
    assert {key for key, result in results.items() if not result.passed} == {
        ("norms_in_order", "mine|small"),
        ("norms_in_order", "mini_obscure|small"),
        (STORED_PARTITIONS, None),
    }
    failed = results[STORED_PARTITIONS, None].metadata["failed"].value
    assert failed == ["norms_in_order of small × mini_obscure", "norms_in_order of small × mine"]


def test_a_run_that_materializes_the_asset_skips_it(done: Path) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            [*ASSETS, *stored_checks(WORKSPACE_NAMES, {})],
            selection=["spectral_statistics"],
            partition_key=dg.MultiPartitionKey({"benchmark": "mine", "model": "small"}),
            instance=instance,
            resources=resources(),
            run_config=QUIET,
        )
    assert result.success
    names = [evaluation.check_name for evaluation in result.get_asset_check_evaluations()]
    assert names == ["norms_in_order"]
