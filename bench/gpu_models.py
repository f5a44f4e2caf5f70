"""The models of the GPU bench, with random weights, and rows of random tokens."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bench.gpu_runner import GpuOptions
from bench.layer import FIRST_ID, build_model, shape_settings
from gradpipe.gradients.tokens import TokenRow

if TYPE_CHECKING:
    from gradpipe.models.load import LoadedModel

SHAPE = "Llama-3.1-8B"
VOCABULARY = 128_256
SMALL_VOCABULARY = 512
#: The settings of Llama-3.1-8B's shape in a tiny run.
TINY: dict[str, int] = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
_WIDTHS: dict[str, Any] = {
    "hidden_size": 128,
    "intermediate_size": 192,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "head_dim": 32,
}
_GROUPED = _WIDTHS | {"num_key_value_heads": 2}
#: Tokens within the small vocabulary; the defaults of some families are not.
_SPECIAL = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
#: Small models by name: their family, and its settings.
ZOO: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", _WIDTHS),
    "gpt2": ("gpt2", {"n_embd": 128, "n_layer": 3, "n_head": 4, "n_positions": 512} | _SPECIAL),
    "qwen2, grouped heads": ("qwen2", _GROUPED),
    "gemma2": ("gemma2", _GROUPED | {"query_pre_attn_scalar": 32, "sliding_window": 16}),
    "phi3, fused": ("phi3", _GROUPED | _SPECIAL),
    "mixtral, mixture": ("mixtral", _GROUPED | {"num_local_experts": 4}),
}


def zoo_model(name: str) -> LoadedModel:
    """A small model in float32 on the CPU."""
    family, settings = ZOO[name]
    return build_model(name, family, settings | {"vocab_size": SMALL_VOCABULARY})


def llama_8b(options: GpuOptions, layers: int | None = None) -> LoadedModel:
    """A model of Llama-3.1-8B's shape on the device, in bfloat16 (tiny: in float32)."""
    family, settings = shape_settings(SHAPE)
    layers = options.layers if layers is None else min(layers, options.layers)
    whole = {
        "vocab_size": SMALL_VOCABULARY if options.tiny else VOCABULARY,
        "num_hidden_layers": 2 if options.tiny else layers,
        "max_position_embeddings": 8192,
    }
    dtype = "float32" if options.tiny else "bfloat16"
    sizes = TINY if options.tiny else settings
    return build_model(SHAPE, family, sizes | whole, dtype, options.device)


def moved(loaded: LoadedModel, device: str, dtype: str) -> LoadedModel:
    """A copy of a model on a device, in a dtype."""
    import torch

    model = copy.deepcopy(loaded.model).to(device=device, dtype=getattr(torch, dtype))
    return replace(loaded, model=model, device=device)


def random_rows(tokens: int, count: int, vocabulary: int) -> list[TokenRow]:
    """Rows of random tokens; the first quarter of each row is the prompt."""
    import torch

    generator = torch.Generator().manual_seed(tokens)
    ids = torch.randint(FIRST_ID, vocabulary, (count, tokens), generator=generator)
    return [TokenRow(row, tokens // 4, False) for row in ids.tolist()]


def vocabulary_of(loaded: LoadedModel) -> int:
    """The number of a model's tokens."""
    return int(loaded.model.get_input_embeddings().weight.shape[0])
