"""The slow way to a mixture's gradients: autograd on the fused tensors, cut as each family stores.

Paths and layouts are written down here by family, from transformers' own code; gradpipe finds them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM

from gradpipe.gradients.tokens import TokenRow
from tests.gradients.conftest import EXPERTS, LATENT, LLAMA_LIKE, SETTINGS, VOCABULARY

LAYERS = "model.layers.{}."


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """Where a family keeps its experts, and how: their gate and up in one tensor.

    ``transposed``: a tensor is inputs × outputs. ``interleaved``: gate and up alternate.
    """

    experts: str = LAYERS + "mlp.experts"
    router: str = LAYERS + "mlp.gate"
    shared: str | None = None
    shared_fused: bool = False
    transposed: bool = False
    interleaved: bool = False

    @property
    def called(self) -> str:
        """The module that gets each token's experts."""
        inside = self.experts.endswith("experts.mlp")
        return self.experts.removesuffix(".mlp") if inside else self.experts


SHARED = LAYERS + "mlp.shared_experts"
MIXTURES = {
    "mixtral": Mixture(),
    "qwen2_moe": Mixture(shared=LAYERS + "mlp.shared_expert"),
    "qwen3_moe": Mixture(),
    "olmoe": Mixture(),
    "deepseek_v2": Mixture(shared=SHARED),
    "deepseek_v3": Mixture(shared=SHARED),
    "gpt_oss": Mixture(router=LAYERS + "mlp.router", transposed=True, interleaved=True),
    "granitemoe": Mixture(
        experts=LAYERS + "block_sparse_moe.experts", router=LAYERS + "block_sparse_moe.router"
    ),
    "granitemoeshared": Mixture(
        experts=LAYERS + "block_sparse_moe.experts",
        router=LAYERS + "block_sparse_moe.router",
        shared=LAYERS + "shared_mlp",
        shared_fused=True,
    ),
    "phimoe": Mixture(router=LAYERS + "mlp.router"),
    "llama4_text": Mixture(
        experts=LAYERS + "feed_forward.experts",
        router=LAYERS + "feed_forward.router",
        shared=LAYERS + "feed_forward.shared_expert",
        transposed=True,
    ),
    "dbrx": Mixture(
        experts="transformer.blocks.{}.ffn.experts.mlp",
        router="transformer.blocks.{}.ffn.router.layer",
    ),
    "glm4_moe": Mixture(shared=SHARED),
    "ernie4_5_moe": Mixture(shared=SHARED),
    "hunyuan_v1_moe": Mixture(router=LAYERS + "mlp.gate.wg", shared=LAYERS + "mlp.shared_mlp"),
    "lfm2_moe": Mixture(
        experts=LAYERS + "feed_forward.experts", router=LAYERS + "feed_forward.gate"
    ),
    "qwen3_next": Mixture(shared=LAYERS + "mlp.shared_expert"),
    "minimax_m2": Mixture(),
    "afmoe": Mixture(router=LAYERS + "mlp.router.gate", shared=SHARED),
    "jetmoe": Mixture(experts=LAYERS + "mlp", router=LAYERS + "mlp.router.layer"),
    "jamba": Mixture(
        experts=LAYERS + "feed_forward.experts", router=LAYERS + "feed_forward.router"
    ),
    "minimax": Mixture(),
    "gemma4_text": Mixture(experts=LAYERS + "experts", router=LAYERS + "router.proj"),
    "flex_olmo": Mixture(),
    "dots1": Mixture(shared=SHARED),
    "solar_open": Mixture(shared=SHARED),
    "exaone_moe": Mixture(shared=SHARED),
    "qwen3_5_moe_text": Mixture(shared=LAYERS + "mlp.shared_expert"),
    "cohere2_moe": Mixture(),
}
FULL = LLAMA_LIKE | EXPERTS | {"layer_types": ["full_attention"] * 2}
GROUPS = {"n_routed_experts": 4, "n_group": 1, "topk_group": 1}
MORE = {
    "granitemoe": LLAMA_LIKE | EXPERTS,
    "granitemoeshared": LLAMA_LIKE | EXPERTS | {"shared_intermediate_size": 24},
    "phimoe": LLAMA_LIKE | EXPERTS,
    "llama4_text": LLAMA_LIKE
    | EXPERTS
    | {"head_dim": 8, "intermediate_size_mlp": 40, "interleave_moe_layer_step": 1},
    "dbrx": {
        "d_model": 32,
        "n_heads": 4,
        "n_layers": 2,
        "max_seq_len": 128,
        "attn_config": {"kv_n_heads": 2, "clip_qkv": 8.0, "rope_theta": 10000.0},
        "ffn_config": {"ffn_hidden_size": 24, "moe_num_experts": 4, "moe_top_k": 2},
    },
    "glm4_moe": LLAMA_LIKE | EXPERTS | GROUPS | {"first_k_dense_replace": 1},
    "ernie4_5_moe": LLAMA_LIKE
    | EXPERTS
    | {"moe_num_experts": 4, "moe_k": 2, "moe_num_shared_experts": 1, "moe_layer_start_index": 1},
    "hunyuan_v1_moe": LLAMA_LIKE | EXPERTS | {"moe_topk": [2, 2], "head_dim": 8},
    "lfm2_moe": LLAMA_LIKE
    | EXPERTS
    | {"num_dense_layers": 0, "layer_types": ["full_attention"] * 2},
    "qwen3_next": SETTINGS["qwen3_next"]
    | {"mlp_only_layers": [0], "shared_expert_intermediate_size": 24, "decoder_sparse_step": 1},
    "minimax_m2": LLAMA_LIKE | EXPERTS | {"head_dim": 8, "rotary_dim": 4},
    "afmoe": LLAMA_LIKE
    | EXPERTS
    | {
        "head_dim": 8,
        "num_dense_layers": 1,
        "num_shared_experts": 1,
        "global_attn_every_n_layers": 2,
    },
    "jetmoe": LLAMA_LIKE | EXPERTS | {"kv_channels": 8},
    "flex_olmo": LLAMA_LIKE | EXPERTS,
    "jamba": LLAMA_LIKE
    | EXPERTS
    | {"attn_layer_period": 1, "attn_layer_offset": 0, "expert_layer_offset": 0},
    "minimax": FULL | {"head_dim": 8},
    "gemma4_text": FULL
    | {"enable_moe_block": True, "top_k_experts": 2, "head_dim": 8, "global_head_dim": 8}
    | {"hidden_size_per_layer_input": 0, "num_kv_shared_layers": 0},
    "dots1": FULL | GROUPS | {"n_shared_experts": 1, "first_k_dense_replace": 1},
    "solar_open": LLAMA_LIKE | EXPERTS | GROUPS | {"head_dim": 8},
    "exaone_moe": FULL | GROUPS | {"mlp_layer_types": ["dense", "sparse"], "head_dim": 8},
    "qwen3_5_moe_text": SETTINGS["qwen3_5_text"]
    | EXPERTS
    | {"shared_expert_intermediate_size": 24},
    "cohere2_moe": FULL | {"mlp_layer_types": ["sparse"] * 2, "head_dim": 8},
    "deepseek_v2": LLAMA_LIKE | EXPERTS | LATENT | {"num_experts": 4},
}


