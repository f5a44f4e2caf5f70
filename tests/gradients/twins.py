"""The slow way to a spectrum: ordinary autograd with all weights, and a full SVD.

Fused weights are cut here as each family's own forward cuts its outputs, not as gradpipe does.
"""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gradpipe.gradients.passes.factors import frozen
from gradpipe.gradients.passes.loss import backward_of_losses
from gradpipe.gradients.tokens import TokenRow

#: Loss, and the singular values of every (layer, projection).
Naive = tuple[float, dict[tuple[int, str], np.ndarray]]


def naive(model: Any, row: TokenRow, projections: tuple[str, ...] = ("q", "k", "v", "o")) -> Naive:
    """Loss, and singular values by ordinary autograd and a full SVD, in float64."""
    model.requires_grad_(True)
    model.zero_grad()
    positions = torch.tensor(row.positions)
    logits = model(input_ids=torch.tensor([row.ids])).logits[0]
    loss = torch.nn.functional.cross_entropy(
        logits[positions - 1], torch.tensor(row.ids)[positions]
    )
    loss.backward()
    spectra = {}
    for layer in range(model.config.num_hidden_layers):
        gradients = projection_gradients(model, layer)
        for name in projections:
            spectra[layer, name] = torch.linalg.svdvals(gradients[name].double()).numpy()
    return loss.item(), spectra


def projection_gradients(model: Any, layer: int) -> dict[str, Tensor]:
    """G of each projection of a layer, by the paths that each family really has."""
    cut = FAMILIES.get(model.config.model_type, _llama)
    return cut(model, layer)


def _llama(model: Any, layer: int) -> dict[str, Tensor]:
    block = model.model.layers[layer]
    found = {name: getattr(block.self_attn, f"{name}_proj").weight.grad for name in "qkvo"}
    for name in ("gate", "up", "down"):
        module = getattr(getattr(block, "mlp", None), f"{name}_proj", None)
        if module is not None:
            found[name] = module.weight.grad
    return found


def _phi3(model: Any, layer: int) -> dict[str, Tensor]:
    block, config = model.model.layers[layer], model.config
    head = config.hidden_size // config.num_attention_heads
    widths = [config.num_attention_heads * head] + [config.num_key_value_heads * head] * 2
    q, k, v = block.self_attn.qkv_proj.weight.grad.split(widths)
    gate, up = block.mlp.gate_up_proj.weight.grad.chunk(2)
    down = block.mlp.down_proj.weight.grad
    o = block.self_attn.o_proj.weight.grad
    return {"q": q, "k": k, "v": v, "o": o, "gate": gate, "up": up, "down": down}


def _glm4(model: Any, layer: int) -> dict[str, Tensor]:
    block = model.model.layers[layer]
    gate, up = block.mlp.gate_up_proj.weight.grad.chunk(2)
    rest = {name: getattr(block.self_attn, f"{name}_proj").weight.grad for name in "qkvo"}
    return {**rest, "gate": gate, "up": up, "down": block.mlp.down_proj.weight.grad}


def _gpt2(model: Any, layer: int) -> dict[str, Tensor]:
    block = model.transformer.h[layer]
    # Conv1D stores its weight transposed.
    q, k, v = block.attn.c_attn.weight.grad.T.chunk(3)
    o, up, down = (
        module.weight.grad.T for module in (block.attn.c_proj, block.mlp.c_fc, block.mlp.c_proj)
    )
    return {"q": q, "k": k, "v": v, "o": o, "up": up, "down": down}


def _by_head(fused: Tensor, heads: int) -> dict[str, Tensor]:
    """Rows [heads, 3, head, d_in]: each head's query, key and value lie together."""
    inner = fused.shape[1]
    parts = fused.view(heads, 3, -1, inner).unbind(1)
    return {name: part.reshape(-1, inner) for name, part in zip("qkv", parts, strict=True)}


def _gpt_neox(model: Any, layer: int) -> dict[str, Tensor]:
    block = model.gpt_neox.layers[layer]
    fused = block.attention.query_key_value.weight.grad
    return {
        **_by_head(fused, model.config.num_attention_heads),
        "o": block.attention.dense.weight.grad,
        "up": block.mlp.dense_h_to_4h.weight.grad,
        "down": block.mlp.dense_4h_to_h.weight.grad,
    }


