"""A folder in which a training saves, deletes, renames and rewrites checkpoints, watched."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import dagster as dg
import polars as pl
import pytest
from safetensors.torch import load_file, save_file

from assets.partitions import partition_key
from assets.resources import Accelerator
from assets.running.instance import open_instance
from assets.running.runner import Runner
from definitions import defs
from gradpipe.gradients.row_identity import row_identity
from gradpipe.gradients.rows import with_keys
from gradpipe.models.fingerprint import fingerprint
from gradpipe.models.source import resolve_model
from gradpipe.studies.model_config import ModelConfig
from storage.locations import open_location
from storage.stages import Partition
from storage.study_models import add_series, record_step, remove_model
from storage.workspace import Workspace
from tests.assets.conftest import (
    Daemon,
    Materialized,
    NoAccelerator,
    finished_study,
)

QUESTIONS = {"name": "mini_obscure", "sample": 2}


@pytest.fixture
def daemon(done: Path) -> Iterator[Daemon]:
    with open_instance(Workspace.current()) as instance:
        yield Daemon(instance)


@pytest.fixture
def runs(done: Path) -> Iterator[Path]:
    """The output folder of a training, and a study of its series with automation on."""
    folder = done / "runs" / "sft"
    folder.mkdir(parents=True)
    study = finished_study(done, automation=True, benchmarks=[QUESTIONS])
    Workspace.current().keep_study(study)
    add_series(Workspace.current(), str(folder), checkpoints="checkpoint-*")
    yield folder
    shutil.rmtree(done / "runs")


def save(runs: Path, step: int, factor: float, name: str = "") -> Path:
    """A checkpoint as transformers' Trainer leaves it."""
    folder = runs / (name or f"checkpoint-{step}")
    shutil.copytree(runs.parents[1] / "model", folder)
    weights = load_file(folder / "model.safetensors")
    scaled = {key: weight * factor for key, weight in weights.items()}
    save_file(scaled, folder / "model.safetensors", {"format": "pt"})
    (folder / "trainer_state.json").write_text(json.dumps({"global_step": step}))
    return folder


def steps() -> list[str]:
    return [model.name for model in Workspace.current().study().models if model.series]


def models_of(daemon: Daemon) -> list[str]:
    return sorted(daemon.instance.get_dynamic_partitions("models"))


def rows_are_those_of(name: str, folder: Path) -> Any:
    """Whether the statistics of a step come from rows under the fingerprint of a folder."""
    workspace = Workspace.current()
    study = workspace.study()
    protocol = study.protocol_of(study.model(name))
    source = resolve_model(str(folder))
    identity = row_identity(source, fingerprint(source), protocol)
    keys = with_keys(workspace.responses("mini_obscure").read(), protocol, identity)["key"]
    index = workspace.spectra_index(name, "mini_obscure").read()
    return (
        bool(index["key"].equals(keys)) and workspace.statistics(name, "mini_obscure").path.exists()
    )


def losses(name: str) -> list[float]:
    index = Workspace.current().spectra_index(name, "mini_obscure").read()
    return index["loss"].to_list()


def in_report(name: str) -> bool:
    return f'"{name}"' in Workspace.current().report_page.read_text()


def test_a_new_checkpoint_becomes_a_partition_its_column_is_computed_and_the_report_follows(
    daemon: Daemon, runs: Path
) -> None:
    daemon.until_quiet()
    assert steps() == []
    checkpoint = save(runs, 10, 1.1)
    since = Materialized()
    daemon.until_quiet()
    assert models_of(daemon) == ["sft@10", "small"]
    assert since.computed() == {
        ("gradient_spectra", "mini_obscure|sft@10"): 4,
        ("spectral_statistics", "mini_obscure|sft@10"): 1,
        ("report", ""): 1,
    }
    assert rows_are_those_of("sft@10", checkpoint)
    assert in_report("sft@10")

    save(runs, 20, 1.2)
    since = Materialized()
    daemon.until_quiet()
    assert {cell for _, cell in since.computed()} == {"mini_obscure|sft@20", ""}


