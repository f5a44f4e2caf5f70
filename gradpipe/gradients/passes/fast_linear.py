"""Frozen linear layers on a CPU, by the faster of the two matrix products that torch brings.

torch takes a float32 product from MKL, whose kernels on processors other than Intel's use half of
what AVX-512 offers; oneDNN's use all of it. Measured on two cores of an AMD EPYC at 1024 tokens and
the shapes of a 135M model: 160 to 170 GFLOP/s against 340 to 410. The two differ in rounding only.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.pytorch_utils import Conv1D

from gradpipe.gradients.passes.replaced_forward import replaced_forwards
from gradpipe.gradients.spectra.matmul import is_faster, onednn_is_there, onednn_linear

#: Terms of a sum that oneDNN adds up at once: a whole vocabulary of 49 152 in one go loses half a
#: digit (2e-6 to 4e-6 against 5e-7 to 9e-7 of MKL's; in parts 1.2e-6 to 1.5e-6, as fast).
TERMS_AT_ONCE = 1024
#: Terms from which on they are added up in parts.
MANY_TERMS = 16384
#: Rows of X from which on oneDNN is worth its copy of the weight.
SOME_ROWS = 16
#: Numbers of a weight that oneDNN is given at once, since it makes a copy in an order of its own:
#: of a vocabulary's, larger than all the activations of a short batch.
WEIGHT_AT_ONCE = 2**21
#: Tokens of the products that the two are compared by.
PRODUCT_TRIAL_TOKENS = 128


@contextmanager
def faster_linears(model: nn.Module) -> Iterator[None]:
    """While open, the model's frozen linear layers use the product that is faster here.

    They have no gradient for their weights then. Layers on an accelerator, of another precision
    than float32, or whose forward somebody else has replaced are left as they are.
    """
    changed = [module for module in model.modules() if _replaceable(module)]
    if not changed or not _onednn_is_faster(changed):
        yield
        return
    faster = {
        module: partial(_FrozenLinear.apply, _as_linear(module), module.bias) for module in changed
    }
    with replaced_forwards(faster):
        yield


def _replaceable(module: Any) -> bool:
    return (
        type(module) in {nn.Linear, Conv1D}
        and "forward" not in vars(module)
        and module.weight.device.type == "cpu"
        and module.weight.dtype == torch.float32
        and not module.weight.requires_grad
    )


def _as_linear(module: Any) -> Tensor:
    """The module's weight as [d_out, d_in]: GPT-2's layers keep it transposed."""
    weight: Tensor = module.weight
    return weight if isinstance(module, nn.Linear) else weight.T


def _onednn_product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    outputs, terms = weight.shape
    if x.numel() < SOME_ROWS * terms:
        return torch.nn.functional.linear(x, weight, bias)
    if terms >= MANY_TERMS:
        parts = zip(x.split(TERMS_AT_ONCE, -1), _dense_parts(weight), strict=True)
        summed: Tensor = sum(onednn_linear(*part) for part in parts)  # type: ignore[assignment]
        return summed if bias is None else summed + bias
    if weight.numel() > WEIGHT_AT_ONCE and weight.is_contiguous():
        found = x.new_empty(*x.shape[:-1], outputs)
        step = max(1, WEIGHT_AT_ONCE // terms)
        for start in range(0, outputs, step):
            part = slice(start, start + step)
            found[..., part] = onednn_linear(x, weight[part], None if bias is None else bias[part])
        return found
    return onednn_linear(x, weight, bias)


def _dense_parts(weight: Tensor) -> Iterator[Tensor]:
    """TERMS_AT_ONCE columns of [d_out, d_in] at a time, without others in between.

    Over those that lie apart oneDNN takes thousands of times as long.
    """
    for part in weight.split(TERMS_AT_ONCE, 1):
        yield part if part.T.is_contiguous() else part.contiguous()


def _onednn_is_faster(modules: list[Any]) -> bool:
    """Whether it is, and gives the same, at the model's most common shape; by trial."""
    if not onednn_is_there():
        return False
    shapes = [tuple(_as_linear(module).shape) for module in modules]
    common = max(shapes, key=shapes.count)
    weight = _as_linear(modules[shapes.index(common)])
    x = torch.ones(PRODUCT_TRIAL_TOKENS, common[1]).cumsum(0).rsqrt()
    return is_faster(_onednn_product, functional.linear, (x, weight, None), slack=1e-5)


class _FrozenLinear(torch.autograd.Function):
    """X Wᵀ + b by oneDNN; the backward pass computes the gradient of X only."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, bias: Tensor | None, x: Tensor) -> Tensor:
        ctx.weight = weight
        return _onednn_product(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, None, Tensor]:
        return None, None, _onednn_product(gradients[0], ctx.weight.T, None)
