"""Checkpoints in an object store: listed, recognized as unfinished, fetched to be loaded."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

import storage.remote_checkpoints
import storage.series_steps
from assets.planning.versions import Versions
from gradpipe.checkpoints.checkpoint import Checkpoint
from gradpipe.checkpoints.fingerprints import checkpoint_fingerprint
from gradpipe.errors import ModelError, WorkspaceError
from gradpipe.models.adapters.config import ADAPTER_WEIGHTS
from gradpipe.models.fingerprint import fingerprint
from gradpipe.models.source import ModelSource
from gradpipe.studies.equal_models import find_equal_models
from gradpipe.studies.load import parse_study
from storage.locations import open_location
from storage.remote_checkpoints import fetch_tokenizer, fetch_weights, list_remote_files
from storage.workspace import Workspace

if TYPE_CHECKING:
    from upath import UPath


@pytest.fixture(params=["memory", "s3"])
def place(request: pytest.FixtureRequest) -> Any:
    """An empty folder in an object store."""
    if request.param == "s3":
        return open_location(request.getfixturevalue("s3") + "/runs/sft")
    return open_location(f"memory://{uuid4().hex}/runs/sft")


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace that lists a store at every look, and waits for no object to settle."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(storage.series_steps, "OBJECTS_AGE", -1.0)
    monkeypatch.setattr(storage.remote_checkpoints, "SETTLE_SECONDS", -1.0)
    (tmp_path / "home").mkdir()
    return Workspace(tmp_path / "home")


@pytest.fixture
def series(workspace: Workspace, place: "UPath") -> Callable[[], dict[str, Any]]:
    """The steps of the series in the store, by their names."""
    text = f"models: [{{id: '{place}', checkpoints: 'checkpoint-*'}}]\nbenchmarks: [mini_maths]"
    workspace.keep_study(parse_study(text, "mine.yaml"))

    def look() -> dict[str, Any]:
        return {model.name: model for model in workspace.study().models}

    return look


def send(place: "UPath", files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (place / name).fs.pipe_file((place / name).path, content)


def files_of(model: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in model.iterdir() if file.is_file()}


def test_the_checkpoints_in_a_store_are_steps_of_their_series(
    place: "UPath", series: Callable[[], dict[str, Any]], small_model: Path
) -> None:
    assert series() == {}
    send(place / "checkpoint-100", files_of(small_model))
    send(place / "other-1", files_of(small_model))
    send(place / "checkpoint-epoch-3", files_of(small_model))
    send(place / "checkpoint-epoch-3", {"trainer_state.json": b'{"global_step": 300}'})
    found = series()
    assert list(found) == ["sft@100", "sft@300"]
    assert found["sft@100"].id == f"{place}/checkpoint-100"
    assert found["sft@100"].step == 100


def test_objects_that_are_missing_or_new_are_waited_for(
    place: "UPath",
    workspace: Workspace,
    series: Callable[[], dict[str, Any]],
    small_model: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    files = files_of(small_model)
    send(place / "checkpoint-1", {"config.json": files["config.json"]})
    assert series() == {}
    [note] = workspace.series_notes(workspace.written_study())
    assert "checkpoint-1" in note
    assert "has no safetensors weights" in note
    shard = files.pop("model.safetensors")
    index = b'{"weight_map": {}}'
    parts = {"model-00001-of-00002.safetensors": shard, "model.safetensors.index.json": index}
    send(place / "checkpoint-1", files | parts)
    assert series() == {}
    send(place / "checkpoint-1", {"model-00002-of-00002.safetensors": shard})
    assert list(series()) == ["sft@1"]
    monkeypatch.setattr(storage.remote_checkpoints, "SETTLE_SECONDS", 30.0)
    assert series() == {}


def test_the_tokenizer_is_fetched_without_the_weights_and_the_weights_when_needed(
    place: "UPath", series: Callable[[], dict[str, Any]], small_model: Path
) -> None:
    send(place / "checkpoint-1", files_of(small_model))
    model = series()["sft@1"]
    folder = Path(model.location)
    fetch_tokenizer(model.checkpoint)
    assert (folder / "tokenizer.json").read_bytes() == files_of(small_model)["tokenizer.json"]
    assert not (folder / "model.safetensors").exists()
    for _ in range(2):
        fetch_weights(model.checkpoint)
        fetched, sent = (ModelSource("folder", str(path)) for path in (folder, small_model))
        assert fingerprint(fetched) == fingerprint(sent)


def test_an_adapter_is_a_model_on_its_base_before_its_weights_are_fetched(
    place: "UPath", workspace: Workspace, series: Callable[[], dict[str, Any]], small_model: Path
) -> None:
    config = json.dumps({"peft_type": "LORA", "base_model_name_or_path": str(small_model)})
    for step in (1, 2):
        adapter = {"adapter_config.json": config.encode(), ADAPTER_WEIGHTS: b"weights"}
        send(place / f"checkpoint-{step}", adapter)
    versions = Versions(workspace, workspace.study())
    answers = [versions.model(name) for name in series()]
    assert [source.base for source, _ in answers] == [ModelSource("folder", str(small_model))] * 2
    assert find_equal_models(workspace.study()) == []
    first, *_ = series().values()
    weights = Path(first.location) / ADAPTER_WEIGHTS
    assert weights.read_bytes() == b""
    fetch_weights(first.checkpoint)
    assert weights.read_bytes() == b"weights"


def test_the_identity_of_an_adapter_depends_on_its_base_and_on_what_is_measured() -> None:
    base, other = (ModelSource("hub", "org/base", revision) for revision in ("a" * 40, "b" * 40))
    checkpoint = Checkpoint(name="c", place="memory://c", step=1, stamp="", fingerprint="store")
    sources = [
        ModelSource("folder", "c", base=base),
        ModelSource("folder", "c", base=other),
        ModelSource("folder", "c", base=base, adapter="factors"),
    ]
    assert len({checkpoint_fingerprint(source, checkpoint) for source in sources}) == 3
    assert checkpoint_fingerprint(ModelSource("folder", "c"), checkpoint) == "store"


def test_a_rewritten_checkpoint_has_another_fingerprint_and_the_old_one_cannot_be_fetched(
    place: "UPath", series: Callable[[], dict[str, Any]], small_model: Path
) -> None:
    files = files_of(small_model)
    send(place / "checkpoint-1", files)
    before = series()["sft@1"]
    weights = files["model.safetensors"]
    send(place / "checkpoint-1", {"model.safetensors": weights[:-4] + b"\0\0\0\0"})
    after = series()["sft@1"]
    assert after.checkpoint.fingerprint != before.checkpoint.fingerprint
    assert after.location != before.location
    with pytest.raises(ModelError, match="changed while they were fetched"):
        fetch_weights(before.checkpoint)
    assert not Path(before.location).exists()
    fetch_weights(after.checkpoint)


def test_only_the_latest_weights_are_kept(
    place: "UPath",
    series: Callable[[], dict[str, Any]],
    small_model: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(storage.remote_checkpoints, "KEPT_WEIGHTS", 1)
    for step in (1, 2):
        send(place / f"checkpoint-{step}", files_of(small_model))
    first, second = series().values()
    fetch_weights(first.checkpoint)
    fetch_weights(second.checkpoint)
    assert not (Path(first.location) / "model.safetensors").exists()
    assert (Path(second.location) / "model.safetensors").exists()


def test_a_store_that_is_down_leaves_what_was_known(
    place: "UPath",
    workspace: Workspace,
    series: Callable[[], dict[str, Any]],
    small_model: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    send(place / "checkpoint-1", files_of(small_model))
    assert list(series()) == ["sft@1"]

    def down(*_: object) -> None:
        raise WorkspaceError("The store is down.", transient=True)

    monkeypatch.setattr(storage.series_steps, "list_remote_files", down)
    assert list(series()) == ["sft@1"]
    workspace.series.delete("sft")
    assert series() == {}
    assert workspace.series_notes(workspace.written_study()) == ["The store is down."]


def test_a_url_of_another_kind_is_refused_in_a_sentence() -> None:
    with pytest.raises(WorkspaceError, match="The `id` of a series is a URL of the kind 'ftp'"):
        list_remote_files("ftp://host/runs", "*")
