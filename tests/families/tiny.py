"""Small random models of every family of transformers, made from its own configuration class."""

from __future__ import annotations

import copy
import inspect
from typing import Any

import torch
from transformers import CONFIG_MAPPING, PreTrainedConfig
from transformers.models.auto import modeling_auto

from gradpipe.models.auto_class import auto_class

VOCABULARY = 270
#: The token that decoders of encoder-decoders start with.
START = 1
MOST_WEIGHTS = 15_000_000
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
    **dict.fromkeys(("embed_dim", "out_hidden_size", "vision_hidden_size"), 32),
    **dict.fromkeys(("vision_output_dim", "projector_hidden_size", "text_hidden_size"), 32),
    **dict.fromkeys(("num_local_layers", "num_global_layers", "depth"), 2),
    **{"image_size": 28, "patch_size": 14, "num_channels": 3, "projection_dim": 32},
    **{"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": START},
}


LINEAR, FULL = "linear_attention", "full_attention"
#: What makes a family's small model have all kinds of its layers, and what its sizes must fit.
SPECIAL: dict[str, dict[str, Any]] = {
    "bamba": {"attn_layer_indices": [1, 3]},
    "granitemoehybrid": {"layer_types": [LINEAR, FULL, LINEAR, FULL]},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1},
    "zamba": {"layers_block_type": [LINEAR, "hybrid"] * 2, "attention_head_dim": 16},
    "zamba2": {"layers_block_type": ["mamba", "hybrid", "mamba", "hybrid"]},
    "recurrent_gemma": {"block_types": ["recurrent", "attention"], "attention_window_size": 8},
    "lfm2": {"layer_types": ["conv", FULL, "conv", FULL]},
    "lfm2_moe": {"layer_types": ["conv", FULL, "conv", FULL]},
    "gpt_neo": {"attention_types": [[["global", "local"], 2]]},
    "mamba2": {"num_heads": 4, "head_dim": 16, "expand": 2},
    "zaya": {"num_experts_per_tok": 1},
    "kimi_linear": {"layer_types": [LINEAR, FULL, LINEAR, FULL]},
    "bailing_hybrid": {"layer_types": [LINEAR, FULL, LINEAR, FULL]},
    "qwen4_exp_text": {"layer_types": [LINEAR, "indexed_attention"] * 2},
    "minimax": {"layer_types": [LINEAR, FULL, LINEAR, FULL]},
    "gemma4_text": {"layer_types": ["sliding_attention", FULL] * 2},
    "gemma4_unified_text": {"layer_types": ["sliding_attention", FULL] * 2},
    "dbrx": {
        "attn_config": {"kv_n_heads": 2, "rope_theta": 10000.0, "clip_qkv": 8},
        # With one expert per token, the router's gradient is zero.
        "ffn_config": {"ffn_hidden_size": 48, "moe_num_experts": 4, "moe_top_k": 2},
    },
    "gemma4_assistant": {"hidden_size_per_layer_input": 0},
    "longcat_flash": {"num_key_value_heads": 4, "head_dim": 4, "num_layers": 2},
    "reformer": {
        **{"is_decoder": True, "axial_pos_embds_dim": [16, 16], "axial_pos_shape": [8, 16]},
        **{"attn_layers": ["local", "local"], "num_hidden_layers": 2},
    },
    "ernie4_5_vl_moe_text": {"moe_intermediate_size": [16, 16]},
}
#: Sections of rotary numbers add up to half of a head's.
SPECIAL |= {
    f"{name}_text": {
        "rope_parameters": {
            **{"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [half - 2, 1, 1]},
            "partial_rotary_factor": half / 4,
        }
    }
    for half, names in {
        4: ("qwen2_vl", "qwen2_5_vl", "qwen2_5_omni", "paddleocr_vl", "cosmos3_edge", "glm46v"),
        2: ("glm4v_moe",),
    }.items()
    for name in names
}
SPECIAL |= {f"{name}_text": SPECIAL["qwen2_vl_text"] for name in ("glm4v", "glm_ocr", "glmga")}
#: Encoders that can be causal.
SPECIAL |= {
    name: {"is_decoder": True}
    for name in (
        *("bert", "bert-generation", "big_bird", "camembert", "data2vec-text", "electra", "ernie"),
        *("megatron-bert", "rembert", "roberta", "roberta-prelayernorm", "roformer", "xmod"),
        *("xlm-roberta", "xlm-roberta-xl", "roc_bert"),
    )
}


def small_config(family: str, **settings: Any) -> Any:
    """The configuration of ``family`` with small sizes and ``settings``, its parts small too."""
    return _small(CONFIG_MAPPING[family], **{**SPECIAL.get(family, {}), **settings})


def _small(kind: Any, **settings: Any) -> Any:
    known = set(inspect.signature(kind.__init__).parameters) | set(
        getattr(kind, "__annotations__", {})
    )
    for base in kind.__mro__:
        known |= set(getattr(base, "__annotations__", {}))
    known |= set(getattr(kind, "attribute_map", {}))
    chosen = {name: value for name, value in SMALL.items() if name in known}
    if "kv_lora_rank" in known:
        # Latent attention has keys and values for every head.
        chosen["num_key_value_heads"] = 4
    if sub_configs := getattr(kind, "sub_configs", {}):
        default = kind()
        for name in sub_configs:
            part = getattr(default, name, None)
            if isinstance(part, PreTrainedConfig):
                chosen[name] = _small(type(part), **SPECIAL.get(part.model_type, {}))
    return kind(**{**chosen, **settings})


def make(config: Any, dtype: torch.dtype = torch.float64) -> Any:
    """A small random model, with weights and biases large enough that every layer matters."""
    auto = auto_class(config)
    with torch.device("meta"):
        size = auto.from_config(copy.deepcopy(config)).num_parameters()
    if size > MOST_WEIGHTS:
        raise ValueError(f"{size} weights are not small")
    torch.manual_seed(0)
    model = auto.from_config(config, experts_implementation="eager")
    if config.is_encoder_decoder:
        model.generation_config.decoder_start_token_id = START
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    return model.to(dtype).eval()


def decoders() -> list[str]:
    return list(modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)


def multimodal() -> list[str]:
    known = set(decoders())
    names = modeling_auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
    return [name for name in names if name not in known]


def encoder_decoders() -> list[str]:
    return list(modeling_auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES)
