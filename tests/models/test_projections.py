"""Projections are found by what a model looks like, not by what it is called."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM

from gradpipe.errors import ModelError
from gradpipe.models.layouts import OutputColumns
from gradpipe.models.projections import Projection, find_gaps, find_projections

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
        assert projection.columns.whole


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
    assert o.columns.whole
    columns = torch.arange(sum(widths))
    for projection, expected in zip((q, k, v), columns.split(widths), strict=True):
        assert torch.equal(projection.columns.take(columns), expected)


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


def test_a_layer_whose_projections_cannot_be_told_is_refused_with_its_linear_layers() -> None:
    model = nn.ModuleDict({"layers": nn.ModuleList([block(("alpha", "beta", "gamma"))])})
    with pytest.raises(ModelError, match=r"has no projection q, k, v, o") as refused:
        find_projections(model)
    said = str(refused.value)
    assert "mlp.up (8, 4), mlp.out (4, 8), mixer.alpha (4, 4), mixer.beta (4, 4)" in said
    assert "name them with `layer_names` in the study, as {q: attn.wq, " in said
    assert "--layer-name q=attn.wq" in said


def test_of_very_many_linear_layers_the_first_are_listed() -> None:
    names = tuple(f"part{number}" for number in range(100))
    model = nn.ModuleDict({"layers": nn.ModuleList([block(names)])})
    with pytest.raises(ModelError, match=r"mixer\.part27 \(4, 4\), 72 more: name them"):
        find_projections(model)


NAMED = {"q": "mixer.alpha", "k": "mixer.beta", "v": "mixer.gamma", "o": "mixer.delta"}


def test_layers_of_any_name_are_found_where_they_are_named() -> None:
    layers = nn.ModuleList(block(("alpha", "beta", "gamma", "delta")) for _ in range(2))
    found = find_projections(nn.ModuleDict({"layers": layers}), layer_names=NAMED)
    assert places(found) == [
        (number, name, f"layers.{number}.{NAMED[name]}") for number in range(2) for name in "qkvo"
    ]


def test_what_is_named_overrides_what_would_be_found_and_the_rest_is_found_beside() -> None:
    layers = nn.ModuleList([block(("wq", "wk", "wv", "wo", "last"))])
    model = nn.ModuleDict({"layers": layers})
    found = find_projections(model, layer_names={"o": "mixer.last"})
    assert [projection.path.rpartition(".")[2] for projection in found] == [
        "wq",
        "wk",
        "wv",
        "last",
    ]


def test_a_name_that_no_layer_has_is_answered_with_the_nearest() -> None:
    model = nn.ModuleDict({"layers": nn.ModuleList([block(("alpha", "beta", "gamma", "delta"))])})
    said = r"no linear layer 'mixer\.alhpa', as named for q: did you mean 'mixer\.alpha'"
    with pytest.raises(ModelError, match=said):
        find_projections(model, layer_names=NAMED | {"q": "mixer.alhpa"})


def test_one_layer_of_an_unknown_name_is_taken_apart_where_it_is_named_for_all() -> None:
    model = of_kind("phi3", **SMALL)
    expected = [projection.columns for projection in find_projections(model)]
    for layer in model.model.layers:
        layer.self_attn.add_module("mix", layer.self_attn.qkv_proj)
        del layer.self_attn._modules["qkv_proj"]
        type(layer.self_attn).qkv_proj = property(lambda self: self.mix)
    try:
        named = dict.fromkeys("qkv", "self_attn.mix") | {"o": "self_attn.o_proj"}
        found = find_projections(model, layer_names=named)
    finally:
        del type(model.model.layers[0].self_attn).qkv_proj
    assert [projection.columns for projection in found] == expected
    assert {p.path for p in found if p.name == "k"} == {
        f"model.layers.{number}.self_attn.mix" for number in range(2)
    }


@pytest.mark.parametrize(
    ("kind", "settings", "gate", "up", "down"),
    [
        ("llama", SMALL, "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"),
        ("phi3", SMALL, "mlp.gate_up_proj", "mlp.gate_up_proj", "mlp.down_proj"),
    ],
)
def test_gate_up_and_down_are_found_on_request(
    kind: str, settings: dict[str, Any], gate: str, up: str, down: str
) -> None:
    found = find_projections(of_kind(kind, **settings), ("gate", "up", "down", "q"))
    prefix = "model.layers.1."
    assert [p.path.removeprefix(prefix) for p in found[4:7]] == [gate, up, down]
    if gate == up:
        assert [p.columns for p in found[4:6]] == [
            OutputColumns(1, 0, 24),
            OutputColumns(1, 24, 48),
        ]


def test_an_mlp_without_a_gate_has_up_and_down() -> None:
    model = of_kind("gpt2", **GPT2)
    found = find_projections(model, ("up", "down"))
    assert [p.path for p in found[:2]] == ["transformer.h.0.mlp.c_fc", "transformer.h.0.mlp.c_proj"]
    with pytest.raises(ModelError, match="has an MLP without a gate .*: remove gate"):
        find_projections(model, ("gate", "up", "down"))


def test_the_weights_of_routed_experts_are_refused_and_the_attention_beside_them_is_not() -> None:
    layer = block(("wq", "wk", "wv", "wo"))
    assert isinstance(layer, nn.ModuleDict)
    layer["experts"] = nn.ModuleList(
        nn.ModuleDict({"w1": nn.Linear(4, 6), "w2": nn.Linear(6, 4), "w3": nn.Linear(4, 6)})
        for _ in range(3)
    )
    model = nn.ModuleDict({"layers": nn.ModuleList([layer])})
    assert len(find_projections(model)) == 4
    with pytest.raises(ModelError, match=r"a few of its experts \(experts\).*remove up, down"):
        find_projections(model, ("q", "up", "down"))


def test_experts_are_no_decoder_layers_however_many_there_are() -> None:
    layer = block(("wq", "wk", "wv", "wo"))
    assert isinstance(layer, nn.ModuleDict)
    layer["experts"] = nn.ModuleList(nn.ModuleDict({"up": nn.Linear(4, 4)}) for _ in range(9))
    found = find_projections(nn.ModuleDict({"layers": nn.ModuleList([layer])}))
    assert {projection.path.split(".")[0] for projection in found} == {"layers"}


def test_of_two_towers_the_one_of_the_configured_depth_is_the_decoder() -> None:
    whole = ("wq", "wk", "wv", "wo")
    model: Any = nn.ModuleDict(
        {
            "vision": nn.ModuleList(block(whole) for _ in range(5)),
            "text": nn.ModuleList(block(whole) for _ in range(3)),
        }
    )
    assert len(find_projections(model)) == 20
    text = SimpleNamespace(num_hidden_layers=3)
    model.config = SimpleNamespace(get_text_config=lambda: text)
    assert {p.path.split(".")[0] for p in find_projections(model)} == {"text"}


def test_a_layer_unlike_the_others_has_gaps_where_it_lacks_a_role() -> None:
    whole, part, none = ("wq", "wk", "wv", "wo"), ("wq", "wk"), ("alpha",)
    layers = nn.ModuleList([block(none), block(whole), block(part)])
    model = nn.ModuleDict({"layers": layers})
    found = find_projections(model)
    assert [(p.layer, p.name) for p in found] == [(1, name) for name in "qkvo"] + [
        (2, "q"),
        (2, "k"),
    ]
    gaps = [(0, name) for name in "qkvo"] + [(2, "v"), (2, "o")]
    assert find_gaps(model, found, ("q", "k", "v", "o")) == gaps


def test_a_role_that_no_layer_has_is_refused_however_many_have_the_others() -> None:
    layers = nn.ModuleList([block(("wq", "wk", "wo")), block(("wq", "wk", "wo"))])
    with pytest.raises(ModelError, match=r"Layer 0 \(layers\.0\) has no projection v under"):
        find_projections(nn.ModuleDict({"layers": layers}))


def test_a_named_layer_may_be_missing_in_some_layers_but_not_in_all() -> None:
    layers = nn.ModuleList([block(("other",)), block(("alpha", "beta", "gamma", "delta"))])
    model = nn.ModuleDict({"layers": layers})
    found = find_projections(model, layer_names=NAMED)
    assert [(p.layer, p.name) for p in found] == [(1, name) for name in "qkvo"]
    with pytest.raises(ModelError, match="no linear layer 'mixer.epsilon', as named for q"):
        find_projections(model, layer_names=NAMED | {"q": "mixer.epsilon"})


def test_the_text_decoder_is_chosen_where_a_model_names_it() -> None:
    whole = ("wq", "wk", "wv", "wo")
    parts = {
        "vision": nn.ModuleList(block(whole) for _ in range(3)),
        "text": nn.ModuleDict({"stack": nn.ModuleList(block(whole) for _ in range(3))}),
    }
    model: Any = nn.ModuleDict(parts)
    model.get_decoder = lambda: model["text"]
    assert {p.path.split(".")[0] for p in find_projections(model)} == {"text"}


def test_an_encoder_is_refused() -> None:
    layer = block(("wq", "wk", "wv", "wo"))
    layer.is_decoder = False  # type: ignore[assignment]
    with pytest.raises(ModelError, match="attend to later tokens"):
        find_projections(nn.ModuleDict({"layers": nn.ModuleList([layer])}))


LATENT = {
    **{"vocab_size": 40, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2},
    **{"moe_intermediate_size": 8, "num_attention_heads": 4, "num_key_value_heads": 4},
    **{"n_routed_experts": 4, "num_experts_per_tok": 2, "n_group": 2, "topk_group": 1},
    **{"n_shared_experts": 1, "first_k_dense_replace": 1, "kv_lora_rank": 8, "q_lora_rank": 8},
    **{"qk_rope_head_dim": 4, "qk_nope_head_dim": 4, "v_head_dim": 4, "pad_token_id": 0},
}


@pytest.mark.parametrize("named", [None, {"o": "self_attn.o_proj"}], ids=["found", "named"])
def test_of_an_attention_without_separate_q_k_and_v_the_output_is_found_alone(
    named: dict[str, str] | None,
) -> None:
    found = find_projections(of_kind("deepseek_v3", **LATENT), ("o",), named)
    assert places(found) == [(n, "o", f"model.layers.{n}.self_attn.o_proj") for n in range(2)]


def test_keys_and_values_are_split_when_nothing_else_is_requested_or_named() -> None:
    model = of_kind("deepseek_v3", **LATENT)
    pair = dict.fromkeys("kv", "self_attn.kv_b_proj")
    whole = pair | {"q": "self_attn.q_b_proj", "o": "self_attn.o_proj"}
    expected = find_projections(model, ("k", "v"), whole)
    found = find_projections(model, ("k", "v"), pair)
    assert [p.columns for p in found] == [p.columns for p in expected]
    assert not any(p.columns.whole for p in found)


def test_a_layer_of_several_roles_cannot_be_split_without_the_layer_that_reads_it() -> None:
    layers = nn.ModuleList([block(("alpha", "beta"))])
    named = dict.fromkeys("qkv", "mixer.alpha")
    with pytest.raises(ModelError, match=r"holds q, k, v, and .*: name it for o in `layer_names`"):
        find_projections(nn.ModuleDict({"layers": layers}), ("q", "k", "v"), named)


def test_an_output_of_another_block_is_not_taken_for_that_of_an_attention() -> None:
    layers = nn.ModuleList([block(("in_proj", "x_proj", "out_proj"))])
    with pytest.raises(ModelError, match="has no projection o"):
        find_projections(nn.ModuleDict({"layers": layers}), ("o",))


def test_of_two_attentions_without_separate_q_k_and_v_none_is_chosen() -> None:
    layer = block(("q_a_proj", "kv_b_proj", "o_proj"))
    assert isinstance(layer, nn.ModuleDict)
    layer["cross"] = nn.ModuleDict({"q_a_proj": nn.Linear(4, 4), "o_proj": nn.Linear(4, 4)})
    model = nn.ModuleDict({"layers": nn.ModuleList([layer])})
    with pytest.raises(ModelError, match="has no projection o"):
        find_projections(model, ("o",))
    found = find_projections(model, ("o",), {"o": "mixer.o_proj"})
    assert [p.path for p in found] == ["layers.0.mixer.o_proj"]


@pytest.mark.parametrize(
    "model",
    [nn.Linear(2, 2), nn.ModuleList(), nn.ModuleDict({"layers": nn.ModuleList()})],
    ids=["a linear layer", "an empty list", "a model with an empty list"],
)
def test_a_model_without_layers_is_refused(model: nn.Module) -> None:
    with pytest.raises(ModelError, match="no list of layers"):
        find_projections(model)
