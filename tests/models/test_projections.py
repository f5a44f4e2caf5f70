"""Projections are found by what a model looks like, not by what it is called."""

import re
from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM

from gradpipe.errors import ModelError
from gradpipe.models.projections import Projection, find_projections

SMALL = {
    "vocab_size": 40,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
GPT2 = {"vocab_size": 40, "n_embd": 16, "n_layer": 2, "n_head": 4, "bos_token_id": 1}
GPT2["eos_token_id"] = 2


def of_kind(kind: str, **settings: Any) -> Any:
    return AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **settings))


def block(names: tuple[str, ...], inner: str = "mixer") -> nn.Module:
    """A layer whose attention's linear layers have these names, beside an MLP."""
    attention = nn.ModuleDict({name: nn.Linear(4, 4) for name in names})
    mlp = nn.ModuleDict({"up": nn.Linear(4, 8), "out": nn.Linear(8, 4)})
    return nn.ModuleDict({"mlp": mlp, inner: attention, "norm": nn.LayerNorm(4)})


def places(found: list[Projection]) -> list[tuple[int, str, str]]:
    return [(projection.layer, projection.name, projection.path) for projection in found]


def test_separate_projections_are_found_in_layer_order() -> None:
    model = of_kind("llama", **SMALL)
    found = find_projections(model)
    assert places(found) == [
        (layer, name, f"model.layers.{layer}.self_attn.{name}_proj")
        for layer in range(2)
        for name in "qkvo"
    ]
    for projection in found:
        assert projection.module is model.get_submodule(projection.path)
        assert projection.outputs == slice(None)


def test_only_the_names_asked_for_are_found_in_the_order_asked() -> None:
    found = find_projections(of_kind("llama", **SMALL), ("o", "q"))
    assert [projection.name for projection in found] == ["o", "q", "o", "q"]


@pytest.mark.parametrize(
    ("kind", "settings", "fused", "output", "widths"),
    [
        ("phi3", SMALL, "self_attn.qkv_proj", "self_attn.o_proj", (16, 8, 8)),
        ("gpt2", GPT2, "attn.c_attn", "attn.c_proj", (16, 16, 16)),
    ],
)
def test_fused_projections_are_slices_of_one_layer(
    kind: str, settings: dict[str, Any], fused: str, output: str, widths: tuple[int, int, int]
) -> None:
    found = find_projections(of_kind(kind, **settings))
    q, k, v, o = found[4:]
    assert all(projection.path.endswith(f".1.{fused}") for projection in (q, k, v))
    assert o.path.endswith(f".1.{output}")
    assert o.outputs == slice(None)
    columns = torch.arange(sum(widths))
    for projection, expected in zip((q, k, v), columns.split(widths), strict=True):
        assert torch.equal(columns[projection.outputs], expected)


@pytest.mark.parametrize(
    "names",
    [("wq", "wk", "wv", "wo"), ("WO", "WV", "WK", "WQ"), ("query", "key", "value", "dense")],
    ids=" ".join,
)
def test_a_made_up_decoder_is_found_by_its_names(names: tuple[str, ...]) -> None:
    model = nn.ModuleDict({"stack": nn.ModuleList(block(names) for _ in range(3))})
    found = find_projections(model)
    assert len(found) == 12
    assert {projection.path.rpartition(".")[0] for projection in found} == {
        f"stack.{layer}.mixer" for layer in range(3)
    }
    initial = {"q": "q", "k": "k", "v": "v", "o": "do"}
    for projection in found:
        name = projection.path.rpartition(".")[2].lower().removeprefix("w")
        assert name[0] in initial[projection.name]


def test_a_mixture_of_more_experts_than_layers_is_not_taken_for_the_layers() -> None:
    layers = nn.ModuleList(block(("wq", "wk", "wv", "wo")) for _ in range(4))
    for layer in layers:
        assert isinstance(layer, nn.ModuleDict)
        experts = nn.ModuleList(nn.ModuleDict({"up": nn.Linear(4, 4)}) for _ in range(4))
        layer["experts"] = experts
    found = find_projections(nn.ModuleDict({"layers": layers}))
    assert {projection.path.split(".")[0] for projection in found} == {"layers"}
    assert len(found) == 16


@pytest.mark.parametrize("kind", ["gpt_neox", "falcon"])
def test_a_layer_that_cannot_be_taken_apart_is_refused_with_its_linear_layers(kind: str) -> None:
    with pytest.raises(ModelError, match=r"has no projection q, k, v, o") as refused:
        find_projections(of_kind(kind, **SMALL))
    assert re.search(r"query_key_value \(\d+, 16\)", str(refused.value))
    assert re.search(r"dense \(16, 16\)", str(refused.value))


def test_a_layer_unlike_the_others_is_refused_by_its_number() -> None:
    whole, part = ("wq", "wk", "wv", "wo"), ("wq", "wk")
    model = nn.ModuleDict({"layers": nn.ModuleList([block(whole), block(part)])})
    with pytest.raises(ModelError, match=r"Layer 1 \(layers\.1\) has no projection"):
        find_projections(model)


@pytest.mark.parametrize(
    "model",
    [nn.Linear(2, 2), nn.ModuleList(), nn.ModuleDict({"layers": nn.ModuleList()})],
    ids=["a linear layer", "an empty list", "a model with an empty list"],
)
def test_a_model_without_layers_is_refused(model: nn.Module) -> None:
    with pytest.raises(ModelError, match="no list of layers"):
        find_projections(model)
