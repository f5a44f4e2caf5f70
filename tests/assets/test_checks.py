"""Checks on real partitions: recorded with them, and a bad partition never reaches the report."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

import assets.spectral_statistics
import gradpipe.engines.local
from assets.partitions import sync_partitions
from assets.planning.status import stage_states
from assets.resources import Accelerator
from assets.running.instance import open_instance
from assets.running.outcome import cause
from assets.running.runner import Runner
from gradpipe.statistics.partition import PartitionTables
from storage.stages import Partition
from storage.workspace import Workspace
from tests.assets.conftest import ASSETS, finished_study, resources

QUESTIONS = {"name": "mini_obscure", "sample": 2}
CELL = ("small", "mini_obscure")


def bring_up(folder: Path, **changes: Any) -> Runner:
    study = finished_study(folder, **({"benchmarks": [QUESTIONS]} | changes))
    runner = Runner(Workspace.current(), study, Accelerator())
    runner.bring_up_to_date()
    return runner


def verdicts() -> dict[str, tuple[bool, str, str]]:
    """The last verdict of every check that ran: passed, severity, partition."""
    kind = dg.DagsterEventType.ASSET_CHECK_EVALUATION
    with open_instance(Workspace.current()) as instance:
        events = [
            event.get_dagster_event()
            for run in reversed(instance.get_runs())
            for event in instance.all_logs(run.run_id, of_type=kind)
        ]
    checks = [event.asset_check_evaluation_data for event in events]
    return {
        check.check_name: (check.passed, check.severity.value, str(check.partition))
        for check in checks
    }


@pytest.mark.usefixtures("plain_report")
def test_every_check_runs_with_its_partition_and_passes(finished: Path, home: Path) -> None:
    assert not bring_up(finished).failures
    assert verdicts() == {
        "styles_grow_longer": (True, "WARN", "mini_obscure"),
        "answers_agree": (True, "WARN", "mini_obscure"),
        "second_opinions": (True, "WARN", "mini_obscure"),
        "every_layer_and_projection": (True, "ERROR", "mini_obscure|small"),
        "all_finite": (True, "ERROR", "mini_obscure|small"),
        "energy_is_frobenius": (True, "ERROR", "mini_obscure|small"),
        "rows_usable": (True, "WARN", "mini_obscure|small"),
        "distinct_weights": (True, "WARN", "mini_obscure|small"),
        "norms_in_order": (True, "ERROR", "mini_obscure|small"),
    }


def without_a_layer(rows: pl.DataFrame) -> pl.DataFrame:
    kept = pl.element().struct.field("layer") != 1
    return rows.with_columns(pl.col("matrices").list.filter(kept))


def with_infinity(rows: pl.DataFrame) -> pl.DataFrame:
    return _with_norms(rows, pl.lit(float("inf")))


def with_twice_the_norm(rows: pl.DataFrame) -> pl.DataFrame:
    return _with_norms(rows, pl.element().struct.field("frobenius_norm") * 2)


def _with_norms(rows: pl.DataFrame, norm: pl.Expr) -> pl.DataFrame:
    changed = pl.element().struct.with_fields(norm.alias("frobenius_norm"))
    return rows.with_columns(pl.col("matrices").list.eval(changed))


def spoil(monkeypatch: pytest.MonkeyPatch, spoilt: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    """The first batch of every extraction is spoilt."""
    extract = gradpipe.engines.local.extract_examples

    def extract_badly(*arguments: Any) -> Iterator[pl.DataFrame]:
        frames = extract(*arguments)
        yield spoilt(next(frames))
        yield from frames

    monkeypatch.setattr(gradpipe.engines.local, "extract_examples", extract_badly)


@pytest.mark.parametrize(
    ("spoilt", "check"),
    [
        (without_a_layer, "every_layer_and_projection"),
        (with_infinity, "all_finite"),
        (with_twice_the_norm, "energy_is_frobenius"),
    ],
)
def test_a_bad_partition_never_reaches_the_report_by_any_way_in(
    spoilt: Callable[[pl.DataFrame], pl.DataFrame],
    check: str,
    finished: Path,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spoil(monkeypatch, spoilt)
    (failure,) = bring_up(finished).failures
    assert failure.stage == "gradient_spectra"
    assert check in failure.reason
    assert verdicts()[check][0] is False
    workspace = Workspace.current()
    assert workspace.spectra_index(*CELL).notes() is None
    assert not workspace.report_page.exists()
    with open_instance(workspace) as instance:
        by_hand = dg.materialize(
            ASSETS,
            selection=["spectral_statistics"],
            partition_key=failure.unit.key,
            instance=instance,
            resources=resources(Accelerator()),
            raise_on_error=False,
        )
    assert not by_hand.success
    assert workspace.statistics(*CELL).notes() is None


def test_impossible_statistics_are_not_kept(
    finished: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = assets.spectral_statistics.partition_tables

    def swapped(*arguments: Any) -> PartitionTables:
        names = {"nuclear_norm": "frobenius_norm", "frobenius_norm": "nuclear_norm"}
        tables = make(*arguments)
        return replace(tables, statistics=tables.statistics.rename(names))

    monkeypatch.setattr(assets.spectral_statistics, "partition_tables", swapped)
    (failure,) = bring_up(finished).failures
    assert "norms_in_order" in failure.reason
    assert Workspace.current().statistics(*CELL).notes() is None


def materialized_again(stage: str) -> str:
    """Materialize a stored partition again; return why it fails."""
    with dg.DagsterInstance.ephemeral() as instance:
        sync_partitions(instance, Workspace.current().study())
        outcome = dg.materialize(
            ASSETS,
            selection=[stage],
            partition_key=dg.MultiPartitionKey({"benchmark": CELL[1], "model": CELL[0]}),
            instance=instance,
            resources=resources(),
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            raise_on_error=False,
        )
    assert not outcome.success
    (failure,) = outcome.filter_events(lambda event: event.is_step_failure)
    return cause(failure.step_failure_data.error)


def stages_that_are_current() -> set[str]:
    workspace = Workspace.current()
    states = stage_states(workspace, workspace.study())
    partition = Partition(model=CELL[0], benchmark=CELL[1])
    return {
        each.stage.name
        for each in states
        if each.partition == partition and each.state == "current"
    }


def test_stored_statistics_that_fail_a_check_are_not_current(done: Path) -> None:
    table = Workspace.current().statistics(*CELL)
    notes = table.require_notes()
    impossible = table.read().with_columns(nuclear_norm=pl.lit(-1.0))
    table.write(impossible, notes.version, notes.data)
    reason = materialized_again("spectral_statistics")
    assert "norms_in_order" in reason
    assert reason.endswith("the stored table was deleted, and the next run recomputes it.")
    assert stages_that_are_current() == {"gradient_spectra"}


def test_stored_spectra_that_fail_a_check_are_not_current(done: Path) -> None:
    store = Workspace.current().spectra(*CELL)
    rows = store.scan().collect()
    store.discard(pl.lit(value=True))
    store.append(without_a_layer(rows))
    reason = materialized_again("gradient_spectra")
    assert "every_layer_and_projection" in reason
    assert "`gradpipe models remove NAME --rows`" in reason
    assert "gradient_spectra" not in stages_that_are_current()
    assert set(store.keys()) == set(rows["key"])
    assert "every_layer_and_projection" in materialized_again("gradient_spectra")


def test_too_many_unusable_rows_are_a_warning(finished: Path, home: Path) -> None:
    data = home.parent / "blanks.jsonl"
    data.write_text(
        '{"instruction": "Say yes.", "none": "yes"}\n{"instruction": "x", "none": ""}\n'
    )
    blanks = {"name": "mini_obscure", "source": "files", "path": str(data)}
    changes: dict[str, Any] = {"benchmarks": [blanks], "relevances": ["correct"]}
    heard: list[str] = []
    study = finished_study(finished, **changes)
    runner = Runner(Workspace.current(), study, Accelerator(), on_note=heard.append)
    runner.bring_up_to_date()
    assert not runner.failures
    assert heard == [
        "rows_usable of small × mini_obscure: 1 of 2 rows cannot be used (10% are allowed)."
    ]
    assert verdicts()["rows_usable"][:2] == (False, "WARN")
    assert not bring_up(finished, **changes, unusable_limit=0.5).failures
    assert "mini_obscure" in Workspace.current().report_page.read_text()
