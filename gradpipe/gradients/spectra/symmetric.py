"""Symmetric products in a little over half of the arithmetic: only the lower blocks are computed.

BLAS has such products for one matrix (syrk, trmm); torch has none, and no library has them for
stacks of matrices on an accelerator.
"""

from __future__ import annotations

from torch import Tensor

from gradpipe.gradients.spectra.sizes import WORTH_BLOCKS

#: Blocks per side.
BLOCKS = 3


def outer_product(x: Tensor) -> Tensor:
    """XXᵀ [R, n, n] of X [R, n, d], in 2/3 of a product's arithmetic."""
    n = x.shape[1]
    if n < WORTH_BLOCKS:
        return x @ x.mT
    found = x.new_empty(len(x), n, n)
    for start, stop in _blocks(n):
        found[:, start:stop, :stop] = x[:, start:stop] @ x[:, :stop].mT
    return _mirrored(found)


def congruence(factor: Tensor, a: Tensor) -> Tensor:
    """LᵀAL [R, n, n] of lower triangular L and symmetric A, in 3/5 of two products' arithmetic."""
    n = a.shape[1]
    if n < WORTH_BLOCKS:
        return factor.mT @ a @ factor
    half = a.new_empty(a.shape)
    for start, stop in _blocks(n):
        # What is above the diagonal of L is zero.
        half[:, start:stop] = factor[:, start:, start:stop].mT @ a[:, start:]
    found = a.new_empty(a.shape)
    for start, stop in _blocks(n):
        found[:, start:, start:stop] = half[:, start:, start:] @ factor[:, start:, start:stop]
    return _mirrored(found)


def _blocks(n: int) -> list[tuple[int, int]]:
    size = -(-n // BLOCKS)
    return [(start, min(start + size, n)) for start in range(0, n, size)]


def _mirrored(lower: Tensor) -> Tensor:
    """The symmetric matrices [R, n, n] of which the lower blocks are given."""
    for start, stop in _blocks(lower.shape[1]):
        lower[:, :start, start:stop] = lower[:, start:stop, :start].mT
    return lower
