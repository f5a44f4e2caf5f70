"""A model is loaded whole, frozen and without running anybody's code, or refused with the cause."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from gradpipe.errors import ModelError
from gradpipe.models.fingerprint import fingerprint
from gradpipe.models.load import load_model, load_tokenizer, model_window
from gradpipe.models.source import resolve_model
from tests.models.conftest import configure


def test_a_folder_is_loaded_frozen_and_in_evaluation_mode(folder: Path) -> None:
    loaded = load_model(str(folder))
    assert loaded.name == str(folder)
    assert loaded.fingerprint == fingerprint(resolve_model(str(folder)))
    assert not loaded.model.training
    assert not any(parameter.requires_grad for parameter in loaded.model.parameters())
    assert {parameter.dtype for parameter in loaded.model.parameters()} == {torch.float32}
    assert {parameter.device.type for parameter in loaded.model.parameters()} == {loaded.device}
    assert loaded.tokenizer.decode(loaded.tokenizer("Four").input_ids) == "Four"
    assert loaded.window == 4096


def test_a_model_is_loaded_in_the_precision_asked_for(folder: Path) -> None:
    model = load_model(str(folder), dtype="bfloat16").model
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}


def test_tied_embeddings_are_not_missed(folder: Path) -> None:
    config = AutoConfig.from_pretrained(folder, tie_word_embeddings=True)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    model = load_model(str(folder)).model
    assert model.lm_head.weight is model.get_input_embeddings().weight


def test_the_tokenizer_can_be_loaded_alone(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"never read")
    assert load_tokenizer(str(folder))("ab").input_ids


def test_pickled_weights_are_never_loaded(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="pickled weights are not loaded"):
        load_model(str(folder))


def spoil_remote(folder: Path) -> None:
    maps = {"AutoConfig": "remote.Config", "AutoModelForCausalLM": "remote.Model"}
    configure(folder, model_type="remote", auto_map=maps)


def spoil_remote_tokenizer(folder: Path) -> None:
    maps = {"AutoTokenizer": ["remote.Tokenizer", None]}
    configure(folder, "tokenizer_config.json", tokenizer_class="Remote", auto_map=maps)


@pytest.mark.parametrize("spoil", [spoil_remote, spoil_remote_tokenizer])
def test_a_model_that_needs_code_of_its_own_is_refused_without_running_it(
    spoil: Callable[[Path], None], folder: Path, tmp_path: Path
) -> None:
    spoil(folder)
    (folder / "remote.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    with pytest.raises(ModelError, match="custom code"):
        load_model(str(folder))
    assert not (tmp_path / "ran").exists()


def test_code_beside_a_model_that_transformers_knows_is_not_run(
    folder: Path, tmp_path: Path
) -> None:
    configure(folder, auto_map={"AutoModelForCausalLM": "remote.Model"})
    (folder / "remote.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    assert type(load_model(str(folder)).model).__name__ == "LlamaForCausalLM"
    assert not (tmp_path / "ran").exists()


def truncate(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:5000])


def forget_tokenizer(folder: Path) -> None:
    for path in folder.glob("tokenizer*"):
        path.unlink()


SPOILS: dict[str, tuple[Callable[[Path], object], str]] = {
    "weights that stop early": (truncate, "model of"),
    "weights that are a web page": (
        lambda folder: (folder / "model.safetensors").write_text("<html>Not found</html>"),
        "model of",
    ),
    "a configuration that is no JSON": (
        lambda folder: (folder / "config.json").write_text("{"),
        "cannot be loaded",
    ),
    "a configuration that is a list": (
        lambda folder: (folder / "config.json").write_text("[]"),
        "cannot be loaded",
    ),
    "a configuration of wrong types": (
        lambda folder: configure(folder, hidden_size="wide"),
        "hidden_size",
    ),
    "a configuration of another size": (
        lambda folder: configure(folder, hidden_size=64),
        "model of",
    ),
    "a kind that transformers does not know": (
        lambda folder: configure(folder, model_type="nothing"),
        "`nothing`",
    ),
    "a model that is not causal": (
        lambda folder: configure(folder, model_type="t5"),
        "needs a causal language model",
    ),
    "a tokenizer that is no JSON": (
        lambda folder: (folder / "tokenizer.json").write_text("{"),
        "tokenizer of",
    ),
    "no tokenizer": (forget_tokenizer, "tokenizer of"),
}


@pytest.mark.parametrize("case", SPOILS)
def test_a_damaged_model_is_refused_by_name(case: str, folder: Path) -> None:
    spoil, message = SPOILS[case]
    spoil(folder)
    with pytest.raises(ModelError, match=message) as refused:
        load_model(str(folder))
    assert str(folder) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_weights_that_are_missing_are_not_made_up(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.self_attn.q_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"missing 1 of the model's weights \(model\.layers\.1\."):
        load_model(str(folder))


@pytest.mark.parametrize("content", [b"", b"GGUF nonsense", b"GGUF\3\0\0\0" + bytes(64)], ids=repr)
def test_a_gguf_file_that_cannot_be_read_leaves_nothing_behind(
    content: bytes, tmp_path: Path, cache: Path
) -> None:
    path = tmp_path / "broken.gguf"
    path.write_bytes(content)
    for load in (load_model, load_tokenizer):
        with pytest.raises(ModelError, match=r"broken\.gguf cannot be read as a GGUF model"):
            load(str(path))
    assert not list((cache / "models").glob("*"))


@pytest.mark.parametrize(
    ("kind", "settings", "window"),
    [
        ("llama", {"max_position_embeddings": 99}, 99),
        ("gpt2", {"n_positions": 77}, 77),
        ("gemma3", {"text_config": {"max_position_embeddings": 88}}, 88),
        ("bloom", {}, None),
    ],
)
def test_the_window_is_what_the_configuration_says(
    kind: str, settings: dict[str, Any], window: int | None
) -> None:
    model = SimpleNamespace(config=AutoConfig.for_model(kind, **settings))
    assert model_window(model) == window


def test_a_model_without_a_configuration_has_no_window() -> None:
    assert model_window(torch.nn.Linear(2, 2)) is None
