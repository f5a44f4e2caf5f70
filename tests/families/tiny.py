"""Small random models of every family of transformers, made from its own configuration class."""

from __future__ import annotations

import copy
import inspect
from typing import Any

import torch
from transformers import CONFIG_MAPPING, AutoModelForCausalLM, AutoModelForSeq2SeqLM
from transformers.models.auto import modeling_auto

VOCABULARY = 270
MOST_WEIGHTS = 3_000_000
#: Small values of settings, by the names that configurations give them.
SMALL: dict[str, Any] = {
    **dict.fromkeys(("vocab_size", "padded_vocab_size", "unpadded_vocab_size"), VOCABULARY),
    **dict.fromkeys(("hidden_size", "n_embd", "d_model", "dim", "dim_model", "emb_dim"), 32),
    **dict.fromkeys(("embedding_size", "word_embed_proj_dim", "input_hidden_size"), 32),
    **dict.fromkeys(("intermediate_size", "ffn_dim", "d_ff", "ffn_hidden_size", "dim_ff"), 48),
    **dict.fromkeys(("encoder_ffn_dim", "decoder_ffn_dim", "intermediate_size_mlp"), 48),
    **dict.fromkeys(("n_inner", "d_inner"), 48),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers"), 4),
    **dict.fromkeys(("encoder_layers", "decoder_layers", "num_decoder_layers"), 2),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads"), 4),
    **dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), 4),
    **dict.fromkeys(("num_key_value_heads", "num_kv_heads", "n_head_kv"), 2),
    **dict.fromkeys(("head_dim", "attention_head_size", "kv_channels", "d_kv"), 8),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len"), 128),
    **dict.fromkeys(("original_max_position_embeddings",), 128),
    **dict.fromkeys(("sliding_window", "attention_chunk_size", "window_size"), 8),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts"), 4),
    **dict.fromkeys(("moe_num_experts", "num_routed_experts", "ffn_num_experts"), 4),
    **dict.fromkeys(("num_experts_per_tok", "num_experts_per_token", "moe_k", "moe_topk"), 2),
    **dict.fromkeys(("moe_intermediate_size", "expert_intermediate_size"), 16),
    **dict.fromkeys(("shared_expert_intermediate_size", "shared_intermediate_size"), 24),
    **dict.fromkeys(("moe_shared_expert_intermediate_size", "expert_ffn_hidden_size"), 24),
    **{"n_group": 1, "topk_group": 1, "n_shared_experts": 1, "first_k_dense_replace": 1},
    **{"q_lora_rank": 12, "kv_lora_rank": 16, "qk_rope_head_dim": 4, "qk_nope_head_dim": 8},
    **{"v_head_dim": 6, "index_head_dim": 8, "index_n_heads": 2, "index_topk": 64},
    **{"linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 8},
    **{"linear_value_head_dim": 8, "linear_conv_kernel_dim": 4, "linear_num_heads": 4},
    **{"linear_head_dim": 8},
    **{"mamba_n_heads": 4, "mamba_d_head": 16, "mamba_d_state": 8, "mamba_n_groups": 1},
    **{"mamba_expand": 2, "mamba_chunk_size": 16, "mamba_d_ssm": 64, "mamba_dt_rank": 4},
    **{"mamba_num_heads": 4, "mamba_head_dim": 16, "ssm_state_size": 8, "n_groups": 1},
    **{"mamba_headdim": 16, "mamba_ngroups": 1, "n_mamba_heads": 1, "n_mamba_heads_per": 2},
    **{"state_size": 8, "chunk_size": 16, "time_step_rank": 4, "lru_width": 32},
    **{"conv_dim": 32, "conv_dim_out": 32, "block_dim": 32, "block_ff_dim": 48},
    **{"query_pre_attn_scalar": 8, "rotary_dim": 4, "hidden_size_per_layer_input": 8},
    **{"vocab_size_per_layer_input": VOCABULARY, "laurel_rank": 4, "num_kv_shared_layers": 2},
    **{"image_size": 28, "patch_size": 14, "num_channels": 3, "projection_dim": 32},
    **{"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1},
}


def small_config(family: str, **settings: Any) -> Any:
    """The configuration of ``family`` with small sizes and ``settings``, its parts small too."""
    return _small(CONFIG_MAPPING[family], **settings)


def _small(kind: Any, **settings: Any) -> Any:
    known = set(inspect.signature(kind.__init__).parameters) | set(getattr(kind, "__annotations__", {}))
    for base in kind.__mro__:
        known |= set(getattr(base, "__annotations__", {}))
    known |= set(getattr(kind, "attribute_map", {}))
    chosen = {name: value for name, value in SMALL.items() if name in known}
    if "kv_lora_rank" in known:
        # Latent attention has keys and values for every head.
        chosen["num_key_value_heads"] = 4
    for name, part in getattr(kind, "sub_configs", {}).items():
        if isinstance(part, type) and part.__name__ != "AutoConfig":
            chosen[name] = _small(part)
    return kind(**{**chosen, **settings})


def make(family: str, config: Any) -> Any:
    auto = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    with torch.device("meta"):
        size = auto.from_config(copy.deepcopy(config)).num_parameters()
    if size > MOST_WEIGHTS:
        raise ValueError(f"{size} weights are not small")
    torch.manual_seed(0)
    model = auto.from_config(config, experts_implementation="eager")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    return model.double().eval()


def decoders() -> list[str]:
    return list(modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
