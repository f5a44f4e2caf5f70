"""The workspace's series: expanded into models, added, removed, and their records."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

import gradpipe.checkpoints.hub_revisions
import storage.series_steps
from gradpipe.checkpoints.checkpoint import StepRecord
from gradpipe.errors import ModelError, StudyError
from gradpipe.studies.load import parse_study, study_yaml
from storage.study_models import add_series, delete_rows, record_step, remove_model
from storage.workspace import Workspace

COMMITS = {f"step{n}": f"{n:040x}" for n in (1, 2, 10)} | {"main": "f" * 40}


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "home").mkdir()
    workspace = Workspace(tmp_path / "home")
    workspace.keep_study(parse_study("models: [demo]\nbenchmarks: [mini_maths]", "mine.yaml"))
    return workspace


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A training's folder with checkpoints of steps 100, 200 and 300."""
    for step in (100, 200, 300):
        save(tmp_path / "runs" / "sft", step)
    return tmp_path / "runs" / "sft"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A hub that lists COMMITS; the list has what it was asked for, and errors to raise next."""
    asked: list[Any] = []

    def list_revisions(model_id: str) -> dict[str, str]:
        if asked and isinstance(asked[0], Exception):
            raise asked[0]
        asked.append(model_id)
        return COMMITS

    monkeypatch.setattr(gradpipe.checkpoints.hub_revisions, "list_revisions", list_revisions)
    return asked


def save(runs: Path, step: int) -> None:
    folder = runs / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    save_file({"w": np.full(4, step, np.float32)}, folder / "model.safetensors")
    (folder / "trainer_state.json").write_text(json.dumps({"global_step": step}))


def names(workspace: Workspace) -> list[str]:
    return [model.name for model in workspace.study().models]


def record(step: float, fingerprint: str = "f", **more: Any) -> StepRecord:
    return StepRecord(step=step, place="/gone", fingerprint=fingerprint, **more)


def test_a_folder_of_checkpoints_is_one_entry_and_a_model_per_step(
    workspace: Workspace, runs: Path
) -> None:
    assert add_series(workspace, str(runs), checkpoints="checkpoint-*", base="org/base") == "sft"
    study = workspace.study()
    assert names(workspace) == ["demo", "org/base", "sft@100", "sft@200", "sft@300"]
    model = study.model("sft@200")
    assert (model.series, model.step, model.id) == ("sft", 200, str(runs / "checkpoint-200"))
    assert model.base == "org/base"
    assert [entry.name for entry in study.entries] == ["demo", "sft"]


def test_the_study_is_kept_as_it_was_written(workspace: Workspace, runs: Path) -> None:
    add_series(workspace, str(runs), checkpoints="checkpoint-*", every=100)
    before = workspace.study_path.read_text()
    workspace.keep_study(workspace.study())
    assert workspace.study_path.read_text() == before
    assert "checkpoint-200" not in study_yaml(workspace.study())
    again = workspace.expand(workspace.written_study())
    assert again == workspace.expand(again) == workspace.study()


def test_only_the_last_step_is_paired_with_the_base(workspace: Workspace, runs: Path) -> None:
    add_series(workspace, str(runs), checkpoints="checkpoint-*", base="demo")
    assert workspace.study().model_pairs() == [("demo", "sft@300")]


def test_a_series_may_be_empty_at_first(workspace: Workspace, tmp_path: Path) -> None:
    add_series(workspace, str(tmp_path / "later"), checkpoints="checkpoint-*")
    assert names(workspace) == ["demo"]
    [note] = workspace.series_notes(workspace.study())
    assert "matches 'checkpoint-*'" in note
    save(tmp_path / "later", 5)
    assert names(workspace) == ["demo", "later@5"]
    assert workspace.series_notes(workspace.study()) == []


def test_a_model_of_the_study_takes_precedence_over_a_step_of_its_name(
    workspace: Workspace, runs: Path
) -> None:
    text = f"""
    models: [{{id: {runs}, checkpoints: "checkpoint-*"}}, {{id: demo, series: sft, step: 200}}]
    benchmarks: [mini_maths]
    """
    workspace.keep_study(parse_study(text, "mine.yaml"))
    assert sorted(names(workspace)) == ["sft@100", "sft@200", "sft@300"]
    assert workspace.study().model("sft@200").id == "demo"


def test_revisions_of_the_hub_are_asked_for_once_in_a_while(
    workspace: Workspace, hub: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    add_series(workspace, "org/pythia", revisions="step*", last=2)
    assert names(workspace) == ["demo", "pythia@1", "pythia@2"]
    assert workspace.study().model("pythia@2").revision == COMMITS["step2"]
    assert hub == ["org/pythia"]
    monkeypatch.setattr(storage.series_steps, "REVISIONS_AGE", -1.0)
    assert len(names(workspace)) == 3
    assert len(hub) == 2


def test_an_unreachable_hub_leaves_what_was_known(
    workspace: Workspace, hub: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage.series_steps, "REVISIONS_AGE", -1.0)
    add_series(workspace, "org/pythia", revisions=["step10", "step1"])
    hub.insert(0, ModelError("The hub is down.", transient=True))
    assert names(workspace) == ["demo", "pythia@1", "pythia@10"]
    workspace.series.delete("pythia")
    assert names(workspace) == ["demo"]
    assert workspace.series_notes(workspace.study()) == ["The hub is down."]


def test_records_stand_for_steps_that_are_gone(workspace: Workspace, runs: Path) -> None:
    add_series(workspace, str(runs), checkpoints="checkpoint-*", first=200)
    for step in (100, 200, 300):
        workspace.series.keep("sft", record(step, identities={"p": "i"}, notes=("a note",)))
    shutil.rmtree(runs / "checkpoint-200")
    study = workspace.study()
    assert names(workspace) == ["demo", "sft@200", "sft@300"]
    gone = study.model("sft@200")
    assert gone.record == record(200.0, identities={"p": "i"}, notes=("a note",))
    assert gone.checkpoint is None
    assert study.model("sft@300").record is None


def test_a_record_keeps_identities_of_the_same_weights_and_drops_those_of_others(
    workspace: Workspace,
) -> None:
    series = workspace.series
    series.keep("sft", record(1, identities={"p": "i"}))
    series.keep("sft", record(1, identities={"q": "j"}))
    assert [dict(kept.identities) for kept in series.of("sft")] == [{"p": "i", "q": "j"}]
    series.keep("sft", record(1, "other", identities={"r": "k"}))
    assert [dict(kept.identities) for kept in series.of("sft")] == [{"r": "k"}]
    (workspace.root / "series" / "sft" / "step-2.json").write_text("{")
    assert len(series.of("sft")) == 1


def test_a_step_of_training_is_recorded_in_a_series_of_its_own(workspace: Workspace) -> None:
    assert record_step(workspace, "live", 0.5, "hash", folder="/runs/live") == "live@0.5"
    assert record_step(workspace, "live", 10, "hash2", notes=["a note"]) == "live@10"
    study = workspace.study()
    assert names(workspace) == ["demo", "live@0.5", "live@10"]
    kept = study.model("live@10").record
    assert kept is not None
    assert kept.identity({"any": "protocol"}) == "hash2"
    assert [entry.name for entry in study.entries] == ["demo", "live"]


def test_a_series_is_removed_by_its_name_and_a_step_is_not(
    workspace: Workspace, runs: Path
) -> None:
    add_series(workspace, str(runs), checkpoints="checkpoint-*", base="org/base")
    for name, reason in (
        ("sft@100", "step of the series 'sft'"),
        ("org/base", "the base of the series sft"),
        ("stf", "did you mean 'sft'"),
    ):
        with pytest.raises(StudyError, match=reason):
            remove_model(workspace, name)
    remove_model(workspace, "sft")
    assert names(workspace) == ["demo"]


def test_the_rows_of_a_series_go_with_its_records(workspace: Workspace, runs: Path) -> None:
    add_series(workspace, str(runs), checkpoints="checkpoint-*")
    workspace.series.keep("sft", record(50))
    for name in ("sft@50", "sft@100", "demo"):
        (workspace.root / "gradient_spectra" / name).mkdir(parents=True)
    delete_rows(workspace, workspace.study(), "sft")
    assert [path.name for path in (workspace.root / "gradient_spectra").iterdir()] == ["demo"]
    assert workspace.series.of("sft") == []


def test_two_series_of_one_name_are_refused(workspace: Workspace, runs: Path) -> None:
    add_series(workspace, str(runs), checkpoints="checkpoint-*")
    with pytest.raises(StudyError, match="twice among its models"):
        add_series(workspace, str(runs), checkpoints="*")
