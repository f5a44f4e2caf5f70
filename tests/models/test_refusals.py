"""Models that gradients cannot be taken through are refused before their weights are read."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PromptTuningConfig, get_peft_model
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, BitsAndBytesConfig

from gradpipe import extract_spectra
from gradpipe.errors import ModelError
from gradpipe.models.load import load_model
from gradpipe.models.refusals import refuse_adapter, refuse_config, refuse_model
from gradpipe.models.source import ModelSource
from tests.models.conftest import configure

COMMIT = "c" * 40


def test_a_quantized_part_of_a_model_is_found_too() -> None:
    text = {"quantization_config": {"quant_method": "quip", "bits": 2}}
    config = AutoConfig.for_model("gemma3", text_config=text)
    with pytest.raises(ModelError, match=r"The weights of 'some' are quantized \(quip\)"):
        refuse_config("some", config)


def test_quantization_that_is_an_object_by_now_is_called_by_its_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
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


def test_an_adapter_of_the_hub_that_was_not_recognized_is_not_loaded_as_its_base(
    on_hub: Path, small_model: Path
) -> None:
    """transformers would load the base of the adapter by itself."""
    settings = {"peft_type": "LORA", "base_model_name_or_path": str(small_model)}
    (on_hub / "adapter_config.json").write_text(json.dumps(settings))
    with pytest.raises(ModelError, match="org/model is an adapter, and the hub did not") as raised:
        refuse_adapter("org/model", ModelSource("hub", "org/model", COMMIT))
    assert raised.value.transient


def test_pickled_weights_of_the_hub_are_refused(on_hub: Path) -> None:
    (on_hub / "model.safetensors").unlink()
    torch.save({}, on_hub / "pytorch_model.bin")
    with pytest.raises(ModelError, match="org/model has no .*pickled weights are not loaded"):
        load_model("org/model")


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2), "kind PROMPT_TUNING"),
        (LoraConfig(target_modules=["q_proj"], alora_invocation_tokens=[1]), "'alora_invocation_t"),
    ],
    ids=["prompt tuning", "activated LoRA"],
)
def test_a_model_in_memory_with_an_adapter_that_is_no_change_of_weights_is_refused(
    settings: Any, reason: str, folder: Path
) -> None:
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(folder), settings)
    with pytest.raises(ModelError, match=f"carries an adapter .*{reason}"):
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
    with pytest.raises(ModelError, match=r"The weights of LlamaForCausalLM are quantized \(gptq"):
        extract_spectra(model, None, [("a", "b")])
    model.config.quantization_config = {"quant_method": "bitsandbytes", "load_in_8bit": True}
    with pytest.raises(ModelError, match=r"quantized \(bitsandbytes\): call model.dequantize"):
        extract_spectra(model, None, [("a", "b")])


def test_weights_created_in_inference_mode_are_refused(folder: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(folder)
    with torch.inference_mode():
        model.double()
    with pytest.raises(ModelError, match=r"LlamaForCausalLM were .* inside torch.inference_mode"):
        extract_spectra(model, None, [("a", "b")])
