"""A model large enough to be timed, without weights of its own on the disk."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from gradpipe.gradients.tokens import TokenRow
from gradpipe.models.load import LoadedModel


@pytest.fixture(scope="session")
def make_loaded() -> Callable[..., LoadedModel]:
    """A function from a Llama's settings to a random one, frozen, on the CPU."""

    def make(**settings: Any) -> LoadedModel:
        torch.manual_seed(0)
        config = LlamaConfig(
            **{
                "vocab_size": 512,
                "hidden_size": 128,
                "intermediate_size": 344,
                "num_hidden_layers": 4,
                "num_attention_heads": 8,
                "num_key_value_heads": 2,
                "max_position_embeddings": 4096,
                **settings,
            }
        )
        model = LlamaForCausalLM(config).eval()
        model.requires_grad_(False)
        tokenizer: Any = None
        return LoadedModel(
            name="random", fingerprint="", model=model, tokenizer=tokenizer, device="cpu"
        )

    return make


def rows_of(*lengths: tuple[int, int]) -> list[TokenRow]:
    """Rows of (tokens, response tokens), of random tokens."""
    generator = torch.Generator().manual_seed(0)
    return [
        TokenRow(torch.randint(3, 500, (tokens,), generator=generator).tolist(), tokens - n, False)
        for tokens, n in lengths
    ]
