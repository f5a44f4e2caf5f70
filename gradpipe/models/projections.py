"""Finding a model's attention projections by its structure: which linear layers sit where.

Nothing here looks at a model's name or type. Decoder layers are the longest list of alike blocks;
in each, the attention is the submodule that holds the linear layers in the roles of Q, K, V and O.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gradpipe.errors import ModelError

if TYPE_CHECKING:
    from torch import nn

#: What implementations call the linear layers in each role.
ROLES: dict[str, tuple[str, ...]] = {
    "q": ("q_proj", "query", "wq", "q_lin", "q"),
    "k": ("k_proj", "key", "wk", "k_lin", "k"),
    "v": ("v_proj", "value", "wv", "v_lin", "v"),
    "o": ("o_proj", "out_proj", "wo", "out_lin", "dense", "c_proj", "o"),
}
#: One linear layer that writes [q | k | v] side by side.
FUSED = ("qkv_proj", "c_attn", "wqkv", "qkv")


@dataclass(frozen=True)
class Projection:
    """One projection of one layer: the module that computes it and the columns of its outputs."""

    layer: int
    name: str
    path: str
    module: nn.Module
    outputs: slice = field(default_factory=lambda: slice(None))


def find_projections(
    model: nn.Module, names: tuple[str, ...] = ("q", "k", "v", "o")
) -> list[Projection]:
    """Every named projection of every layer, in layer order.

    Raises ModelError, listing the linear layers there are, where a layer lacks one of them.
    """
    path, layers = _decoder_layers(model)
    found: list[Projection] = []
    for number, layer in enumerate(layers):
        linears = _linear_layers(layer)
        roles = _separate(linears) or _fused(linears, model)
        missing = [name for name in names if name not in roles]
        if missing:
            there = ", ".join(f"{name} {_weight_shape(module)}" for name, module in linears.items())
            raise ModelError(
                f"Layer {number} ({path}.{number}) has no projection {', '.join(missing)} that "
                f"gradpipe can tell; its linear layers are: {there or 'none'}. Add their names to "
                "ROLES or FUSED in gradpipe/models/projections.py."
            )
        for name in names:
            inner, outputs = roles[name]
            found.append(
                Projection(number, name, f"{path}.{number}.{inner}", linears[inner], outputs)
            )
    return found


def _decoder_layers(model: nn.Module) -> tuple[str, nn.ModuleList]:
    from torch import nn

    lists = [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, nn.ModuleList)
        and len(module) > 0
        and all(_linear_layers(child) for child in module)
    ]
    if not lists:
        raise ModelError(
            "This model has no list of layers with linear layers in them: is it a decoder?"
        )
    # Ties go to the outermost: a mixture's experts sit inside a layer.
    return max(lists, key=lambda entry: (len(entry[1]), -len(entry[0])))


def _linear_layers(block: nn.Module) -> dict[str, nn.Module]:
    """Modules with a two-dimensional weight and nothing inside: Linear, GPT-2's Conv1D, ..."""
    from torch import nn

    return {
        name: module
        for name, module in block.named_modules()
        if not isinstance(module, nn.Embedding)
        and not any(module.children())
        and len(_weight_shape(module)) == 2
    }


def _weight_shape(module: Any) -> tuple[int, ...]:
    return tuple(getattr(getattr(module, "weight", None), "shape", ()))


def _separate(linears: dict[str, nn.Module]) -> dict[str, tuple[str, slice]]:
    """Q, K, V and O as four modules of one parent."""
    for parent in dict.fromkeys(name.rpartition(".")[0] for name in linears):
        inside = {
            name.rpartition(".")[2].lower(): name
            for name in linears
            if name.rpartition(".")[0] == parent
        }
        roles = {
            role: next((inside[word] for word in words if word in inside), None)
            for role, words in ROLES.items()
        }
        if all(roles.values()):
            return {role: (str(name), slice(None)) for role, name in roles.items()}
    return {}


def _fused(linears: dict[str, nn.Module], model: nn.Module) -> dict[str, tuple[str, slice]]:
    """One module for Q, K and V side by side, with O beside it."""
    name = next((name for name in linears if name.rpartition(".")[2].lower() in FUSED), None)
    if name is None:
        return {}
    parent = name.rpartition(".")[0]
    beside = {full.rpartition(".")[2].lower(): full for full in linears if full.startswith(parent)}
    output = next((beside[word] for word in ROLES["o"] if word in beside), None)
    q, kv = _widths(model)
    if output is None or q + 2 * kv not in _weight_shape(linears[name]):
        return {}
    return {
        "q": (name, slice(0, q)),
        "k": (name, slice(q, q + kv)),
        "v": (name, slice(q + kv, q + 2 * kv)),
        "o": (output, slice(None)),
    }


def _widths(model: nn.Module) -> tuple[int, int]:
    """Output columns of Q and of K or V, from the configuration's head counts."""
    config = model.config.get_text_config()  # type: ignore[operator,union-attr]
    heads = config.num_attention_heads
    head = getattr(config, "head_dim", None) or config.hidden_size // heads
    return heads * head, (getattr(config, "num_key_value_heads", None) or heads) * head
