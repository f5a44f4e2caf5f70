"""Symmetric products with little over half of the arithmetic: only lower blocks are computed.

BLAS has such products for single matrices (syrk, trmm). Torch has none, and no library has them for
batches of matrices on an accelerator.
"""

from __future__ import annotations

from torch import Tensor

from gradpipe.gradients.spectra.sizes import WORTH_BLOCKS

#: Blocks per side.
BLOCKS = 3


def outer_product(x: Tensor) -> Tensor:
    """Return XXᵀ [R, n, n] of X [R, n, d], with 2/3 of the arithmetic of a full product."""
    n = x.shape[1]
    if n < WORTH_BLOCKS:
        return x @ x.mT
    lower = x.new_empty(len(x), n, n)
    for start, stop in _blocks(n):
        lower[:, start:stop, :stop] = x[:, start:stop] @ x[:, :stop].mT
    return _mirror(lower)


def congruence(factor: Tensor, a: Tensor) -> Tensor:
    """Return LᵀAL [R, n, n] of lower triangular L and symmetric A.

    Takes 3/5 of the arithmetic of two full products.
    """
    n = a.shape[1]
    if n < WORTH_BLOCKS:
        return factor.mT @ a @ factor
    half = a.new_empty(a.shape)
    for start, stop in _blocks(n):
        # L is zero above its diagonal.
        half[:, start:stop] = factor[:, start:, start:stop].mT @ a[:, start:]
    lower = a.new_empty(a.shape)
    for start, stop in _blocks(n):
        lower[:, start:, start:stop] = half[:, start:, start:] @ factor[:, start:, start:stop]
    return _mirror(lower)


def _blocks(n: int) -> list[tuple[int, int]]:
    """Return the start and stop of each block of n rows."""
    size = -(-n // BLOCKS)
    return [(start, min(start + size, n)) for start in range(0, n, size)]


def _mirror(lower: Tensor) -> Tensor:
    """Fill in the upper blocks of symmetric matrices [R, n, n], in place."""
    for start, stop in _blocks(lower.shape[1]):
        lower[:, :start, start:stop] = lower[:, start:stop, :start].mT
    return lower
