"""Products ABᵀ of factors in single precision, as fast as the device has them.

On a CPU that is whichever of torch's two libraries is faster. An NVIDIA GPU takes factors of half
precision as they are, ten times as fast, and adds up in single precision: nothing is lost.
"""

from __future__ import annotations

import time
from functools import cache
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

#: Rows, columns and terms of the product that the two are compared by.
TRIAL = 128, 256, 512


def ready(factor: Tensor) -> Tensor:
    """In single precision at least, or as it is where products add up in that."""
    import torch

    if factor.device.type == "cuda" and torch.version.hip is None:
        return factor.detach()
    return factor.detach().to(torch.promote_types(factor.dtype, torch.float32))


def outer(a: Tensor, b: Tensor) -> Tensor:
    """ABᵀ [R, n, m] of A [R, n, k] and B [R, m, k], both as ``ready`` has them."""
    import torch

    if a.dtype != b.dtype:
        both = torch.promote_types(torch.promote_types(a.dtype, b.dtype), torch.float32)
        a, b = a.to(both), b.to(both)
    if a.dtype in (torch.bfloat16, torch.float16):
        return torch.bmm(a, b.mT, out_dtype=torch.float32)
    if a.device.type != "cpu" or a.dtype != torch.float32 or not onednn_is_faster():
        return a @ b.mT
    found = [_onednn(*pair) for pair in zip(a, b, strict=True)]
    return found[0][None] if len(found) == 1 else torch.stack(found)


@cache
def onednn_is_faster() -> bool:
    """Whether it is, and there at all; by trial, once a process (see ``gradients.kernels``)."""
    import torch

    if not torch.backends.mkldnn.is_available() or not hasattr(
        torch.ops.mkldnn, "_linear_pointwise"
    ):
        return False
    n, m, k = TRIAL
    a, b = (torch.ones(rows, k).cumsum(0).rsqrt() for rows in (n, m))
    seconds: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(5):
        for ours, taken in seconds.items():
            started = time.perf_counter()
            found = _onednn(a, b) if ours else a @ b.mT
            taken.append(time.perf_counter() - started)
    equal = torch.allclose(found, a @ b.mT, rtol=1e-4)
    return equal and median(seconds[True]) < 0.9 * median(seconds[False])


def _onednn(a: Tensor, b: Tensor) -> Tensor:
    import torch

    found: Tensor = torch.ops.mkldnn._linear_pointwise(a, b, None, "none", [], "")
    return found
