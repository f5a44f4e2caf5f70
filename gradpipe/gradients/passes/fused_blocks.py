"""Compute norms and gated MLPs of frozen models with less work and memory than autograd.

As separate tensor operations, an RMS norm reads its activations a dozen times and saves them twice
for the backward pass. As one operation with an explicit derivative, it takes a third of the time
(1.1 ms instead of 2.9 ms for 512 tokens of width 576 on two cores). A gated MLP saves two
activations instead of three. Norms and MLPs are recognized by trial, not by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from gradpipe.gradients.passes.replaced_forward import replaced_forwards

#: Largest relative difference between the outputs of a module and its twin, and tokens per trial.
SAME = 1e-5
TWIN_TRIAL_TOKENS = 4
EPSILONS = ("variance_epsilon", "eps", "epsilon")
GATED_MLP_CHILDREN = ("gate_proj", "up_proj", "down_proj", "act_fn")


@contextmanager
def fused_blocks(model: nn.Module) -> Iterator[None]:
    """While open, each float32 RMS norm and SiLU-gated MLP of the model is one operation.

    They then compute no gradients of their weights. Modules with a replaced forward, or with more
    inputs than the activations, do not change.
    """
    fused = {}
    for module in model.modules():
        twins = _twins(module)
        if twin := next((twin for twin in twins if _same(module, twin)), None):
            fused[module] = twin
    with replaced_forwards(fused):
        yield


def _twins(module: Any) -> list[Callable[[Tensor], Tensor]]:
    """Return the possible replacements of a module's forward, judging by its structure."""
    weights = list(module.parameters())
    if (
        not weights
        or "forward" in vars(module)
        # The norms of recurrent layers take a gate as well.
        or len(signature(module.forward).parameters) != 1
        or any(
            weight.dtype != torch.float32 or weight.requires_grad or weight.device.type == "meta"
            for weight in weights
        )
    ):
        return []
    children = [name for name, _ in module.named_children()]
    if sorted(children) == sorted(GATED_MLP_CHILDREN):
        return [partial(_gated, module)]
    epsilons = [vars(module)[name] for name in EPSILONS if name in vars(module)]
    if children or len(weights) != 1 or weights[0].dim() != 1 or not epsilons:
        return []
    # Norms of Gemma multiply by 1 + weight.
    return [partial(_RmsNorm.apply, gain, epsilons[0]) for gain in (weights[0], weights[0] + 1)]


def _same(module: Any, twin: Callable[[Tensor], Tensor]) -> bool:
    """Return whether a module and its twin have equal outputs for a few tokens."""
    weight = next(module.parameters())
    width = weight.shape[-1]
    x = torch.linspace(-2, 2, TWIN_TRIAL_TOKENS * width, device=weight.device).sin()
    x = x.view(TWIN_TRIAL_TOKENS, width)
    with torch.no_grad():
        # Its forward, not the module, so that no hooks run.
        expected = module.forward(x)
        return bool((twin(x) - expected).norm() <= SAME * expected.norm())


def _gated(mlp: Any, x: Tensor) -> Tensor:
    product = _GatedProduct.apply(mlp.gate_proj(x), mlp.up_proj(x))  # type: ignore[no-untyped-call]
    outputs: Tensor = mlp.down_proj(product)
    return outputs


class _RmsNorm(torch.autograd.Function):
    """(gain, ε, x) → gain · x / √(mean x² + ε)."""

    @staticmethod
    def forward(ctx: Any, gain: Tensor, epsilon: float, x: Tensor) -> Tensor:
        square = torch.linalg.vector_norm(x, dim=-1, keepdim=True).square_()
        scale = square.div_(x.shape[-1]).add_(epsilon).rsqrt_()
        ctx.gain = gain
        ctx.save_for_backward(x, scale)
        normed: Tensor = (x * scale).mul_(gain)
        return normed

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, None, Tensor]:
        x, scale = ctx.saved_tensors
        scaled = gradients[0] * ctx.gain
        along = torch.linalg.vecdot(scaled, x, dim=-1).unsqueeze(-1)
        along.mul_(scale.pow(3)).div_(-x.shape[-1])
        return None, None, scaled.mul_(scale).addcmul_(x, along)


class _GatedProduct(torch.autograd.Function):
    """(a, b) → silu(a) · b."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        ctx.save_for_backward(a, b)
        return functional.silu(a).mul_(b)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        a, b = ctx.saved_tensors
        gradient_of_a: Tensor = torch.ops.aten.silu_backward(gradients[0] * b, a)
        return gradient_of_a, functional.silu(a).mul_(gradients[0])