@pytest.mark.usefixtures("plain_report")
def test_a_half_written_checkpoint_is_not_used_until_it_is_whole(
    daemon: Daemon, runs: Path
) -> None:
    whole = save(runs, 10, 1.1)
    state, tokenizer, weights = (
        (whole / name).read_bytes()
        for name in ("trainer_state.json", "tokenizer.json", "model.safetensors")
    )
    (whole / "trainer_state.json").unlink()
    (whole / "tokenizer.json").unlink()
    (whole / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    daemon.until_quiet()
    assert steps() == []
    (whole / "model.safetensors").write_bytes(weights)
    daemon.until_quiet()
    assert steps() == []
    (whole / "tokenizer.json").write_bytes(tokenizer)
    daemon.until_quiet()
    assert steps() == []
    assert models_of(daemon) == ["small"]
    (whole / "trainer_state.json").write_bytes(state)
    daemon.until_quiet()
    assert all(result.success for result in daemon.results)
    assert rows_are_those_of("sft@10", whole)


@pytest.mark.usefixtures("plain_report")
def test_deleted_checkpoints_keep_their_rows_and_uncomputed_ones_are_dropped(
    daemon: Daemon, runs: Path
) -> None:
    save(runs, 10, 1.1)
    daemon.until_quiet()
    save(runs, 20, 1.2)
    daemon.tick()
    assert models_of(daemon) == ["sft@10", "sft@20", "small"]
    shutil.rmtree(runs / "checkpoint-10")
    shutil.rmtree(runs / "checkpoint-20")
    daemon.results.clear()
    daemon.until_quiet()
    assert models_of(daemon) == ["sft@10", "small"]
    assert daemon.results == []
    save(runs, 30, 1.3)
    daemon.until_quiet()
    assert in_report("sft@10")
    assert in_report("sft@30")
    assert not in_report("sft@20")


@pytest.mark.slow
@pytest.mark.usefixtures("plain_report")
def test_other_statistics_of_a_deleted_checkpoint_are_computed_from_its_rows(
    daemon: Daemon, done: Path, runs: Path
) -> None:
    save(runs, 10, 1.1)
    daemon.until_quiet()
    shutil.rmtree(runs / "checkpoint-10")
    workspace = Workspace.current()
    study = workspace.written_study()
    workspace.keep_study(study.model_copy(update={"statistics": ("spectral_norm",)}))
    daemon.until_quiet()
    assert "spectral_norm" in workspace.statistics("sft@10", "mini_obscure").read().columns


@pytest.mark.slow
@pytest.mark.usefixtures("plain_report")
def test_more_items_leave_a_deleted_checkpoint_out_and_stop_nobody(
    daemon: Daemon, done: Path, runs: Path
) -> None:
    save(runs, 10, 1.1)
    save(runs, 20, 1.2)
    daemon.until_quiet()
    shutil.rmtree(runs / "checkpoint-10")
    workspace = Workspace.current()
    more = finished_study(done, automation=True, benchmarks=[QUESTIONS | {"sample": 3}])
    entries = workspace.written_study().models
    workspace.keep_study(more.model_copy(update={"models": entries}))
    daemon.until_quiet()
    assert all(result.success for result in daemon.results)
    assert workspace.spectra_index("sft@20", "mini_obscure").require_notes().rows == 6
    assert not in_report("sft@10")
    assert in_report("sft@20")


@pytest.mark.usefixtures("plain_report")
def test_a_checkpoint_that_is_rewritten_under_its_step_is_computed_again(
    daemon: Daemon, runs: Path
) -> None:
    save(runs, 10, 1.1)
    daemon.until_quiet()
    before = losses("sft@10")
    shutil.rmtree(runs / "checkpoint-10")
    rewritten = save(runs, 10, 1.6)
    daemon.until_quiet()
    assert rows_are_those_of("sft@10", rewritten)
    assert losses("sft@10") != before


@pytest.mark.usefixtures("plain_report")
def test_a_renamed_checkpoint_of_the_same_content_is_not_computed_again(
    daemon: Daemon, runs: Path
) -> None:
    checkpoint = save(runs, 10, 1.1)
    daemon.until_quiet()
    since = Materialized()
    checkpoint.rename(runs / "checkpoint-renamed-10")
    daemon.until_quiet()
    assert not {stage for stage, _ in since.computed()} & {"gradient_spectra"}
    assert rows_are_those_of("sft@10", runs / "checkpoint-renamed-10")


@pytest.mark.usefixtures("plain_report")
def test_two_checkpoints_of_one_step_are_a_sentence_and_the_others_go_on(
    daemon: Daemon, runs: Path
) -> None:
    save(runs, 10, 1.1)
    save(runs, 10, 1.2, "checkpoint-copy-10")
    save(runs, 20, 1.3)
    daemon.until_quiet()
    assert steps() == ["sft@20"]
    [note] = Workspace.current().series_notes(Workspace.current().study())
    assert "checkpoint-10 and checkpoint-copy-10" in note


@pytest.mark.usefixtures("plain_report")
def test_a_checkpoint_rewritten_in_place_while_it_is_measured_leaves_no_wrong_row(
    daemon: Daemon, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = save(runs, 10, 1.1)
    new_weights = (save(runs, 11, 1.6, "other") / "model.safetensors").read_bytes()
    shutil.rmtree(runs / "other")
    load = Accelerator.load

    def load_then_rewrite(self: Accelerator, *arguments: Any) -> Any:
        loaded = load(self, *arguments)
        (first / "model.safetensors").write_bytes(new_weights)
        return loaded

    monkeypatch.setattr(Accelerator, "load", load_then_rewrite)
    monkeypatch.setattr("assets.stage_run.backoff", lambda _: 0.0)
    daemon.tick()
    daemon.tick()
    monkeypatch.undo()
    store = Workspace.current().spectra("sft@10", "mini_obscure")
    assert store.scan().collect().is_empty()


@pytest.mark.slow
@pytest.mark.usefixtures("plain_report")
def test_a_training_that_saves_deletes_renames_and_rewrites_crashes_nothing(
    daemon: Daemon, runs: Path
) -> None:
    """Every step that has results in the end has those of the weights that it last had whole."""
    save(runs, 1, 1.1)
    daemon.tick()
    shutil.rmtree(runs / "checkpoint-1")
    save(runs, 2, 1.2)
    daemon.tick()
    daemon.tick()
    half = save(runs, 3, 1.3)
    weights = (half / "model.safetensors").read_bytes()
    (half / "model.safetensors").write_bytes(weights[:100])
    daemon.tick()
    (runs / "checkpoint-2").rename(runs / "checkpoint-4")
    (runs / "checkpoint-4" / "trainer_state.json").unlink()
    daemon.tick()
    daemon.tick()
    (half / "model.safetensors").unlink()
    (half / "model.safetensors").write_bytes(weights)
    (half / "trainer_state.json").write_text('{"global_step": 3}')
    daemon.tick()
    shutil.rmtree(half)
    daemon.tick()
    last = save(runs, 5, 1.5)
    daemon.until_quiet()
    assert all(result.success for result in daemon.results)
    assert rows_are_those_of("sft@5", last)
    assert in_report("sft@2")
    assert "sft@1" not in steps()


@pytest.mark.usefixtures("plain_report")
def test_a_run_on_a_step_that_is_gone_says_why(daemon: Daemon, runs: Path) -> None:
    save(runs, 10, 1.1)
    daemon.tick()
    shutil.rmtree(runs / "checkpoint-10")
    assert "checkpoint is gone or not complete" in failure_on("sft@10", daemon)


def failure_on(model: str, daemon: Daemon) -> str:
    """Why a run on a model's partition fails."""
    outcome = defs.resolve_job_def("model_gradients").execute_in_process(
        partition_key=partition_key(Partition(model=model, benchmark="mini_obscure")),
        asset_selection=[dg.AssetKey("gradient_spectra")],
        instance=daemon.instance,
        raise_on_error=False,
    )
    [failed] = outcome.filter_events(lambda event: event.is_step_failure)
    error: Any = failed.step_failure_data.error
    while error.cause is not None:
        error = error.cause
    return str(error.message)


def test_a_model_that_a_user_adds_in_the_ui_becomes_a_model_of_the_study(
    daemon: Daemon, done: Path
) -> None:
    workspace = Workspace.current()
    workspace.keep_study(finished_study(done, automation=False, benchmarks=[QUESTIONS]))
    daemon.until_quiet()
    added = str(done / "model")
    daemon.instance.add_dynamic_partitions("models", [added])
    daemon.until_quiet()
    assert [model.name for model in workspace.study().models] == ["small", added]
    assert models_of(daemon) == sorted([added.replace("/", "~"), "small"])
    remove_model(workspace, added)
    daemon.until_quiet()
    assert models_of(daemon) == ["small"]


@pytest.mark.usefixtures("plain_report")
def test_a_partition_that_is_not_a_model_stays_and_its_run_says_why(
    daemon: Daemon, done: Path
) -> None:
    workspace = Workspace.current()
    workspace.keep_study(finished_study(done, automation=False, benchmarks=[QUESTIONS]))
    daemon.until_quiet()
    daemon.instance.add_dynamic_partitions("models", ["~~nowhere"])
    daemon.until_quiet()
    daemon.until_quiet()
    assert models_of(daemon) == ["small", "~~nowhere"]
    assert "There is no model at //nowhere" in failure_on("//nowhere", daemon)


@pytest.mark.usefixtures("plain_report")
def test_rows_stored_by_a_training_are_noticed_and_need_no_weights(
    daemon: Daemon, done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assets.automation.RECHECK_INTERVAL", 1e12)
    workspace = Workspace.current()
    workspace.keep_study(finished_study(done, automation=True, benchmarks=[QUESTIONS]))
    name = record_step(workspace, "live", 7, "hash-of-weights", folder=str(done / "runs"))
    assert name == "live@7"
    daemon.until_quiet()
    assert not in_report(name)
    study = workspace.study()
    assert study.model(name).step == 7
    protocol = study.protocol_of(study.model(name))
    examples = workspace.responses("mini_obscure").read()
    keyed = with_keys(examples, protocol, "hash-of-weights")
    measured = workspace.spectra("small", "mini_obscure").scan().collect()
    keys = workspace.spectra_index("small", "mini_obscure").read()["key"]
    copied = measured.with_columns(pl.col("key").replace_strict(keys, keyed["key"]))
    workspace.spectra(name, "mini_obscure").append(copied)
    monkeypatch.setattr(Accelerator, "load", NoAccelerator.load)
    daemon.until_quiet()
    assert all(result.success for result in daemon.results)
    assert in_report(name)


@pytest.mark.usefixtures("plain_report")
def test_checkpoints_in_an_object_store_are_fetched_measured_and_kept_when_deleted(
    daemon: Daemon, done: Path, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.series_steps.OBJECTS_AGE", -1.0)
    monkeypatch.setattr("storage.remote_checkpoints.SETTLE_SECONDS", -1.0)
    workspace = Workspace.current()
    workspace.keep_study(finished_study(done, automation=True, benchmarks=[QUESTIONS]))
    place: Any = open_location(f"memory://{uuid4().hex}/runs/dpo")
    add_series(workspace, str(place), checkpoints="checkpoint-*")
    for file in save(runs, 10, 1.1).iterdir():
        target = place / "checkpoint-10" / file.name
        target.fs.pipe_file(target.path, file.read_bytes())
    daemon.until_quiet()
    assert all(result.success for result in daemon.results)
    assert in_report("dpo@10")
    spectra = workspace.spectra("dpo@10", "mini_obscure").scan().collect()
    assert len(spectra) == 4
    place.fs.rm(place.path, recursive=True)
    daemon.results.clear()
    daemon.until_quiet()
    assert daemon.results == []
    assert models_of(daemon) == ["dpo@10", "small"]


@pytest.mark.usefixtures("plain_report")
def test_a_base_that_is_not_to_be_had_is_one_failure_and_the_others_go_on(
    done: Path, runs: Path
) -> None:
    save(runs, 10, 1.1)
    base = str(done / "no-base")
    series = {"id": str(runs), "checkpoints": "checkpoint-*", "base": base}
    study = finished_study(done, benchmarks=[QUESTIONS], models=[series])
    runner = Runner(Workspace.current(), study, Accelerator())
    runner.bring_up_to_date()
    [failure] = runner.failures
    assert f"There is no model at {base}" in str(failure)
    assert in_report("sft@10")
    assert [entry.name for entry in Workspace.current().written_study().models] == ["sft"]
    assert isinstance(Workspace.current().study().model(base), ModelConfig)
