"""Identify the columns of a fused layer by their effect in a few forward and backward passes.

The gradients of a causal attention identify its parts. A token that sees only itself has one key,
whose weight is one for any query and key. No gradient reaches either; only the value's columns
carry one. The same holds for the first token of a text, except that later tokens look at it: its
key carries a gradient, its query does not. A gated MLP is linear in ``up``: scaling its columns
scales the input of ``down`` by the same factor, which no other columns do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from gradpipe.models.devices import input_device
from gradpipe.models.layouts import ColumnLayout, layouts

#: The largest gradient at columns that should have none may be as much of the largest at those that
#: have one. (Measured on a pre-trained model, in float32 and both halves: 4e-7 where the columns
#: are the right ones, no less than 0.03 where they are not.)
TOLERANCE = 0.01
#: Tolerance for scaled values: two passes may round differently.
_NEAR = 0.1
_TOKENS = 8
#: A power of two is exact in every dtype; negative, because a ReLU too is linear in positive ones.
_SCALE = -0.5


def probe_attention(
    model: Any, fused: nn.Module, output: nn.Module, roles: tuple[str, ...]
) -> ColumnLayout | None:
    """Identify the columns of q, k and v in ``fused``; None if they cannot be distinguished.

    ``output`` is the same attention's output projection. The model is restored afterwards, on its
    current devices; its weights take no gradient.
    """
    alone = _gradient(model, fused, output, 1)
    several = _gradient(model, fused, output, _TOKENS)
    if alone is None or several is None:
        return None
    (alone_d, inner), (several_d, _) = alone, several
    widths = _widths(roles, alone_d.shape[-1], inner)
    if widths is None:
        return None
    fitting = [each for each in layouts(widths) if _fits(each, alone_d[0], several_d[0])]
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
    """The widths of the parts of ``total`` columns; None if they do not add up.

    ``inner`` are O's inputs: as many as there are queries, or values of every head.
    """
    if set(roles) == {"q", "k", "v"}:
        widths = {"q": inner, "k": (total - inner) // 2, "v": (total - inner) // 2}
    elif set(roles) == {"k", "v"}:
        # Fewer than there are columns: each head has its own values, beside keys of any width.
        values = inner if inner < total else total // 2
        widths = {"k": total - values, "v": values}
    else:
        widths = {role: inner if role == "q" else total - inner for role in roles}
    return widths if sum(widths.values()) == total and min(widths.values()) > 0 else None


def _fits(layout: ColumnLayout, alone: Tensor, first: Tensor) -> bool:
    """Whether gradients of a lone token [all] and of a text's first one are where they must be."""
    others = tuple(role for role in layout if role != "v")
    values_tell = "v" not in layout or _only(layout, "v", others, alone)
    keys_tell = not {"q", "k"} <= set(layout) or _only(layout, "k", ("q",), first)
    return values_tell and keys_tell


def _only(layout: ColumnLayout, role: str, others: tuple[str, ...], d: Tensor) -> bool:
    """Whether the columns of one part carry a gradient in ``d`` [all], and the others' none."""
    largest = _largest(layout[role].take(d))
    return largest > 0 and all(
        _largest(layout[other].take(d)) <= TOLERANCE * largest for other in others
    )


def _largest(values: Tensor) -> float:
    return float(values.abs().max())


def _gradient(
    model: Any, fused: nn.Module, output: nn.Module, tokens: int
) -> tuple[Tensor, int] | None:
    """The gradient of a random sum of ``output``'s outputs at ``fused``'s [tokens, all].

    With the number of ``output``'s inputs; None where a text passes one without the other.
    """
    seen: dict[str, Tensor] = {}

    def cut(_module: nn.Module, _inputs: tuple[Tensor, ...], result: Tensor) -> Tensor:
        torch.set_grad_enabled(True)
        seen["leaf"] = result.detach().requires_grad_(True)
        # A leaf itself could not be changed in place.
        return seen["leaf"].clone()

    def keep(_module: nn.Module, inputs: tuple[Tensor, ...], result: Tensor) -> Tensor:
        # A graph of the attention alone: all layers' would hold weights that are brought in for it.
        torch.set_grad_enabled(False)
        seen["inner"], seen["result"] = inputs[0], result
        return result.detach()

    with _as_it_was(model):
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
    """What enters ``down`` where ``up``'s columns are scaled, or nothing is; ``fused``'s width."""
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

    with _as_it_was(model):
        _forward(model, _TOKENS, {fused: scale, down: keep})
    return seen.get("inner"), seen["fused"].shape[-1] if "fused" in seen else None


def _forward(model: Any, tokens: int, hooks: Mapping[nn.Module, Callable[..., Any]]) -> None:
    """One text through the model, each module's outputs through its hook."""
    vocabulary = model.get_input_embeddings().weight.shape[0]
    # Spread over the vocabulary: they differ, and miss the special ones at its ends.
    ids = torch.arange(1, tokens + 1) * vocabulary // (tokens + 1)
    with ExitStack() as stack:
        for module, hook in hooks.items():
            stack.callback(module.register_forward_hook(hook).remove)
        model(input_ids=ids[None].to(input_device(model)), use_cache=False)


@contextmanager
def _as_it_was(model: nn.Module) -> Iterator[None]:
    """Disable gradients, set evaluation mode, and restore the mode of each module afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, training in modes:
            module.training = training
