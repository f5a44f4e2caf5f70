"""Quantized weights are loaded as the numbers that they stand for, or refused by name."""

import logging
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, BitsAndBytesConfig

from gradpipe.errors import ModelError
from gradpipe.models.dequantize import plain_layer
from gradpipe.models.find import find_model
from gradpipe.models.fingerprint import fingerprint
from gradpipe.models.load import load_model
from gradpipe.models.source import resolve_model
from gradpipe.models.weights_notes import weights_notes
from tests.models import quantized_models as q
from tests.models.conftest import configure

METHODS: dict[str, tuple[dict[str, Any], Any, Callable[[q.Stored, str], Tensor], str | None]] = {
    "fp8": (q.FP8, q.encode_fp8, q.decode_fp8, None),
    "metal": (q.METAL, q.encode_metal, q.decode_metal, None),
    "int4": (q.INT4, q.encode_int4, q.decode_int4, "compressed_tensors"),
    "int8": (q.INT8, q.encode_channels(torch.int8), q.decode_channels, "compressed_tensors"),
    "float8": (
        q.FLOAT8,
        q.encode_channels(torch.float8_e4m3fn),
        q.decode_channels,
        "compressed_tensors",
    ),
}


def linear_weights(model: nn.Module) -> dict[str, Tensor]:
    return {n: w for n, w in model.named_parameters() if ".layers." in n and w.ndim == 2}


def assert_decoded(model: nn.Module, decode: Callable[[str], Tensor], rel: float) -> None:
    found = linear_weights(model)
    assert len(found) == 21
    for name, weight in found.items():
        expected = decode(name).double()
        assert weight.shape == expected.shape
        assert float((weight.double() - expected).norm()) <= rel * float(expected.norm()), name


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("method", METHODS)
def test_stored_weights_are_loaded_as_the_numbers_that_they_stand_for(
    method: str, dtype: str, folder: Path
) -> None:
    settings, encode, decode, package = METHODS[method]
    if package is not None:
        pytest.importorskip(package)
    plain = fingerprint(resolve_model(str(folder)))
    stored = q.quantize_folder(folder, settings, encode)
    loaded = load_model(str(folder), dtype=dtype)
    precision = getattr(torch, dtype)
    assert_decoded(loaded.model, lambda name: decode(stored, name), torch.finfo(precision).eps)
    assert {weight.dtype for weight in loaded.model.parameters()} == {precision}
    assert all(type(m) is not nn.Linear or m.weight.ndim == 2 for m in loaded.model.modules())
    assert getattr(loaded.model.config, "quantization_config", None) is None
    assert loaded.fingerprint == fingerprint(resolve_model(str(folder))) != plain


