"""Symmetric products and eigenvalues, with as little arithmetic as the device allows.

In host memory, BLAS and LAPACK compute half of each product. Torch has no such functions, and no
library has them for batches of matrices on an accelerator: there, only lower blocks are computed.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gradpipe.gradients.spectra import lapack
from gradpipe.gradients.spectra.sizes import WORTH_BLOCKS

#: Blocks per side.
BLOCKS = 3


def outer_product(x: Tensor) -> Tensor:
    """Return XXᵀ [R, n, n] of X [R, n, d].

    Takes 1/2 of the arithmetic of a full product in host memory, 2/3 on an accelerator.
    """
    n = x.shape[1]
    if n < WORTH_BLOCKS:
        return x @ x.mT
    if lapack.usable(x):
        return lapack.symmetric_product(x)
    lower = x.new_empty(len(x), n, n)
    for start, stop in _blocks(n):
        lower[:, start:stop, :stop] = x[:, start:stop] @ x[:, :stop].mT
    return _mirror(lower)


def congruence(factor: Tensor, a: Tensor) -> Tensor:
    """Return LᵀAL [R, n, n] of lower triangular L and symmetric A.

    Takes 1/2 of the arithmetic of two full products in host memory, 3/5 on an accelerator.
    """
    n = a.shape[1]
    if n < WORTH_BLOCKS:
        return factor.mT @ a @ factor
    if lapack.usable(factor, a):
        return lapack.congruent(factor, a)
    half = a.new_empty(a.shape)
    for start, stop in _blocks(n):
        # L is zero above its diagonal.
        half[:, start:stop] = factor[:, start:, start:stop].mT @ a[:, start:]
    lower = a.new_empty(a.shape)
    for start, stop in _blocks(n):
        lower[:, start:, start:stop] = half[:, start:, start:] @ factor[:, start:, start:stop]
    return _mirror(lower)


def symmetric_eigenvalues(matrices: Tensor) -> Tensor:
    """Return the eigenvalues [R, n], ascending, of symmetric matrices [R, n, n]."""
    if matrices.shape[1] < WORTH_BLOCKS or not lapack.usable(matrices):
        values: Tensor = torch.linalg.eigvalsh(matrices)
        return values
    return lapack.host_eigenvalues(matrices)


def _blocks(n: int) -> list[tuple[int, int]]:
    """Return the start and stop of each block of n rows."""
    size = -(-n // BLOCKS)
    return [(start, min(start + size, n)) for start in range(0, n, size)]


def _mirror(lower: Tensor) -> Tensor:
    """Fill in the upper blocks of symmetric matrices [R, n, n], in place."""
    for start, stop in _blocks(lower.shape[1]):
        lower[:, :start, start:stop] = lower[:, start:stop, :start].mT
    return lower