def _persimmon(model: Any, layer: int) -> dict[str, Tensor]:
    attention = model.model.layers[layer].self_attn
    fused = attention.query_key_value.weight.grad
    return {
        **_by_head(fused, model.config.num_attention_heads),
        "o": attention.dense.weight.grad,
    }


def _bloom(model: Any, layer: int) -> dict[str, Tensor]:
    attention = model.transformer.h[layer].self_attention
    fused = attention.query_key_value.weight.grad
    return {**_by_head(fused, model.config.n_head), "o": attention.dense.weight.grad}


def _falcon(model: Any, layer: int) -> dict[str, Tensor]:
    attention, config = model.transformer.h[layer].self_attention, model.config
    fused, heads = attention.query_key_value.weight.grad, config.num_attention_heads
    head, inner = config.hidden_size // heads, config.hidden_size
    if config.new_decoder_architecture:
        groups = fused.view(config.num_kv_heads, heads // config.num_kv_heads + 2, head, inner)
        q, k, v = groups[:, :-2], groups[:, -2], groups[:, -1]
    elif config.multi_query:
        every = fused.view(heads + 2, head, inner)
        q, k, v = every[:-2], every[-2], every[-1]
    else:
        q, k, v = fused.view(heads, 3, head, inner).unbind(1)
    parts = {"q": q, "k": k, "v": v, "o": attention.dense.weight.grad}
    return {name: part.reshape(-1, inner) for name, part in parts.items()}


def _gpt_bigcode(model: Any, layer: int) -> dict[str, Tensor]:
    attention, config = model.transformer.h[layer].attn, model.config
    fused, o = attention.c_attn.weight.grad, attention.c_proj.weight.grad
    if not config.multi_query:
        return {**_by_head(fused, config.n_head), "o": o}
    head = config.n_embd // config.n_head
    q, k, v = fused.split([config.n_embd, head, head])
    return {"q": q, "k": k, "v": v, "o": o}


def _codegen(model: Any, layer: int) -> dict[str, Tensor]:
    attention = model.transformer.h[layer].attn
    inner = model.config.n_embd
    # Four shards, each with its heads' queries, values and keys, in this order.
    shards = attention.qkv_proj.weight.grad.view(4, 3, -1, inner)
    q, v, k = (part.reshape(-1, inner) for part in shards.unbind(1))
    return {"q": q, "k": k, "v": v, "o": attention.out_proj.weight.grad}


def _mpt(model: Any, layer: int) -> dict[str, Tensor]:
    block = model.transformer.blocks[layer]
    q, k, v = block.attn.Wqkv.weight.grad.chunk(3)
    up, down = block.ffn.up_proj.weight.grad, block.ffn.down_proj.weight.grad
    return {"q": q, "k": k, "v": v, "o": block.attn.out_proj.weight.grad, "up": up, "down": down}


def _opt(model: Any, layer: int) -> dict[str, Tensor]:
    block = model.model.decoder.layers[layer]
    found = {name: getattr(block.self_attn, f"{name}_proj").weight.grad for name in "qkv"}
    found["o"] = block.self_attn.out_proj.weight.grad
    return {**found, "up": block.fc1.weight.grad, "down": block.fc2.weight.grad}


def _phi(model: Any, layer: int) -> dict[str, Tensor]:
    block = model.model.layers[layer]
    found = {name: getattr(block.self_attn, f"{name}_proj").weight.grad for name in "qkv"}
    found["o"] = block.self_attn.dense.weight.grad
    return {**found, "up": block.mlp.fc1.weight.grad, "down": block.mlp.fc2.weight.grad}


def _modernbert(model: Any, layer: int) -> dict[str, Tensor]:
    block = model.model.layers[layer]
    found = {name: getattr(block.attn, f"{name}_proj").weight.grad for name in "qkv"}
    # Its words are input, which is activated, and gate, which is not.
    gate, up = block.mlp.Wi.weight.grad.chunk(2)
    o, down = block.attn.Wo.weight.grad, block.mlp.Wo.weight.grad
    return {**found, "o": o, "gate": gate, "up": up, "down": down}


def _qwen2_moe(model: Any, layer: int) -> dict[str, Tensor]:
    shared = model.model.layers[layer].mlp.shared_expert
    experts = {n: getattr(shared, f"{n}_proj").weight.grad for n in ("gate", "up", "down")}
    return {**_llama(model, layer), **experts}


def _deepseek(model: Any, layer: int) -> dict[str, Tensor]:
    """From the latents: the second of Q's two factors, and K's (less its rotary part) and V's."""
    attention, config = model.model.layers[layer].self_attn, model.config
    inner = config.kv_lora_rank
    fused = attention.kv_b_proj.weight.grad.view(config.num_attention_heads, -1, inner)
    k, v = fused.split([config.qk_nope_head_dim, config.v_head_dim], dim=1)
    return {
        "q": attention.q_b_proj.weight.grad,
        "k": k.reshape(-1, inner),
        "v": v.reshape(-1, inner),
        "o": attention.o_proj.weight.grad,
    }


def _hybrid(model: Any, layer: int) -> dict[str, Tensor]:
    """The MLP, which layers with and without attention have."""
    block = model.model.layers[layer]
    mlp = block.mlp if hasattr(block, "mlp") else block.feed_forward
    return {name: getattr(mlp, f"{name}_proj").weight.grad for name in ("gate", "up", "down")}


FAMILIES = {
    "bamba": _hybrid,
    "bloom": _bloom,
    "codegen": _codegen,
    "deepseek_v2": _deepseek,
    "deepseek_v3": _deepseek,
    "falcon": _falcon,
    "falcon_h1": _hybrid,
    "glm4": _glm4,
    "gpt2": _gpt2,
    "gpt_bigcode": _gpt_bigcode,
    "gpt_neox": _gpt_neox,
    "modernbert-decoder": _modernbert,
    "mpt": _mpt,
    "opt": _opt,
    "persimmon": _persimmon,
    "phi": _phi,
    "phi3": _phi3,
    "qwen2_moe": _qwen2_moe,
    "qwen3_5_text": _hybrid,
    "qwen3_next": _hybrid,
}


#: Loss of each row, and the gradient at the embeddings.
Found = tuple[list[float], Tensor]


def at_embeddings(model: Any, backward: Callable[[], list[float]]) -> Found:
    """What ``backward`` gives with a frozen model, and the gradient that reaches the embeddings."""
    outputs: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        # The head may run the model again, on ids that nobody looks at.
        if not outputs:
            outputs.append(output.requires_grad_(True))
            output.retain_grad()

    hook = model.get_input_embeddings().register_forward_hook(keep)
    with frozen(model):
        losses = backward()
    hook.remove()
    assert outputs[0].grad is not None
    return losses, outputs[0].grad


def in_blocks(model: Any, rows: list[TokenRow]) -> Found:
    return at_embeddings(model, lambda: backward_of_losses(model, rows))


def assert_close(found: Found, expected: Found, tolerance: float) -> None:
    assert found[0] == pytest.approx(expected[0], rel=tolerance)
    difference = (found[1] - expected[1]).double().norm()
    assert float(difference) <= tolerance * float(expected[1].double().norm())


WIDTH, WORDS = 8, 30


class Attention(nn.Module):
    """One head, causal."""

    def __init__(self) -> None:
        super().__init__()
        for name in ("wq", "wk", "wv", "wo"):
            setattr(self, name, nn.Linear(WIDTH, WIDTH, bias=False))

    def forward(self, x: Tensor, keys: Tensor | None = None) -> tuple[Tensor, Tensor]:
        keys = self.wk(x) if keys is None else keys
        mixed = nn.functional.scaled_dot_product_attention(
            self.wq(x), keys, self.wv(x), is_causal=True
        )
        return x + self.wo(mixed), keys


class Decoder(nn.Module):
    """A decoder that belongs to no library: no configuration, no ``logits_to_keep``."""

    def __init__(self, layers: int = 3) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(WORDS, WIDTH)
        self.blocks = nn.ModuleList(Attention() for _ in range(layers))
        self.head = nn.Linear(WIDTH, WORDS)

    def get_input_embeddings(self) -> nn.Module:
        return self.embedding

    def forward(self, input_ids: Tensor, use_cache: bool = True) -> SimpleNamespace:
        return SimpleNamespace(logits=self.head(self.through(self.embedding(input_ids))))

    def through(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x, _ = block(x)
        return x


def replaced(model: nn.Module) -> list[str]:
    return [name for name, module in model.named_modules() if "forward" in vars(module)]
