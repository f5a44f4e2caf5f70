"""Models that mix softmax attention with other layers: which layers have which projections."""

import logging
from types import SimpleNamespace
from typing import Any

import pytest
from transformers import AutoConfig, AutoModelForCausalLM

from gradpipe.errors import ModelError
from gradpipe.models.layer_types import layer_types
from gradpipe.models.projections import find_projections

SIZES: dict[str, Any] = {
    **{"vocab_size": 64, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 4},
    **{"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8},
    **{"linear_num_key_heads": 2, "linear_num_value_heads": 2},
    **{"linear_key_head_dim": 8, "linear_value_head_dim": 8},
}
EXPERTS = {
    **{"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16},
    "shared_expert_intermediate_size": 16,
}
LINEAR, FULL = "linear_attention", "full_attention"


def of_types(types: list[str] | None) -> Any:
    text = SimpleNamespace(layer_types=types)
    return SimpleNamespace(config=SimpleNamespace(get_text_config=lambda: text))


def make(family: str, **settings: Any) -> Any:
    settings = SIZES | {"pad_token_id": 0} | settings
    return AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **settings))


@pytest.mark.parametrize(
    "types",
    [
        None,
        [FULL] * 4,
        [FULL, "sliding_attention"] * 2,
        [LINEAR] * 4,
        ["hybrid"] * 4,
        [LINEAR, FULL],
    ],
    ids=["none", "one type", "both softmax", "no softmax", "both in a layer", "other depth"],
)
def test_layers_of_a_model_that_mixes_no_types_have_none(types: list[str] | None) -> None:
    assert layer_types(of_types(types), 4) == [None] * 4
    assert layer_types(SimpleNamespace(), 4) == [None] * 4


def test_all_kinds_of_softmax_attention_are_one_type() -> None:
    types = [LINEAR, "sliding_attention", FULL, "conv"]
    assert layer_types(of_types(types), 4) == [LINEAR, "attention", "attention", "conv"]


def test_layers_without_an_attention_are_left_out_and_keep_their_numbers(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    model = make("qwen3_next", layer_types=[LINEAR, FULL, LINEAR, FULL], **EXPERTS)
    found = find_projections(model)
    assert [(p.layer, p.name) for p in found] == [(n, name) for n in (1, 3) for name in "qkvo"]
    assert {p.layer_type for p in found} == {"attention"}
    [record] = caplog.records
    assert record.args == (2, 4, "q, k, v, o", "0, 2")
    named = find_projections(model, layer_names={"q": "self_attn.q_proj"})
    assert [p.path for p in named] == [p.path for p in found]


def test_an_mlp_is_in_every_layer_and_has_no_type() -> None:
    model = make("qwen3_5_text", layer_types=[LINEAR, FULL, LINEAR, FULL])
    found = find_projections(model, ("q", "up"))
    assert [(p.layer, p.name, p.layer_type) for p in found] == [
        (0, "up", None),
        (1, "q", "attention"),
        (1, "up", None),
        (2, "up", None),
        (3, "q", "attention"),
        (3, "up", None),
    ]


def test_a_linear_attention_of_the_same_names_has_its_own_type() -> None:
    model = make("olmo_hybrid", layer_types=[LINEAR, LINEAR, FULL, LINEAR])
    types = {p.layer: p.layer_type for p in find_projections(model)}
    assert types == {0: LINEAR, 1: LINEAR, 2: "attention", 3: LINEAR}


def test_a_softmax_attention_that_cannot_be_found_is_refused_all_the_same() -> None:
    model = make("qwen3_next", layer_types=[LINEAR, FULL, LINEAR, FULL], **EXPERTS)
    attention = model.model.layers[3].self_attn
    attention.strange = attention.q_proj
    del attention.q_proj
    with pytest.raises(ModelError, match=r"Layer 3 .* no projection"):
        find_projections(model)
