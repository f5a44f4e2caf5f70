"""Singular values of gradients that exist as matrices, as those of a training's own batch do."""

from __future__ import annotations

import torch
from torch import Tensor

from gradpipe.gradients.spectra.spectrum import roots_of_eigenvalues
from gradpipe.gradients.spectra.symmetric import outer_product, symmetric_eigenvalues


def dense_singular_values(gradient: Tensor) -> Tensor:
    """Return the singular values [min(d_out, d_in)] of G [d_out, d_in], float64 and descending.

    They are the roots of the eigenvalues of GGᵀ or GᵀG, whichever is smaller, computed in float64
    on the device of G (on the CPU for devices without float64). Values below 3e-8 of the largest
    are zero. All are NaN if G is not finite.
    """
    matrix = gradient.detach()
    matrix = (matrix.cpu() if matrix.device.type == "mps" else matrix).double()
    if matrix.shape[0] > matrix.shape[1]:
        matrix = matrix.mT
    if not bool(torch.isfinite(matrix).all()):
        return matrix.new_full(matrix.shape[:1], torch.nan).cpu()
    # Scaled, since squares of very small gradients would be zero.
    scale = matrix.abs().max()
    if not bool(scale > 0):
        return matrix.new_zeros(matrix.shape[:1]).cpu()
    core = outer_product((matrix / scale)[None])
    return (roots_of_eigenvalues(symmetric_eigenvalues(core))[0] * scale).cpu()
