"""Gradients of adapted models: at the merged weights, and at an adapter's factors."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from gradpipe.errors import ModelError
from gradpipe.gradients.extract import extract_rows
from gradpipe.gradients.protocol import make_protocol
from gradpipe.gradients.tokens import TokenRow
from gradpipe.models.load import LoadedModel
from gradpipe.models.refusals import refuse_model
from tests.adapted_models import ATTENTION, KINDS, adapted
from tests.gradients.conftest import combinations
from tests.gradients.twins import naive

Make = Callable[..., Any]
Rows = Callable[..., list[TokenRow]]
QKVO = ("q", "k", "v", "o")
GATED = (*QKVO, "gate", "up", "down")
MLP = ["gate_proj", "up_proj", "down_proj"]
#: By family: which projections are measured, and which layers an adapter changes.
TARGETS: dict[str, tuple[tuple[str, ...], list[str]]] = {
    "llama": (GATED, [*ATTENTION, *MLP]),
    "llama tied": (GATED, ["q_proj", "v_proj", "down_proj"]),
    "gpt2": ((*QKVO, "up", "down"), ["c_attn", "c_proj", "c_fc"]),
    "phi3": (GATED, ["qkv_proj", "o_proj", "gate_up_proj"]),
    "gpt_neox": ((*QKVO, "up", "down"), ["query_key_value", "dense_4h_to_h"]),
}
#: Its magnitudes lie along another side of a transposed weight, and across parts of a fused one.
DORA = (("gpt2", "dora"), ("phi3", "dora"))


def spectra(
    model: Any, rows: list[TokenRow], projections: tuple[str, ...], **settings: Any
) -> list[dict[tuple[int, str], np.ndarray]]:
    """The singular values of each row's gradients, by layer and projection."""
    loaded = LoadedModel(
        name="tiny",
        fingerprint="",
        model=model,
        tokenizer=None,  # type: ignore[arg-type]
        device="cpu",
        **settings,
    )
    protocol = make_protocol(projections=projections)
    table = pl.concat(list(extract_rows(loaded, rows, protocol))).sort("row")
    assert table["reason"].to_list() == [None] * len(rows)
    return [
        {(m["layer"], m["projection"]): np.array(m["singular_values"]) for m in matrices}
        for matrices in table["matrices"].to_list()
    ]


def assert_same(found: dict[Any, np.ndarray], expected: dict[Any, Any], rel: float = 2e-7) -> None:
    """Equal up to the float32 in which rows are kept."""
    assert found.keys() == expected.keys()
    for place, values in expected.items():
        width = max(len(values), len(found[place]))
        some, others = (np.pad(each, (0, width - len(each))) for each in (found[place], values))
        assert np.abs(some - others).max() <= rel * others.max(), place


@pytest.mark.parametrize(("family", "kind"), combinations(TARGETS, KINDS, DORA))
def test_a_wrapped_model_has_the_gradients_of_its_merged_weights(
    family: str, kind: str, make_model: Make, make_rows: Rows
) -> None:
    projections, targets = TARGETS[family]
    wrapped = adapted(make_model(family, torch.float64), targets, **KINDS[kind])
    weights = deepcopy(wrapped.state_dict())
    rows = make_rows((5, 2), (40, 23))
    found = spectra(wrapped, rows, projections)
    assert all(torch.equal(value, weights[name]) for name, value in wrapped.state_dict().items())
    merged = deepcopy(wrapped).merge_and_unload()
    for row, values in zip(rows, found, strict=True):
        assert_same(values, naive(merged, row, projections)[1])


def factor_gradients(wrapped: Any, row: TokenRow) -> dict[str, np.ndarray]:
    """The singular values of the gradients at every A and B, by path: ordinary autograd."""
    factors = {
        name: parameter
        for name, parameter in wrapped.named_parameters()
        if "lora_A." in name or "lora_B." in name
    }
    for parameter in factors.values():
        parameter.requires_grad_(True)
    positions = torch.tensor(row.positions)
    logits = wrapped(input_ids=torch.tensor([row.ids])).logits[0]
    loss = torch.nn.functional.cross_entropy(
        logits[positions - 1], torch.tensor(row.ids)[positions]
    )
    gradients = torch.autograd.grad(loss, list(factors.values()))
    return {
        name: torch.linalg.svdvals(gradient).numpy()
        for name, gradient in zip(factors, gradients, strict=True)
    }


#: Where the factors of each projection are, in layer ``{}``.
PATHS = {
    "llama": {
        **{role: f"model.layers.{{}}.self_attn.{role}_proj" for role in QKVO},
        **{role: f"model.layers.{{}}.mlp.{role}_proj" for role in ("gate", "up", "down")},
    },
    "gpt2": {
        "qkv": "transformer.h.{}.attn.c_attn",
        "o": "transformer.h.{}.attn.c_proj",
        "up": "transformer.h.{}.mlp.c_fc",
        "down": "transformer.h.{}.mlp.c_proj",
    },
    "phi3": {
        "qkv": "model.layers.{}.self_attn.qkv_proj",
        "o": "model.layers.{}.self_attn.o_proj",
        "gate_up": "model.layers.{}.mlp.gate_up_proj",
    },
}


