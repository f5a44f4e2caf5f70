"""Products ABᵀ of factors in single precision, as fast as the device can compute them.

A CPU uses the faster one of torch's two libraries, MKL and oneDNN. An NVIDIA GPU multiplies
half-precision factors without conversion, ten times as fast, and accumulates in single precision,
so no precision is lost.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from statistics import median
from typing import Any

import torch
from torch import Tensor

#: Rows, columns and terms of the product on which the two libraries are timed.
TRIAL = 128, 256, 512


def ready(factor: Tensor) -> Tensor:
    """Detach a factor; convert it to single precision if products would accumulate in less."""
    if factor.device.type == "cuda" and torch.version.hip is None:
        return factor.detach()
    return factor.detach().to(torch.promote_types(factor.dtype, torch.float32))


def outer(a: Tensor, b: Tensor) -> Tensor:
    """Return ABᵀ [R, n, m] of A [R, n, k] and B [R, m, k], both from ``ready``."""
    if a.dtype != b.dtype:
        both = torch.promote_types(torch.promote_types(a.dtype, b.dtype), torch.float32)
        a, b = a.to(both), b.to(both)
    if a.dtype in (torch.bfloat16, torch.float16):
        return torch.bmm(a, b.mT, out_dtype=torch.float32)
    if a.device.type != "cpu" or a.dtype != torch.float32 or not onednn_is_faster():
        return a @ b.mT
    products = [onednn_linear(*pair) for pair in zip(a, b, strict=True)]
    return products[0][None] if len(products) == 1 else torch.stack(products)


@cache
def onednn_is_faster() -> bool:
    """Return whether oneDNN is available and faster than MKL, by one trial per process."""
    if not onednn_is_there():
        return False
    n, m, k = TRIAL
    a, b = (torch.ones(rows, k).cumsum(0).rsqrt() for rows in (n, m))
    return is_faster(onednn_linear, lambda a, b: a @ b.mT, (a, b))


def onednn_is_there() -> bool:
    """Return whether this build of torch has oneDNN's product."""
    there: bool = torch.backends.mkldnn.is_available()
    return there and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def onednn_linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return X Wᵀ + b, computed by oneDNN, of X [..., d_in] and W [d_out, d_in]."""
    product: Tensor = torch.ops.mkldnn._linear_pointwise(
        x, weight, bias, attr="none", scalars=[], algorithm=""
    )
    return product


def is_faster(
    product: Callable[..., Tensor],
    usual: Callable[..., Tensor],
    inputs: tuple[Any, ...],
    slack: float = 0.0,
) -> bool:
    """Return whether ``product`` equals ``usual`` and is faster by a tenth, by trial.

    Results are equal if they differ by at most 1e-4 of each entry plus ``slack`` times the largest
    entry. Returns False if the usual result is not finite, since it cannot be compared.
    """
    seconds: dict[Callable[..., Tensor], list[float]] = {usual: [], product: []}
    results = {}
    for _ in range(5):
        for function, times in seconds.items():
            started = time.perf_counter()
            results[function] = function(*inputs)
            times.append(time.perf_counter() - started)
    ours, expected = results[product], results[usual]
    if not bool(torch.isfinite(expected).all()):
        return False
    atol = slack * float(expected.abs().max())
    equal = torch.allclose(ours, expected, rtol=1e-4, atol=atol)
    return equal and median(seconds[product]) < 0.9 * median(seconds[usual])
