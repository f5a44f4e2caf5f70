"""The checkpoints in a folder: found, ordered, and recognized as unfinished."""

import json
import shutil
import time
from pathlib import Path

import pytest

from gradpipe.checkpoints.checkpoint import Checkpoint
from gradpipe.checkpoints.local_folders import list_checkpoint_folders
from gradpipe.errors import ModelError
from tests.checkpoints.conftest import MakeCheckpoint, age


def listed(runs: Path, pattern: str = "checkpoint-*") -> dict[str, Checkpoint]:
    return {c.name: c for c in list_checkpoint_folders(runs, pattern, {})}


def pending(runs: Path, name: str) -> str:
    return listed(runs)[name].pending


def test_a_folder_that_does_not_exist_yet_has_no_checkpoints(tmp_path: Path) -> None:
    assert list_checkpoint_folders(tmp_path / "later", "*", {}) == []


def test_checkpoints_are_found_by_pattern_without_temporary_names(
    runs: Path, save: MakeCheckpoint
) -> None:
    for name in ("checkpoint-100", "tmp-checkpoint-200", "checkpoint-300.tmp", "other-7"):
        save(name, 1)
    (runs / "checkpoint-notes.txt").write_text("no folder")
    assert sorted(listed(runs)) == ["checkpoint-100"]
    assert sorted(listed(runs, "*")) == ["checkpoint-100", "other-7"]


def test_a_pattern_may_lead_through_folders(runs: Path, save: MakeCheckpoint) -> None:
    save("a/checkpoint-1", 1)
    save("b/checkpoint-2", 2)
    save("b/tmp-checkpoint-3", 3)
    assert sorted(listed(runs, "*/*checkpoint-*")) == ["a/checkpoint-1", "b/checkpoint-2"]
    with pytest.raises(ModelError, match="check the folder and the pattern"):
        listed(runs, "/absolute/*")


def test_a_listed_name_that_does_not_exist_is_pending(runs: Path, save: MakeCheckpoint) -> None:
    save("a-1", 1)
    found = {c.name: c.pending for c in list_checkpoint_folders(runs, ["a-1", "b-2"], {})}
    assert found == {"a-1": "", "b-2": "does not exist"}


def test_a_checkpoint_with_its_trainer_state_is_whole_at_once(
    runs: Path, save: MakeCheckpoint
) -> None:
    save("checkpoint-100", 100)
    assert listed(runs)["checkpoint-100"].step == 100
    assert pending(runs, "checkpoint-100") == ""


def test_a_checkpoint_without_trainer_state_has_to_be_unchanged_for_a_while(
    runs: Path, save: MakeCheckpoint
) -> None:
    folder = save("checkpoint-100")
    assert "changed" in pending(runs, "checkpoint-100")
    age(folder, 60)
    assert pending(runs, "checkpoint-100") == ""


def test_files_that_are_newer_than_the_trainer_state_are_waited_for(
    runs: Path, save: MakeCheckpoint
) -> None:
    folder = save("checkpoint-100", 100)
    age(folder, 10)
    (folder / "tokenizer.json").write_text("{ }")
    assert "changed" in pending(runs, "checkpoint-100")


def test_a_trainer_state_that_is_being_written_is_waited_for(
    runs: Path, save: MakeCheckpoint
) -> None:
    folder = save("checkpoint-100", 100)
    state = folder / "trainer_state.json"
    state.write_text(state.read_text()[:40])
    assert "changed" in pending(runs, "checkpoint-100")


@pytest.mark.parametrize("keep", [0, 4, 30, -1])
def test_weights_that_are_cut_off_are_incomplete_however_old(
    runs: Path, save: MakeCheckpoint, keep: int
) -> None:
    folder = save("checkpoint-100", 100)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:keep])
    age(folder, 10_000)
    assert pending(runs, "checkpoint-100") == "has an incomplete model.safetensors"


def test_every_shard_of_an_index_has_to_be_whole(runs: Path, save: MakeCheckpoint) -> None:
    folder = save("checkpoint-100", 100)
    weights = folder / "model.safetensors"
    content = weights.read_bytes()
    weights.rename(folder / "model-00001-of-00002.safetensors")
    assert pending(runs, "checkpoint-100") == "has no safetensors weights"
    parts = {f"w{n}": f"model-0000{n}-of-00002.safetensors" for n in (1, 2)}
    index = json.dumps({"weight_map": parts})
    (folder / "model.safetensors.index.json").write_text(index[:-5])
    assert "incomplete model.safetensors.index.json" in pending(runs, "checkpoint-100")
    (folder / "model.safetensors.index.json").write_text(index)
    assert pending(runs, "checkpoint-100") == "has no model-00002-of-00002.safetensors"
    (folder / "model-00002-of-00002.safetensors").write_bytes(content[:-2])
    assert "incomplete model-00002" in pending(runs, "checkpoint-100")
    (folder / "model-00002-of-00002.safetensors").write_bytes(content)
    age(folder, 60)
    assert pending(runs, "checkpoint-100") == ""


def test_a_checkpoint_that_is_being_deleted_is_not_whole(runs: Path, save: MakeCheckpoint) -> None:
    folder = save("checkpoint-100", 100)
    age(folder, 10)
    (folder / "tokenizer.json").unlink()
    assert "changed" in pending(runs, "checkpoint-100")
    shutil.rmtree(folder)
    assert listed(runs) == {}


def test_a_rewritten_checkpoint_has_another_stamp(runs: Path, save: MakeCheckpoint) -> None:
    folder = save("checkpoint-100", 100)
    before = listed(runs)["checkpoint-100"].stamp
    assert listed(runs)["checkpoint-100"].stamp == before
    shutil.rmtree(folder)
    time.sleep(0.01)
    save("checkpoint-100", 100, value=2.0)
    assert listed(runs)["checkpoint-100"].stamp != before


def test_a_clock_that_is_ahead_hides_no_checkpoint(runs: Path, save: MakeCheckpoint) -> None:
    age(save("checkpoint-100"), -3600)
    assert pending(runs, "checkpoint-100") == ""


@pytest.mark.slow
def test_what_transformers_trainer_saves_is_whole_at_once(runs: Path) -> None:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments

    sizes = {"vocab_size": 64, "hidden_size": 16, "intermediate_size": 32}
    heads = {"num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1}
    row = {"input_ids": torch.arange(8), "labels": torch.arange(8)}
    arguments = TrainingArguments(
        output_dir=str(runs),
        max_steps=3,
        save_steps=1,
        save_total_limit=2,
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
    )
    model = LlamaForCausalLM(LlamaConfig(**sizes, **heads))
    Trainer(model=model, args=arguments, train_dataset=[row] * 4).train()
    found = {c.name: (c.step, c.pending) for c in listed(runs).values()}
    assert found == {"checkpoint-2": (2.0, ""), "checkpoint-3": (3.0, "")}