@pytest.mark.parametrize(("family", "kind"), combinations(PATHS, KINDS, DORA))
def test_the_gradients_at_an_adapters_factors_are_those_of_autograd(
    family: str, kind: str, make_model: Make, make_rows: Rows
) -> None:
    projections, targets = TARGETS[family]
    wrapped = adapted(make_model(family, torch.float64), targets, **KINDS[kind])
    rows = make_rows((5, 2), (40, 23))
    found = spectra(wrapped, rows, projections, adapter="factors")
    for row, values in zip(rows, found, strict=True):
        twins = factor_gradients(wrapped, row)
        expected = {
            (layer, f"{role}_lora_{factor.lower()}"): twins[
                f"base_model.model.{path.format(layer)}.lora_{factor}.default.weight"
            ]
            for layer in range(wrapped.config.num_hidden_layers)
            for role, path in PATHS[family].items()
            for factor in "AB"
        }
        assert_same(values, expected)


def test_layers_and_projections_without_an_adapter_have_no_factors(
    make_model: Make, make_rows: Rows
) -> None:
    model = make_model("llama", torch.float64)
    wrapped = adapted(model, ["q_proj"], layers_to_transform=[0, 2])
    [found] = spectra(wrapped, make_rows((9, 3)), QKVO, adapter="factors")
    assert set(found) == {(n, f"q_lora_{factor}") for n in (0, 2) for factor in "ab"}
    with pytest.raises(ModelError, match="has no factors at up: name the projections that it"):
        spectra(wrapped, make_rows((9, 3)), ("up",), adapter="factors")


def test_gradient_checkpointing_changes_neither_reading(make_model: Make, make_rows: Rows) -> None:
    wrapped = adapted(make_model("llama", torch.float64), ATTENTION, use_dora=True)
    rows = make_rows((12, 5))
    for adapter in ("merged", "factors"):
        [plain] = spectra(wrapped, rows, QKVO, adapter=adapter)
        [again] = spectra(wrapped, rows, QKVO, adapter=adapter, checkpointing=True)
        assert_same(again, plain)


def test_a_model_that_an_adapter_extends_in_place_is_measured_too(
    make_model: Make, make_rows: Rows
) -> None:
    """transformers' own add_adapter leaves no PeftModel around the model."""
    wrapped = adapted(make_model("llama", torch.float64), ATTENTION)
    [shell] = spectra(wrapped, make_rows((9, 3)), QKVO)
    [inner] = spectra(wrapped.get_base_model(), make_rows((9, 3)), QKVO)
    assert_same(inner, shell)


@pytest.mark.parametrize("saved", ["lm_head", "embed_tokens", "o_proj", "mlp"])
def test_modules_that_were_trained_whole_count_as_trained(
    saved: str, make_model: Make, make_rows: Rows
) -> None:
    wrapped = adapted(make_model("llama", torch.float64), ["q_proj"], modules_to_save=[saved])
    [row] = rows = make_rows((20, 9))
    [found] = spectra(wrapped, rows, GATED)
    assert_same(found, naive(deepcopy(wrapped).merge_and_unload(), row, GATED)[1])


def test_embeddings_and_the_head_may_have_an_adapter(make_model: Make, make_rows: Rows) -> None:
    wrapped = adapted(make_model("llama", torch.float64), ["q_proj", "embed_tokens", "lm_head"])
    [row] = rows = make_rows((20, 9))
    [found] = spectra(wrapped, rows, QKVO)
    assert_same(found, naive(deepcopy(wrapped).merge_and_unload(), row)[1])


def test_several_active_adapters_act_together_and_have_no_single_pair_of_factors(
    make_model: Make, make_rows: Rows
) -> None:
    wrapped = adapted(make_model("llama", torch.float64), ATTENTION)
    wrapped.add_adapter("other", wrapped.peft_config["default"])
    wrapped.base_model.set_adapter(["default", "other"])
    [row] = rows = make_rows((20, 9))
    [found] = spectra(wrapped, rows, QKVO)
    assert_same(found, naive(deepcopy(wrapped).merge_and_unload(), row)[1])
    with pytest.raises(ModelError, match=r"several active adapters \(default, other\): activate"):
        spectra(wrapped, rows, QKVO, adapter="factors")


def test_a_disabled_adapter_leaves_the_base(make_model: Make, make_rows: Rows) -> None:
    base = make_model("llama", torch.float64)
    wrapped = adapted(deepcopy(base), ATTENTION)
    [row] = rows = make_rows((20, 9))
    with wrapped.disable_adapter():
        [found] = spectra(wrapped, rows, QKVO)
        with pytest.raises(ModelError, match="disabled, inactive or merged: activate it"):
            spectra(wrapped, rows, QKVO, adapter="factors")
    assert_same(found, naive(base, row)[1])


def test_a_base_of_4_bits_in_memory_has_the_gradients_of_its_dequantized_weights(
    make_model: Make, make_rows: Rows, tmp_path: Path
) -> None:
    """On a CPU, bitsandbytes multiplies in bfloat16: hence the tolerance."""
    pytest.importorskip("bitsandbytes")
    make_model("llama", hidden_size=64, intermediate_size=128).save_pretrained(tmp_path)
    settings = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4")
    base = AutoModelForCausalLM.from_pretrained(
        tmp_path, quantization_config=settings, dtype=torch.float32
    )
    wrapped = adapted(base, [*ATTENTION, *MLP])
    refuse_model("tiny", wrapped)
    [row] = rows = make_rows((20, 9))
    [found] = spectra(wrapped, rows, GATED)
    [factors] = spectra(wrapped, rows, GATED, adapter="factors")
    plain = AutoModelForCausalLM.from_pretrained(
        tmp_path, quantization_config=settings, dtype=torch.float32
    ).dequantize(torch.float32)
    twin = adapted(plain, [*ATTENTION, *MLP])
    [expected] = spectra(twin, rows, GATED, adapter="factors")
    assert_same(factors, expected, 0.03)
    assert_same(found, naive(twin.merge_and_unload(), row, GATED)[1], 0.03)
