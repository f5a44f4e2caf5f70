"""Frozen linear layers on a CPU, by the faster of the two matrix products that torch brings.

torch takes a float32 product from MKL, whose kernels on processors other than Intel's use half of
what AVX-512 offers; oneDNN's use all of it. Measured on two cores of an AMD EPYC at 1024 tokens and
the shapes of a 135M model: 160 to 170 GFLOP/s against 340 to 410. The two differ in rounding only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

#: A product with a weight W [d_out, d_in]: X [..., d_in] to X Wᵀ + b [..., d_out].
Product = Callable[["Tensor", "Tensor", "Tensor | None"], "Tensor"]
#: Terms of a sum that oneDNN adds up at once: a whole vocabulary of 49 152 in one go loses half a
#: digit (2e-6 to 4e-6 against 5e-7 to 9e-7 of MKL's; in parts 1.2e-6 to 1.5e-6, as fast).
TERMS_AT_ONCE = 1024
#: Terms from which on they are added up in parts.
MANY_TERMS = 16384
#: Tokens of the products that the two are compared by.
TRIAL_TOKENS = 128


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
    linear = _frozen_linear(_onednn_product)
    for module in changed:
        # An attribute of the instance, so that hooks on the module still see it called.
        module.forward = partial(linear, _as_linear(module), module.bias)
    try:
        yield
    finally:
        for module in changed:
            del module.forward


def _replaceable(module: Any) -> bool:
    import torch
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    return (
        type(module) in {nn.Linear, Conv1D}
        and "forward" not in vars(module)
        and module.weight.device.type == "cpu"
        and module.weight.dtype == torch.float32
        and not module.weight.requires_grad
    )


def _as_linear(module: Any) -> Tensor:
    """The module's weight as [d_out, d_in]: GPT-2's layers keep it transposed."""
    from torch import nn

    weight: Tensor = module.weight
    return weight if isinstance(module, nn.Linear) else weight.T


def _onednn_product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    import torch

    terms = weight.shape[1]
    if terms < MANY_TERMS:
        found: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
        return found
    parts = zip(x.split(TERMS_AT_ONCE, -1), weight.split(TERMS_AT_ONCE, 1), strict=True)
    found = sum(_onednn_product(*part, None) for part in parts)  # type: ignore[assignment]
    return found if bias is None else found + bias


def _onednn_is_faster(modules: list[Any]) -> bool:
    """Whether it is, and gives the same, at the model's most common shape; by trial."""
    import torch
    from torch.nn import functional

    if not torch.backends.mkldnn.is_available() or not hasattr(
        torch.ops.mkldnn, "_linear_pointwise"
    ):
        return False
    shapes = [tuple(_as_linear(module).shape) for module in modules]
    common = max(shapes, key=shapes.count)
    weight = _as_linear(modules[shapes.index(common)])
    x = torch.ones(TRIAL_TOKENS, common[1]).cumsum(0).rsqrt()
    seconds: dict[Product, list[float]] = {functional.linear: [], _onednn_product: []}
    found = {}
    for _ in range(5):
        for product, taken in seconds.items():
            started = time.perf_counter()
            found[product] = product(x, weight, None)
            taken.append(time.perf_counter() - started)
    ours, torchs = found[_onednn_product], found[functional.linear]
    equal = torch.allclose(ours, torchs, rtol=1e-4, atol=1e-5 * float(torchs.abs().max()))
    return equal and median(seconds[_onednn_product]) < 0.9 * median(seconds[functional.linear])


def _frozen_linear(product: Product) -> Callable[..., Tensor]:
    """X Wᵀ + b whose backward pass knows X's gradient only."""
    import torch

    class FrozenLinear(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, weight: Tensor, bias: Tensor | None, x: Tensor) -> Tensor:
            ctx.weight = weight
            return product(x, weight, bias)

        @staticmethod
        def backward(ctx: Any, *gradients: Tensor) -> tuple[None, None, Tensor]:
            return None, None, product(gradients[0], ctx.weight.T, None)

    return FrozenLinear.apply
