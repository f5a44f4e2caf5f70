"""Models that gradients cannot be taken through are refused before their weights are read."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, BitsAndBytesConfig

from gradpipe import extract_spectra
from gradpipe.errors import ModelError
from gradpipe.models.load import load_model
from gradpipe.models.refusals import refuse_config, refuse_model
from tests.models.conftest import configure

COMMIT = "c" * 40
METHODS = {
    "bitsandbytes": {"load_in_4bit": True},
    "gptq": {"quant_method": "gptq", "bits": 4},
    "awq": {"quant_method": "awq", "bits": 4},
    "fp8": {"quant_method": "fp8", "weight_block_size": [128, 128]},
    "mxfp4": {"quant_method": "mxfp4"},
    "compressed-tensors": {"quant_method": "compressed-tensors"},
}


@pytest.mark.parametrize("method", METHODS)
def test_a_quantized_model_is_refused_before_its_weights_are_read(
    method: str, folder: Path
) -> None:
    configure(folder, quantization_config=METHODS[method])
    (folder / "model.safetensors").write_bytes(b"never read")
    with pytest.raises(ModelError, match=rf"quantized \({method}\).*the model that it was made"):
        load_model(str(folder))


def test_a_quantized_part_of_a_model_is_found_too() -> None:
    text = {"quantization_config": METHODS["awq"]}
    config = AutoConfig.for_model("gemma3", text_config=text)
    with pytest.raises(ModelError, match=r"The weights of 'some' are quantized \(awq\)"):
        refuse_config("some", config)


def test_quantisation_that_is_an_object_by_now_is_called_by_its_name() -> None:
    config = AutoConfig.for_model("llama")
    config.quantization_config = BitsAndBytesConfig(load_in_8bit=True)
    with pytest.raises(ModelError, match=r"quantized \(bitsandbytes\)"):
        refuse_config("some", config)


def test_an_encoder_decoder_is_refused_unless_its_encoder_reads_text() -> None:
    refuse_config("some", AutoConfig.for_model("t5"))
    with pytest.raises(ModelError, match=r"The encoder of 'some' \(whisper\) does not read text"):
        refuse_config("some", AutoConfig.for_model("whisper"))


def test_a_configuration_that_names_pickled_weights_is_refused(folder: Path) -> None:
    configure(folder, transformers_weights="adapter_model.bin")
    with pytest.raises(ModelError, match="pickled weights are not loaded"):
        load_model(str(folder))


@pytest.mark.parametrize("whole", [True, False], ids=["with a model", "alone"])
def test_an_adapter_is_refused(whole: bool, folder: Path) -> None:
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    if not whole:
        (folder / "config.json").unlink()
        (folder / "model.safetensors").rename(folder / "adapter_model.safetensors")
    with pytest.raises(ModelError, match=r"is an adapter .*merge_and_unload"):
        load_model(str(folder))


@pytest.fixture
def on_hub(folder: Path, hub: Callable[[Any], Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The small model's files as the hub's own cache holds org/model, with nobody to ask."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    cached = hub(COMMIT) / "models--org--model"
    (cached / "snapshots").mkdir(parents=True)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(COMMIT)
    return folder.rename(cached / "snapshots" / COMMIT)


def test_a_model_of_the_hub_is_loaded_from_its_cache(on_hub: Path) -> None:
    assert load_model("org/model").window == 4096


def test_an_adapter_of_the_hub_is_refused(on_hub: Path) -> None:
    (on_hub / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    (on_hub / "config.json").unlink()
    with pytest.raises(ModelError, match="org/model is an adapter"):
        load_model("org/model")


def test_pickled_weights_of_the_hub_are_refused(on_hub: Path) -> None:
    (on_hub / "model.safetensors").unlink()
    torch.save({}, on_hub / "pytorch_model.bin")
    with pytest.raises(ModelError, match="org/model has no .*pickled weights are not loaded"):
        load_model("org/model")


def adapted(model: nn.Module) -> nn.Module:
    """The model with a module that comes from peft, as an adapter's do."""
    kind = type("Linear", (nn.Module,), {"__module__": "peft.tuners.lora.layer"})
    model.get_submodule("model.layers.0.self_attn").q_proj = kind()
    return model


def test_a_model_in_memory_that_carries_an_adapter_is_refused(folder: Path) -> None:
    model = adapted(AutoModelForCausalLM.from_pretrained(folder))
    with pytest.raises(ModelError, match=r"carries an adapter \(peft\): merge it"):
        extract_spectra(model, None, [("a", "b")])


def test_a_quantized_model_in_memory_is_refused_and_one_from_a_gguf_file_is_not(
    folder: Path,
) -> None:
    model = AutoModelForCausalLM.from_pretrained(folder)
    model.config.quantization_config = {"quant_method": "gguf"}
    refuse_model("some", model)
    model.model.norm.weight = nn.Parameter(torch.zeros(32, dtype=torch.uint8), False)
    with pytest.raises(ModelError, match=r"quantized \(gguf\)"):
        refuse_model("some", model)
    model.config.quantization_config = {"quant_method": "gptq"}
    with pytest.raises(ModelError, match=r"The weights of 'LlamaForCausalLM' are quantized"):
        extract_spectra(model, None, [("a", "b")])


def test_weights_created_in_inference_mode_are_refused(folder: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(folder)
    with torch.inference_mode():
        model.double()
    with pytest.raises(ModelError, match=r"LlamaForCausalLM were .* inside torch.inference_mode"):
        extract_spectra(model, None, [("a", "b")])
