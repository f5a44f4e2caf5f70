"""Latent attention: the factors have roles of their own, and the composed maps read the input."""

from types import SimpleNamespace
from typing import Any

import pytest
from torch import nn

from gradpipe.errors import ModelError
from gradpipe.models.latent_attention import columns_by_head, inner_place, latent_places
from gradpipe.models.layouts import OutputColumns
from gradpipe.models.places import linear_layers
from gradpipe.models.projections import find_projections
from tests.families.tiny import make, small_config

FACTORS = {"q_a_proj": 3, "q_b_proj": 3, "kv_a_proj_with_mqa": 3, "kv_b_proj": 3, "o_proj": 3}


def attention(*left_out: str, **added: nn.Module) -> nn.Module:
    layers = {name: nn.Linear(3, size) for name, size in FACTORS.items() if name not in left_out}
    return nn.ModuleDict({"self_attn": nn.ModuleDict({**layers, **added})})


def test_composed_projections_are_at_the_outer_factors() -> None:
    places = latent_places(linear_layers(attention()))
    assert places["q"] == places["q_b"] == "self_attn.q_b_proj"
    assert places["k"] == places["v"] == places["kv_b"] == "self_attn.kv_b_proj"
    assert places["o"] == "self_attn.o_proj"
    assert inner_place("q", places) == "self_attn.q_a_proj"
    assert inner_place("v", places) == "self_attn.kv_a_proj_with_mqa"
    assert inner_place("o", places) is None
    assert inner_place("q_b", places) is None


def test_queries_without_factors_are_a_weight_of_their_own() -> None:
    places = latent_places(linear_layers(attention("q_a_proj", "q_b_proj", q_proj=nn.Linear(3, 4))))
    assert places["q"] == "self_attn.q_proj"
    assert inner_place("q", places) is None
    assert not {"q_a", "q_b"} & set(places)


def test_an_attention_without_factors_is_not_latent() -> None:
    layers = {name: nn.Linear(3, 3) for name in ("q_proj", "k_proj", "v_proj", "o_proj")}
    assert latent_places(linear_layers(nn.ModuleDict(layers))) == {}


def test_an_indexer_beside_the_attention_is_not_taken_for_it() -> None:
    indexer = nn.ModuleDict({"wq_b": nn.Linear(3, 5), "wk": nn.Linear(3, 5)})
    places = latent_places(linear_layers(attention(indexer=indexer)))
    assert not any("indexer" in place for place in places.values())


def test_each_head_has_its_keys_and_then_its_values() -> None:
    sizes: Any = SimpleNamespace(qk_nope_head_dim=8, v_head_dim=6)
    assert columns_by_head(sizes, 28) == {"k": OutputColumns(2, 0, 8), "v": OutputColumns(2, 8, 14)}
    assert columns_by_head(sizes, 30) is None
    assert columns_by_head(SimpleNamespace(v_head_dim=6), 28) is None


def test_observed_columns_are_those_that_the_configuration_says() -> None:
    model = make(small_config("deepseek_v3"))
    found = {p.name: p.columns for p in find_projections(model, ("k", "v")) if p.layer == 0}
    kv_b = model.model.layers[0].self_attn.kv_b_proj
    expected = columns_by_head(model.model.layers[0].self_attn, kv_b.weight.shape[0])
    assert found == expected


def test_factors_of_another_attention_are_refused_in_a_sentence() -> None:
    model = make(small_config("llama"))
    with pytest.raises(ModelError, match="has no q_a, kv_b, which only a latent attention has"):
        find_projections(model, ("q", "q_a", "kv_b"))
    with pytest.raises(ModelError, match="Only encoder-decoders .*: remove cross_q from"):
        find_projections(model, ("q", "cross_q"))


def test_named_places_are_measured_as_they_are_named() -> None:
    model = make(small_config("deepseek_v3"))
    found = find_projections(model, ("q", "k"), {"q": "self_attn.q_b_proj"})
    assert {p.name: p.reads is None for p in found} == {"q": True, "k": False}
