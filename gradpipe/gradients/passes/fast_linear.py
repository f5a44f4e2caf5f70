"""Compute frozen linear layers on a CPU with the faster of torch's two matrix products.

By default, torch computes float32 products with MKL. On processors not made by Intel, MKL reaches
half of the speed of AVX-512 and oneDNN all of it. Measured on two cores of an AMD EPYC with 1024
tokens and the shapes of a 135M model: 160 to 170 GFLOP/s with MKL, 340 to 410 with oneDNN. Results
differ by rounding only.
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

#: Terms that oneDNN sums at once. Summing a vocabulary of 49 152 at once loses half a digit: errors
#: are 2e-6 to 4e-6, against 5e-7 to 9e-7 with MKL and 1.2e-6 to 1.5e-6 in parts, as fast.
TERMS_AT_ONCE = 1024
#: Least number of terms that are summed in parts.
MANY_TERMS = 16384
#: Least number of rows of X for which oneDNN is worth its copy of the weight.
SOME_ROWS = 16
#: Elements of a weight passed to oneDNN at once, since it makes a reordered copy: that of a whole
#: vocabulary would be larger than all activations of a short batch.
WEIGHT_AT_ONCE = 2**21
#: Tokens of the product on which the two libraries are timed.
PRODUCT_TRIAL_TOKENS = 128


@contextmanager
def faster_linears(model: nn.Module) -> Iterator[None]:
    """While open, the model's frozen linear layers use oneDNN if it is faster here.

    They then compute no gradients of their weights. Layers are not changed if they are on an
    accelerator, not float32, or have a replaced forward.
    """
    linears = [module for module in model.modules() if _replaceable(module)]
    if not linears or not _onednn_is_faster(linears):
        yield
        return
    faster = {
        module: partial(_FrozenLinear.apply, _as_linear(module), module.bias) for module in linears
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
    """Return a module's weight as [d_out, d_in]; Conv1D of GPT-2 stores it transposed."""
    weight: Tensor = module.weight
    return weight if isinstance(module, nn.Linear) else weight.T


def _onednn_product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return X Wᵀ + b by oneDNN, in parts if the sums or the weight are long."""
    outputs, terms = weight.shape
    if x.numel() < SOME_ROWS * terms:
        return torch.nn.functional.linear(x, weight, bias)
    if terms >= MANY_TERMS:
        parts = zip(x.split(TERMS_AT_ONCE, -1), _dense_parts(weight), strict=True)
        summed: Tensor = sum(onednn_linear(*part) for part in parts)  # type: ignore[assignment]
        return summed if bias is None else summed + bias
    if weight.numel() > WEIGHT_AT_ONCE and weight.is_contiguous():
        product = x.new_empty(*x.shape[:-1], outputs)
        step = max(1, WEIGHT_AT_ONCE // terms)
        for start in range(0, outputs, step):
            part = slice(start, start + step)
            part_bias = None if bias is None else bias[part]
            product[..., part] = onednn_linear(x, weight[part], part_bias)
        return product
    return onednn_linear(x, weight, bias)


def _dense_parts(weight: Tensor) -> Iterator[Tensor]:
    """Yield TERMS_AT_ONCE columns of [d_out, d_in] at a time, each part dense in memory.

    On strided columns, oneDNN would take thousands of times as long.
    """
    for part in weight.split(TERMS_AT_ONCE, 1):
        yield part if part.T.is_contiguous() else part.contiguous()


def _onednn_is_faster(modules: list[Any]) -> bool:
    """Return whether oneDNN is faster, with equal results, for the most common shape; by trial."""
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
