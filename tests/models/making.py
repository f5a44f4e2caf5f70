"""The small model in parts and as a .gguf file, and headers of such files by hand."""

import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gguf
from safetensors.numpy import load_file, save_file

_WHOLE = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
_LAYER = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def make_gguf(
    folder: Path,
    path: Path,
    without: Sequence[str] = (),
    scale: float = 1.0,
    *,
    split_max_tensors: int = 0,
    tokenizer: bool = True,
    **sizes: int,
) -> Path:
    """The model of a folder as a GGUF file, ``without`` some tensors or with other ``sizes``.

    With ``split_max_tensors`` there are several files, of that many tensors each.
    """
    writer = gguf.GGUFWriter(path, "llama", split_max_tensors=split_max_tensors)
    writer.add_context_length(4096)
    writer.add_embedding_length(sizes.get("embedding", 32))
    writer.add_block_count(sizes.get("layers", 3))
    writer.add_feed_forward_length(sizes.get("inner", 48))
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(8)
    writer.add_vocab_size(sizes.get("vocabulary", 256))
    vocabulary = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    tokens = sorted(vocabulary, key=vocabulary.__getitem__)
    # The reader wants a merge, and its product as a token.
    tokens[-1] = tokens[0] + tokens[1]
    if tokenizer:
        writer.add_tokenizer_model("gpt2")
        writer.add_token_list(tokens)
        writer.add_token_types([1] * len(tokens))
        writer.add_token_merges([f"{tokens[0]} {tokens[1]}"])
    for name, weight in load_file(folder / "model.safetensors").items():
        if (called := _gguf_name(name.removesuffix(".weight"))) not in without:
            writer.add_tensor(f"{called}.weight", weight * scale)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _gguf_name(name: str) -> str:
    if name in _WHOLE:
        return _WHOLE[name]
    _, _, layer, part = name.split(".", 3)
    return f"blk.{layer}.{_LAYER[part]}"


def in_parts(folder: Path) -> list[Path]:
    """Save a model's weights in two parts with an index, as transformers does."""
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(weights)
    parts = [folder / f"model-0000{n}-of-00002.safetensors" for n in (1, 2)]
    for part, half in zip(parts, (names[:15], names[15:]), strict=True):
        save_file({name: weights[name] for name in half}, part, {"format": "pt"})
    index = {name: parts[number >= 15].name for number, name in enumerate(names)}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    return parts


def start(tensors: int = 0, keys: int = 0, version: int = 3) -> bytes:
    """The first bytes of a GGUF file, and what it claims to have."""
    return b"GGUF" + struct.pack("<IQQ", version, tensors, keys)


def text(content: bytes) -> bytes:
    return struct.pack("<Q", len(content)) + content


def key(name: bytes, kind: int, value: bytes) -> bytes:
    return text(name) + struct.pack("<I", kind) + value


def array(name: bytes, kind: int, count: int, values: bytes) -> bytes:
    return key(name, 9, struct.pack("<IQ", kind, count) + values)


def tensor(dimensions: Sequence[int], kind: Any = 0, place: int = 0) -> bytes:
    sizes = struct.pack(f"<I{len(dimensions)}Q", len(dimensions), *dimensions)
    return text(b"t") + sizes + struct.pack("<IQ", kind, place)