def test_the_log_and_the_notes_say_what_was_dequantized(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert weights_notes(find_model(str(folder))) == []
    q.quantize_folder(folder, q.FP8, q.encode_fp8)
    with caplog.at_level(logging.INFO, "gradpipe"):
        load_model(str(folder))
    note = "The weights are stored in fp8; gradients are those at the dequantized weights."
    assert weights_notes(find_model(str(folder))) == [note]
    assert f"{folder}: {note}" in caplog.messages


def test_mxfp4_experts_are_loaded_as_the_numbers_that_they_stand_for(
    folder: Path, tmp_path: Path
) -> None:
    config = AutoConfig.for_model(
        "gpt_oss",
        **{"vocab_size": 256, "hidden_size": 32, "intermediate_size": 32, "head_dim": 8},
        **{"num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2},
        **{"num_local_experts": 3, "num_experts_per_tok": 2, "sliding_window": 8},
    )
    oss = tmp_path / "oss"
    AutoModelForCausalLM.from_config(config).save_pretrained(oss)
    for file in folder.glob("tokenizer*"):
        (oss / file.name).write_bytes(file.read_bytes())
    stored = load_file(oss / "model.safetensors")
    generator = torch.Generator().manual_seed(0)
    experts = [name for name in stored if name.endswith(("gate_up_proj", "down_proj"))]
    assert len(experts) == 4
    expected = {}
    for name in experts:
        count, inputs, outputs = stored.pop(name).shape
        shape = (count, outputs, inputs // 32, 16)
        blocks = torch.randint(256, shape, generator=generator, dtype=torch.uint8)
        scales = torch.randint(119, 124, shape[:3], generator=generator, dtype=torch.uint8)
        stored |= {f"{name}_blocks": blocks, f"{name}_scales": scales}
        # The file has one row per output, the model one per input.
        expected[name] = q.decode_mxfp4(blocks, scales).transpose(1, 2)
    save_file(stored, oss / "model.safetensors", metadata={"format": "pt"})
    configure(oss, quantization_config={"quant_method": "mxfp4"})
    loaded = load_model(str(oss))
    found = dict(loaded.model.named_parameters())
    for name, values in expected.items():
        assert torch.equal(found[name].double(), values)
    assert {weight.dtype for weight in found.values()} == {torch.float32}


@pytest.mark.parametrize("kind", ["nf4", "fp4", "8-bit"])
def test_weights_of_bitsandbytes_are_loaded_as_the_numbers_that_they_stand_for(
    kind: str, folder: Path, tmp_path: Path
) -> None:
    pytest.importorskip("bitsandbytes")
    stored = save_bitsandbytes(folder, tmp_path / "quantized", kind)

    def decode(name: str) -> Tensor:
        codes = stored[name]
        if kind == "8-bit":
            scales = stored[f"{name.removesuffix('weight')}SCB"]
            return codes.double() * scales.double()[:, None] / 127
        table, scales = stored[f"{name}.quant_map"].tolist(), stored[f"{name}.absmax"].tolist()
        # The first of two numbers is in a byte's high bits; a scale is shared by 64 numbers.
        codes_in_order = [code for byte in codes.flatten().tolist() for code in divmod(byte, 16)]
        values = [table[code] * scales[place // 64] for place, code in enumerate(codes_in_order)]
        return torch.tensor(values).view(shapes[name])

    shapes = {name: weight.shape for name, weight in plain_weights(folder).items()}
    loaded = load_model(str(tmp_path / "quantized"))
    assert_decoded(loaded.model, decode, 1e-6)
    assert getattr(loaded.model.config, "quantization_config", None) is None
    [note] = weights_notes(find_model(str(tmp_path / "quantized")))
    assert f"bitsandbytes ({'8-bit' if kind == '8-bit' else f'4-bit {kind}'})" in note


def plain_weights(folder: Path) -> dict[str, Tensor]:
    return dict(load_file(folder / "model.safetensors"))


def bitsandbytes_settings(kind: str) -> BitsAndBytesConfig:
    if kind == "8-bit":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type=kind)


def save_bitsandbytes(folder: Path, place: Path, kind: str) -> dict[str, Tensor]:
    """Quantize a model by bitsandbytes itself, and return what it stored."""
    settings = bitsandbytes_settings(kind)
    model = AutoModelForCausalLM.from_pretrained(
        folder, quantization_config=settings, dtype=torch.float32
    )
    model.save_pretrained(place)
    for file in folder.glob("tokenizer*"):
        (place / file.name).write_bytes(file.read_bytes())
    return dict(load_file(place / "model.safetensors"))


def test_a_packed_layer_becomes_a_plain_one_with_its_bias() -> None:
    """The layers of gptqmodel, which is not installed here, have the weight as [d_in, d_out]."""
    weight, bias = torch.randn(6, 4), torch.randn(4)
    packed = SimpleNamespace(dequantize_weight=weight.half, bias=bias.half())
    layer = plain_layer(packed, torch.float32)
    assert torch.equal(layer.weight, weight.half().float().T)
    assert torch.equal(layer.bias, bias.half().float())
    x = torch.randn(3, 6)
    assert torch.allclose(layer(x), x @ weight + bias, atol=1e-2)


@pytest.mark.parametrize(
    ("method", "packages"),
    [
        ("gptq", "optimum and gptqmodel, which dequantizes them, is not installed"),
        ("awq", "gptqmodel, which dequantizes them, is not installed: pip install gptqmodel"),
        ("bitsandbytes", "and bitsandbytes, .*pip install bitsandbytes"),
        ("compressed-tensors", "pip install compressed-tensors"),
        ("quip", "no library that gradpipe uses dequantizes them: use the model that it was made"),
        ("fbgemm_fp8", "no library that gradpipe uses"),
    ],
)
def test_what_cannot_be_dequantized_here_is_refused_before_its_weights_are_read(
    method: str, packages: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("optimum", "gptqmodel", "bitsandbytes", "compressed_tensors"):
        monkeypatch.setitem(sys.modules, name, None)
    configure(folder, quantization_config={"quant_method": method, "bits": 4})
    (folder / "model.safetensors").write_bytes(b"never read")
    with pytest.raises(
        ModelError,
        match=rf"quantized \({method}\).*{packages}" if method != "bitsandbytes" else packages,
    ):
        load_model(str(folder))
