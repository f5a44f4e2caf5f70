"""`gradpipe status --json`: the state of a workspace for programs."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner

from gradpipe.cli import main
from storage.workspace import Workspace
from tests.conftest import FirstRun

STAGES = ["benchmark_items", "responses", "gradient_spectra", "spectral_statistics", "report"]
CELL = ("small", "mini_maths")


def status() -> dict[str, Any]:
    result = CliRunner().invoke(main, ["status", "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    record: dict[str, Any] = json.loads(result.stdout)
    return record


def spectra_of(model: str, benchmark: str) -> dict[str, Any]:
    (entry,) = (
        stage
        for stage in status()["stages"]
        if (stage["stage"], stage["model"], stage["benchmark"])
        == ("gradient_spectra", model, benchmark)
    )
    return entry


@pytest.fixture
def workspace(first_run: FirstRun, home: Path) -> Workspace:
    shutil.copytree(first_run.workspace, home)
    return Workspace(home)


def test_a_finished_study_is_current_in_every_stage(workspace: Workspace, home: Path) -> None:
    record = status()
    stages = record.pop("stages")
    assert record == {
        "study": "small",
        "workspace": str(home),
        "current": True,
        "report": str(home / "report" / "index.html"),
        "missing_opinions": {},
    }
    assert list(dict.fromkeys(entry["stage"] for entry in stages)) == STAGES
    assert {entry["state"] for entry in stages} == {"current"}
    for entry in stages:
        assert set(entry) == {"stage", "model", "benchmark", "state", "rows", "when"}
        assert entry["rows"]["missing"] == 0
        age = datetime.now(UTC) - datetime.fromisoformat(entry["when"])
        assert -1 < age.total_seconds() < 24 * 3600
    assert spectra_of(*CELL)["rows"] == {"done": 4, "missing": 0, "unusable": 0}


def test_a_new_workspace_has_nothing_and_no_report(home: Path) -> None:
    record = status()
    assert (record["current"], record["report"], record["study"]) == (False, None, "demo")
    assert {entry["state"] for entry in record["stages"]} == {"missing"}
    assert {entry["when"] for entry in record["stages"]} == {None}
    # How many rows there will be depends on examples that are still to be made.
    assert {entry["rows"]["missing"] for entry in record["stages"]} == {None}


def test_an_interrupted_extraction_says_how_many_rows_are_done(workspace: Workspace) -> None:
    store = workspace.spectra(*CELL)
    first, *_, last = store.keys().sort()
    rows = store.scan().filter(pl.col("key") != last).collect()
    reason = pl.when(pl.col("key") == first).then(pl.lit("out of memory")).otherwise("reason")
    workspace.files.delete(workspace.spectra_index(*CELL).path)
    workspace.files.delete(store.folder)
    store.append(rows.with_columns(reason=reason))
    entry = spectra_of(*CELL)
    assert (entry["state"], entry["when"]) == ("missing", None)
    assert entry["rows"] == {"done": 3, "missing": 1, "unusable": 1}
