"""Identify the columns of a fused layer by their effect in a few forward and backward passes.

The gradients of a causal attention identify its parts. A text of one token has a single attention
weight, which is one for any query and key: only the value's columns have a gradient. In a longer
text, later tokens attend to the first token: its key has a gradient too, but its query has none. A
gated MLP is linear in ``up``: scaling its columns, and no others, scales the input of ``down`` by
the same factor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from gradpipe.models.devices import input_device
from gradpipe.models.evaluation import evaluation
from gradpipe.models.layouts import ColumnLayout, layouts

#: Largest gradient at columns that should have none, relative to the largest at columns with one.
#: Measured on a pre-trained model in float32, float16 and bfloat16: at most 4e-7 for the right
#: columns, at least 0.03 for wrong ones.
TOLERANCE = 0.01
#: Tolerance for scaled values: two passes may round differently.
_NEAR = 0.1
_TOKENS = 8
#: A power of two, exact in every dtype; negative, since ReLU is linear for positive factors.
_SCALE = -0.5


def probe_attention(
    model: Any, fused: nn.Module, output: nn.Module, roles: tuple[str, ...]
) -> ColumnLayout | None:
    """Identify the columns of q, k and v in ``fused``; None if they cannot be distinguished.

    ``output`` is the output projection of the same attention. The model stays on its devices and is
    restored afterwards; no weight gets a gradient.
    """
    alone = _gradient(model, fused, output, 1)
    several = _gradient(model, fused, output, _TOKENS)
    if alone is None or several is None:
        return None
    (alone_d, inner), (several_d, _) = alone, several
    widths = _widths(roles, alone_d.shape[-1], inner)
    if widths is None:
        return None
    fitting = [layout for layout in layouts(widths) if _fits(layout, alone_d[0], several_d[0])]
    return fitting[0] if len(fitting) == 1 else None


def probe_gate(
    model: Any, fused: nn.Module, down: nn.Module, roles: tuple[str, ...] = ("gate", "up")
) -> ColumnLayout | None:
    """Identify the columns of ``roles``, gate and up, in ``fused``; None if indistinguishable.

    ``down`` is the layer that reads their product. The model is restored afterwards.
    """
    plain, width = _scaled(model, fused, down, None)
    if plain is None or width is None or width != 2 * plain.shape[-1]:
        return None
    half = width // 2
    for layout in layouts(dict.fromkeys(roles, half)):
        if layout["up"].groups not in {1, half}:
            continue
        scaled, _ = _scaled(model, fused, down, layout)
        if scaled is not None and _largest(scaled - _SCALE * plain) < _NEAR * _largest(plain):
            return layout
    return None


def _widths(roles: tuple[str, ...], total: int, inner: int) -> dict[str, int] | None:
    """Return the widths of the parts of ``total`` columns; None if they do not add up.

    ``inner`` is the number of O's inputs, which equals the width of q, and of v in all heads.
    """
    if set(roles) == {"q", "k", "v"}:
        widths = {"q": inner, "k": (total - inner) // 2, "v": (total - inner) // 2}
    elif set(roles) == {"k", "v"}:
        # If O has fewer inputs than there are columns, each head has its own values.
        values = inner if inner < total else total // 2
        widths = {"k": total - values, "v": values}
    else:
        widths = {role: inner if role == "q" else total - inner for role in roles}
    return widths if sum(widths.values()) == total and min(widths.values()) > 0 else None


def _fits(layout: ColumnLayout, alone: Tensor, first: Tensor) -> bool:
    """Return whether a layout fits the gradients [all] of a lone token and of a first token."""
    others = tuple(role for role in layout if role != "v")
    values_fit = "v" not in layout or _only(layout, "v", others, alone)
    keys_fit = not {"q", "k"} <= set(layout) or _only(layout, "k", ("q",), first)
    return values_fit and keys_fit


def _only(layout: ColumnLayout, role: str, others: tuple[str, ...], d: Tensor) -> bool:
    """Return whether ``d`` [all] is nonzero at the columns of ``role``, and zero at ``others``."""
    largest = _largest(layout[role].take(d))
    return largest > 0 and all(
        _largest(layout[other].take(d)) <= TOLERANCE * largest for other in others
    )


def _largest(values: Tensor) -> float:
    return float(values.abs().max())


def _gradient(
    model: Any, fused: nn.Module, output: nn.Module, tokens: int
) -> tuple[Tensor, int] | None:
    """Return the gradient [tokens, all] of a random sum of ``output``'s outputs at ``fused``.

    Also returns the number of inputs of ``output``. None if a text does not pass both modules.
    """
    seen: dict[str, Tensor] = {}

    def cut(_module: nn.Module, _inputs: tuple[Tensor, ...], result: Tensor) -> Tensor:
        torch.set_grad_enabled(True)
        seen["leaf"] = result.detach().requires_grad_(True)
        # Cloned, since a leaf cannot be changed in place.
        return seen["leaf"].clone()

    def keep(_module: nn.Module, inputs: tuple[Tensor, ...], result: Tensor) -> Tensor:
        # The graph ends here: a graph of all layers would keep offloaded weights in memory.
        torch.set_grad_enabled(False)
        seen["inner"], seen["result"] = inputs[0], result
        return result.detach()

    with evaluation(model), torch.no_grad():
        _forward(model, tokens, {fused: cut, output: keep})
    if seen.keys() != {"leaf", "inner", "result"} or not seen["result"].requires_grad:
        return None
    result = seen["result"]
    weights = torch.randn(result.shape, generator=torch.Generator().manual_seed(0))
    (d,) = torch.autograd.grad(
        result, seen["leaf"], weights.to(result.device, result.dtype), allow_unused=True
    )
    if d is None or not bool(torch.isfinite(d).all()):
        return None
    return d.float().cpu().reshape(tokens, -1), seen["inner"].shape[-1]


def _scaled(
    model: Any, fused: nn.Module, down: nn.Module, layout: ColumnLayout | None
) -> tuple[Tensor | None, int | None]:
    """Return the input of ``down`` and the width of ``fused``.

    With a ``layout``, the columns of ``up`` are scaled.
    """
    seen: dict[str, Tensor] = {}

    def scale(_module: nn.Module, _inputs: tuple[Tensor, ...], result: Tensor) -> Tensor | None:
        seen["fused"] = result
        if layout is None:
            return None
        changed = result.clone()
        changed[..., layout["up"].take(torch.arange(result.shape[-1]))] *= _SCALE
        return changed

    def keep(_module: nn.Module, inputs: tuple[Tensor, ...], _result: Tensor) -> None:
        seen["inner"] = inputs[0].detach().float().cpu()

    with evaluation(model), torch.no_grad():
        _forward(model, _TOKENS, {fused: scale, down: keep})
    return seen.get("inner"), seen["fused"].shape[-1] if "fused" in seen else None


def _forward(model: Any, tokens: int, hooks: Mapping[nn.Module, Callable[..., Any]]) -> None:
    """Run one text through the model, with forward hooks on some modules."""
    vocabulary = model.get_input_embeddings().weight.shape[0]
    # Spread over the vocabulary: different ids, without the special ones at its ends.
    ids = torch.arange(1, tokens + 1) * vocabulary // (tokens + 1)
    with ExitStack() as stack:
        for module, hook in hooks.items():
            stack.callback(module.register_forward_hook(hook).remove)
        ids = ids[None].to(input_device(model))
        encoder = getattr(getattr(model, "config", None), "is_encoder_decoder", False)
        model(**({"decoder_input_ids": ids} if encoder else {}), input_ids=ids, use_cache=False)
