"""Products ABᵀ of factors in single precision, as fast as the device has them.

On a CPU that is whichever of torch's two libraries is faster. An NVIDIA GPU takes factors of half
precision as they are, ten times as fast, and adds up in single precision: nothing is lost.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from statistics import median
from typing import Any

import torch
from torch import Tensor

#: Rows, columns and terms of the product that the two are compared by.
TRIAL = 128, 256, 512


def ready(factor: Tensor) -> Tensor:
    """In single precision at least, or as it is where products add up in that."""
    if factor.device.type == "cuda" and torch.version.hip is None:
        return factor.detach()
    return factor.detach().to(torch.promote_types(factor.dtype, torch.float32))


def outer(a: Tensor, b: Tensor) -> Tensor:
    """ABᵀ [R, n, m] of A [R, n, k] and B [R, m, k], both as ``ready`` has them."""
    if a.dtype != b.dtype:
        both = torch.promote_types(torch.promote_types(a.dtype, b.dtype), torch.float32)
        a, b = a.to(both), b.to(both)
    if a.dtype in (torch.bfloat16, torch.float16):
        return torch.bmm(a, b.mT, out_dtype=torch.float32)
    if a.device.type != "cpu" or a.dtype != torch.float32 or not onednn_is_faster():
        return a @ b.mT
    found = [onednn_linear(*pair) for pair in zip(a, b, strict=True)]
    return found[0][None] if len(found) == 1 else torch.stack(found)


@cache
def onednn_is_faster() -> bool:
    """Whether it is, and there at all; by trial, once a process."""
    if not onednn_is_there():
        return False
    n, m, k = TRIAL
    a, b = (torch.ones(rows, k).cumsum(0).rsqrt() for rows in (n, m))
    return is_faster(onednn_linear, lambda a, b: a @ b.mT, (a, b))


def onednn_is_there() -> bool:
    """Whether this torch has oneDNN's product."""
    there: bool = torch.backends.mkldnn.is_available()
    return there and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def onednn_linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """X Wᵀ + b by oneDNN: X [..., d_in], W [d_out, d_in]."""
    found: Tensor = torch.ops.mkldnn._linear_pointwise(
        x, weight, bias, attr="none", scalars=[], algorithm=""
    )
    return found


def is_faster(
    product: Callable[..., Tensor],
    usual: Callable[..., Tensor],
    given: tuple[Any, ...],
    slack: float = 0.0,
) -> bool:
    """Whether a product is faster than the usual one by a tenth, and gives the same; by trial.

    The same is within 1e-4 of each entry, and ``slack`` of the largest. Never where the result is
    not finite, as with a weight that is not: then there is nothing to compare.
    """
    seconds: dict[Callable[..., Tensor], list[float]] = {usual: [], product: []}
    found = {}
    for _ in range(5):
        for each, taken in seconds.items():
            started = time.perf_counter()
            found[each] = each(*given)
            taken.append(time.perf_counter() - started)
    ours, expected = found[product], found[usual]
    if not bool(torch.isfinite(expected).all()):
        return False
    atol = slack * float(expected.abs().max())
    equal = torch.allclose(ours, expected, rtol=1e-4, atol=atol)
    return equal and median(seconds[product]) < 0.9 * median(seconds[usual])
