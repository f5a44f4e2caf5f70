"""A model's shape is known from its configuration, its name or its widths."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from gradpipe.errors import ModelError
from gradpipe.estimates.configurations import read_shape
from gradpipe.estimates.model_shape import KNOWN, config_shape, shape_of

SMALL = {"vocab_size": 300, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3}
HEADS = {"num_attention_heads": 4, "num_key_value_heads": 2}


@pytest.mark.parametrize(
    ("family", "settings"),
    [
        ("llama", SMALL | HEADS),
        ("qwen2", SMALL | HEADS | {"tie_word_embeddings": True}),
        ("gemma2", SMALL | HEADS | {"head_dim": 32}),
        ("phi", SMALL | HEADS),
        ("opt", SMALL | {"num_attention_heads": 4, "ffn_dim": 96, "word_embed_proj_dim": 64}),
        ("gpt2", {"vocab_size": 300, "n_embd": 64, "n_layer": 3, "n_head": 4, "n_positions": 32}),
        ("mixtral", SMALL | HEADS | {"num_local_experts": 4, "num_experts_per_tok": 2}),
        ("qwen3_moe", SMALL | HEADS | {"num_experts": 4, "moe_intermediate_size": 48}),
    ],
)
def test_a_configuration_gives_the_number_of_weights(family: str, settings: dict[str, Any]) -> None:
    config = AutoConfig.for_model(family, **settings)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    # Norms, biases and learnt positions are not counted.
    matrices = {
        id(weight): weight.numel()
        for name, weight in model.named_parameters()
        if weight.dim() > 1 and not any(word in name for word in ("wpe", "embed_positions"))
    }
    assert config_shape(config).weights == sum(matrices.values())


def test_known_models_have_the_number_of_weights_in_their_names() -> None:
    billions = {name: round(shape.weights / 1e9, 2) for name, shape in KNOWN.items()}
    assert billions == {
        "smollm2-135m": 0.13,
        "qwen2-1.5b": 1.54,
        "gemma-2-2b": 2.61,
        "gemma-2-9b": 9.24,
        "llama-2-7b": 6.74,
        "llama-3.1-8b": 8.03,
        "llama-3.1-70b": 70.55,
        "mixtral-8x7b": 46.7,
    }


def test_a_shape_is_given_by_name_by_folder_or_by_dimensions(small_model: Path) -> None:
    assert shape_of("70B", read_shape) is KNOWN["llama-3.1-70b"]
    small = shape_of(str(small_model), read_shape)
    assert small == read_shape(str(small_model))
    assert (small.layers, small.kv_heads, small.head_dim, small.gated) == (3, 2, 8, True)
    typed = shape_of(
        "layers=3, hidden=32, heads=4, kv_heads=2, intermediate=48, vocabulary=256", read_shape
    )
    assert typed.projection("k") == small.projection("k") == (16, 32)
    assert typed.weights == small.weights


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("70c", "'70b'"),
        ("layers=2", "hidden"),
        ("layers=2,widht=3", "'widht'"),
        ("layers=two,hidden=8", "layers .*'two'"),
        ("layers=0,hidden=8", "layers .*'0'"),
        ("/no/such/folder", "/no/such/folder"),
    ],
)
def test_invalid_shapes_are_refused(words: str, named: str) -> None:
    with pytest.raises(ModelError, match=named):
        shape_of(words, read_shape)
