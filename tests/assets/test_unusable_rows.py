"""Unusable rows are deleted only where they can be recomputed, and once per run."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import dagster as dg
import polars as pl
import pytest
from click.testing import CliRunner

import assets.unusable_rows
from assets.planning.versions import Versions
from assets.unusable_rows import discard_once, discard_unusable_rows
from gradpipe.cli import main
from gradpipe.errors import ModelError
from storage.locations import open_location
from storage.study_models import add_series, record_step
from storage.workspace import SPECTRA_SCHEMA, Workspace
from tests.conftest import study_of

CELL = ("small", "mini_maths")


def with_unusable_row(model: Path, name: str = "small") -> Workspace:
    """A workspace in which one row of a model, or of the probed step ``name``, cannot be used."""
    workspace = Workspace.current()
    workspace.keep_study(study_of(model, CELL[1]))
    if name.startswith("live"):
        record_step(workspace, name.partition("@")[0], 7, "hash-of-weights")
    row = {"key": "long", "matrices": [], "reason": "it does not fit"}
    workspace.spectra(name, CELL[1]).append(pl.DataFrame([row], schema=SPECTRA_SCHEMA))
    return workspace


def discard(workspace: Workspace, model: str = "small") -> str:
    return discard_unusable_rows(Versions(workspace, workspace.study()), model, CELL[1])


def test_unusable_rows_of_an_available_model_are_deleted(home: Path, small_model: Path) -> None:
    workspace = with_unusable_row(small_model)
    assert discard(workspace) == "1 unusable row of small on mini_maths is recomputed."
    assert workspace.spectra(*CELL).keys().is_empty()
    assert discard(workspace) == ""


def test_unusable_rows_of_a_step_whose_weights_are_gone_are_kept(
    home: Path, small_model: Path
) -> None:
    workspace = with_unusable_row(small_model, "live@7")
    assert "cannot be recomputed" in discard(workspace, "live@7")
    assert workspace.spectra("live@7", CELL[1]).keys().to_list() == ["long"]


def test_unusable_rows_of_a_model_that_is_not_there_are_kept(home: Path, tmp_path: Path) -> None:
    workspace = with_unusable_row(tmp_path / "small")
    with pytest.raises(ModelError, match="There is no model"):
        discard(workspace)
    assert workspace.spectra(*CELL).keys().to_list() == ["long"]


def test_unusable_rows_of_a_checkpoint_that_has_just_left_its_store_are_kept(
    home: Path, small_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.remote_checkpoints.SETTLE_SECONDS", -1.0)
    place: Any = open_location(f"memory://{uuid4().hex}/sft")
    for file in small_model.iterdir():
        target = place / "checkpoint-1" / file.name
        target.fs.pipe_file(target.path, file.read_bytes())
    workspace = with_unusable_row(small_model, "sft@1")
    add_series(workspace, str(place), checkpoints="checkpoint-*")
    versions = Versions(workspace, workspace.study())
    versions.row_identity("sft@1")
    place.fs.rm(place.path, recursive=True)
    with pytest.raises(ModelError, match="changed after they were listed"):
        discard_unusable_rows(versions, "sft@1", CELL[1])
    assert workspace.spectra("sft@1", CELL[1]).keys().to_list() == ["long"]


def test_the_terminal_names_the_unusable_rows_that_are_kept(home: Path, small_model: Path) -> None:
    workspace = with_unusable_row(small_model, "live@7")
    words = ["backfill", "--retry-unusable", "--model", "live"]
    outcome = CliRunner().invoke(main, words)
    assert "1 unusable row of live@7 on mini_maths cannot be recomputed" in outcome.stderr
    assert workspace.spectra("live@7", CELL[1]).keys().to_list() == ["long"]


def test_a_retried_step_deletes_them_unless_an_earlier_attempt_has(
    home: Path, small_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = with_unusable_row(small_model)
    versions = Versions(workspace, workspace.study())
    discarded: list[str] = []

    def after_one_failure(*_: Any) -> str:
        discarded.append("")
        if len(discarded) == 1:
            raise ModelError("The hub does not answer.", transient=True)
        return "1 unusable row"

    monkeypatch.setattr(assets.unusable_rows, "discard_unusable_rows", after_one_failure)
    with dg.DagsterInstance.ephemeral() as instance:
        run = dg.DagsterRun("job")
        instance.add_run(run)
        context: Any = SimpleNamespace(
            instance=instance, run=run, log=SimpleNamespace(info=lambda _: None)
        )
        with pytest.raises(ModelError):
            discard_once(context, versions, CELL)
        for _ in range(2):
            discard_once(context, versions, CELL)
        assert len(discarded) == 2
        tags = instance.get_run_by_id(run.run_id).tags  # type: ignore[union-attr]
        context.run = dg.DagsterRun("job", tags=tags)
        instance.add_run(context.run)
        discard_once(context, versions, CELL)
        assert len(discarded) == 3