def make_mixture(family: str, dtype: torch.dtype = torch.float64, **settings: Any) -> Any:
    """A small random model of the family, in the default implementation of its experts."""
    torch.manual_seed(0)
    given = {"vocab_size": VOCABULARY, **MORE.get(family, SETTINGS.get(family, {})), **settings}
    # To take a fused layer apart, its model runs as it is: grouped experts have no float64.
    eager = dtype == torch.float64 and family == "granitemoeshared"
    model = AutoModelForCausalLM.from_config(
        AutoConfig.for_model(family, **given),
        **({"experts_implementation": "eager"} if eager else {}),
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.nan_to_num()).add_(0.15 * torch.randn(parameter.shape))
        for name, buffer in model.named_buffers():
            # A correction of the choice alone, which no gradient passes.
            if "correction" in name:
                buffer.add_(0.05 * torch.randn(buffer.shape))
    return model.to(dtype).eval()


@dataclass(frozen=True, kw_only=True)
class Twin:
    """One row's loss; by (layer, role) its gradient, with one matrix per expert; and tokens."""

    loss: float
    gradients: dict[tuple[int, str], list[Tensor]]
    tokens: dict[int, list[int]]


def twin_of(family: str, model: Any, row: TokenRow) -> Twin:
    """The row alone, through autograd with all weights and the family's loop over experts."""
    mixture = MIXTURES[family]
    model.config._experts_implementation = "eager"
    model.requires_grad_(True)
    model.zero_grad()
    counts: dict[int, list[int]] = {}
    hooks = [
        _layer(model, mixture.called, layer).register_forward_pre_hook(_counting(counts, layer))
        for layer in range(model.config.num_hidden_layers)
        if _layer(model, mixture.called, layer) is not None
    ]
    positions = torch.tensor(row.positions)
    logits = model(input_ids=torch.tensor([row.ids])).logits[0]
    loss = nn.functional.cross_entropy(logits[positions - 1], torch.tensor(row.ids)[positions])
    loss.backward()
    for hook in hooks:
        hook.remove()
    gradients: dict[tuple[int, str], list[Tensor]] = {}
    for layer in range(model.config.num_hidden_layers):
        gradients |= {
            (layer, role): parts for role, parts in _gradients(model, mixture, layer).items()
        }
    return Twin(loss=loss.item(), gradients=gradients, tokens=counts)


