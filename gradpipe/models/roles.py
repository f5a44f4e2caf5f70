"""The roles of linear layers in a decoder layer, and their names in implementations."""

from typing import Literal

CrossAttention = Literal["cross_q", "cross_k", "cross_v", "cross_o"]
LatentFactor = Literal["q_a", "q_b", "kv_a", "kv_b"]
MixtureRole = Literal["router", "shared_gate", "shared_up", "shared_down"]
#: What a protocol may measure.
Role = Literal["q", "k", "v", "o", "gate", "up", "down", CrossAttention, LatentFactor, MixtureRole]
#: Names of the linear layer in each role, with roles in the order in which they are shown.
ROLES: dict[str, tuple[str, ...]] = {
    "q": ("q_proj", "query", "wq", "q_lin", "query_proj", "q"),
    "k": ("k_proj", "key", "wk", "k_lin", "key_proj", "k"),
    "v": ("v_proj", "value", "wv", "v_lin", "value_proj", "v"),
    "o": ("o_proj", "out_proj", "wo", "out_lin", "dense", "c_proj", "o"),
    "gate": ("gate_proj", "w1", "wi_0", "gate"),
    "up": ("up_proj", "w3", "wi_1", "up", "wi", "c_fc", "fc_in", "fc1", "dense_h_to_4h"),
    "down": ("down_proj", "w2", "wo", "down", "c_proj", "fc_out", "fc2", "dense_4h_to_h"),
    "cross_q": ("q_proj", "query", "wq", "q_lin", "query_proj", "q"),
    "cross_k": ("k_proj", "key", "wk", "k_lin", "key_proj", "k"),
    "cross_v": ("v_proj", "value", "wv", "v_lin", "value_proj", "v"),
    "cross_o": ("o_proj", "out_proj", "wo", "out_lin", "o"),
    "q_a": ("q_a_proj", "wq_a"),
    "q_b": ("q_b_proj", "wq_b"),
    "kv_a": ("kv_a_proj_with_mqa", "kv_a_proj", "wkv_a"),
    "kv_b": ("kv_b_proj", "wkv_b"),
    # Found by their places: see ``mixtures``.
    "router": (),
    "shared_gate": (),
    "shared_up": (),
    "shared_down": (),
}
ATTENTION = ("q", "k", "v", "o")
MLP = ("gate", "up", "down")
#: The attention of a decoder layer to the outputs of an encoder.
CROSS = ("cross_q", "cross_k", "cross_v", "cross_o")
#: Roles that read the encoder's outputs.
READ_SOURCE = ("cross_k", "cross_v")
#: The factors of a latent attention: A reads the layer's input, B reads what A returns, normalized.
LATENT = ("q_a", "q_b", "kv_a", "kv_b")
#: The roles of a shared expert, which every token passes, by those of an MLP.
SHARED_EXPERT = {"gate": "shared_gate", "up": "shared_up", "down": "shared_down"}
#: Roles that only layers with a mixture of experts have.
MIXTURE = ("router", *SHARED_EXPERT.values())
#: Names of a linear layer that holds Q, K and V, in any layout.
FUSED_QKV = ("qkv_proj", "c_attn", "wqkv", "qkv", "query_key_value")
#: Names of a linear layer that holds gate and up.
FUSED_GATE_UP = ("gate_up_proj", "gate_up", "w13", "wi")
#: Names of the factors of an adapter at the layer of some roles, which may hold several.
ADAPTER_FACTORS = tuple(
    f"{roles}_lora_{factor}"
    for roles in (*ROLES, "qk", "qv", "kv", "qkv", "gate_up")
    for factor in "ab"
)
#: All names of measured matrices, in the order in which they are shown.
PROJECTION_ORDER = (*ROLES, *ADAPTER_FACTORS)

#: The path of each role's module inside a decoder layer; roles that share a module are fused.
Places = dict[str, str]