def _layer(model: Any, path: str, layer: int) -> Any:
    """A layer's module, or None if it has none: dense layers lack routers."""
    try:
        found = model.get_submodule(path.format(layer))
    except AttributeError:
        return None
    return found


def _counting(counts: dict[int, list[int]], layer: int) -> Callable[..., None]:
    """Counts the tokens of each expert: the chosen ones, or those whose inputs are not zero."""

    def hook(module: Any, inputs: tuple[Tensor, ...]) -> None:
        if len(inputs) > 1:
            counts[layer] = torch.bincount(inputs[1].flatten(), minlength=4).tolist()
        elif inputs[0].ndim == 3:
            counts[layer] = module.router(inputs[0].flatten(0, 1))[3]
        else:
            each = inputs[0].unflatten(0, (4, -1))
            counts[layer] = (each != 0).any(-1).sum(1).tolist()

    return hook


def _gradients(model: Any, mixture: Mixture, layer: int) -> dict[str, list[Tensor]]:
    experts = _layer(model, mixture.experts, layer)
    if experts is None:
        dense = _layer(model, mixture.experts.removesuffix(".experts"), layer)
        roles = ("gate", "up", "down")
        return {role: [getattr(dense, f"{role}_proj").weight.grad] for role in roles}
    found = _of_experts(experts, mixture)
    found["router"] = [_layer(model, mixture.router, layer).weight.grad]
    shared = _layer(model, mixture.shared, layer) if mixture.shared else None
    if shared is not None and mixture.shared_fused:
        gate, up = shared.input_linear.weight.grad.chunk(2)
        down = shared.output_linear.weight.grad
        found |= {"shared_gate": [gate], "shared_up": [up], "shared_down": [down]}
    elif shared is not None:
        for role in ("gate", "up", "down"):
            found[f"shared_{role}"] = [getattr(shared, f"{role}_proj").weight.grad]
    return found


def _of_experts(experts: Any, mixture: Mixture) -> dict[str, list[Tensor]]:
    """One matrix, outputs × inputs, per expert."""
    if hasattr(experts, "input_linear"):
        gate, up = experts.input_linear.weight.grad.chunk(2, 1)
        return {"gate": [*gate], "up": [*up], "down": [*experts.output_linear.weight.grad]}
    if hasattr(experts, "w1"):
        matrices = {"gate": experts.w1, "up": experts.v1, "down": experts.w2}
        parts = {role: list(weight.grad.chunk(4)) for role, weight in matrices.items()}
        return {**parts, "down": [part.T for part in parts["down"]]}
    both, down = list(experts.gate_up_proj.grad), list(experts.down_proj.grad)
    if mixture.transposed:
        both, down = [part.T for part in both], [part.T for part in down]
    if mixture.interleaved:
        gate, up = [part[::2] for part in both], [part[1::2] for part in both]
    else:
        gate, up = [part.chunk(2)[0] for part in both], [part.chunk(2)[1] for part in both]
    return {"gate": gate, "up": up, "down": down}
