"""The singular values of gradients from their factors, many at a time.

G = DᵀX has rank at most T. Its squared singular values are the eigenvalues of a symmetric matrix of
one of the three sizes at hand:

* T tokens: with A = DDᵀ and B = XXᵀ = LLᵀ, those of LᵀAL [T, T];
* d_out or d_in: those of GGᵀ or GᵀG, as for K and V with grouped heads and for long texts.

Everything is float64: a float32 Gram matrix costs 2e-4 on the nuclear norm and 4e-3 on the
effective rank.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from gradpipe.gradients.spectra.sizes import EIGENVALUE_COST, WORTH_CUTTING
from gradpipe.gradients.spectra.symmetric import congruence, outer_product

#: Relative mismatch of Σσ² and ‖G‖²_F above which a spectrum counts as broken. Both are float64
#: sums; what is seen in practice stays below 1e-12.
COMPUTED_ENERGY_TOLERANCE = 1e-8
#: Eigenvalues below so many eps of the largest are rounding error.
ROUNDING = 4.0


@dataclass(frozen=True)
class Spectrum:
    """Singular values [n], float64, descending, with ‖G‖²_F taken from the factors on their own."""

    singular_values: Tensor
    squared_norm: float

    @property
    def fault(self) -> str | None:
        """Why this spectrum cannot be used, or None: the free check Σσ² = ‖G‖²_F."""
        energy = float(self.singular_values.square().sum())
        if not (math.isfinite(energy) and math.isfinite(self.squared_norm)):
            return "a gradient is not finite"
        if abs(energy - self.squared_norm) > COMPUTED_ENERGY_TOLERANCE * self.squared_norm:
            return f"Σσ² is {energy:.6g} where ‖G‖² is {self.squared_norm:.6g}"
        return None


@dataclass(frozen=True)
class Spectra:
    """The spectra of R gradients of one projection, where they were computed.

    ``singular_values`` [R, n] are float64 and descending; of each row the first ``ranks`` [R]
    count, what follows is padding. ``squared_norms`` [R] are ‖G‖²_F from the factors themselves.
    """

    singular_values: Tensor
    ranks: Tensor
    squared_norms: Tensor

    def rows(self) -> list[Spectrum]:
        """Each gradient's own, in the host's memory."""
        ranks, norms = self.ranks.tolist(), self.squared_norms.tolist()
        values = self.singular_values.cpu()
        return [
            Spectrum(of_row[:rank], norm)
            for of_row, rank, norm in zip(values, ranks, norms, strict=True)
        ]


class Inputs:
    """The inputs X [R, T, d_in] of R texts, in float64, with the factors of their Gram matrices.

    Q, K and V read the same X, so one object serves all three and B and L are taken once a layer.
    """

    def __init__(self, x: Tensor) -> None:
        self.x = x.detach().double()

    @cached_property
    def gram(self) -> Tensor:
        """B = XXᵀ [R, T, T]."""
        return outer_product(self.x)

    @cached_property
    def gram_factor(self) -> Tensor:
        """Triangular L [R, T, T] with LLᵀ = B, zero for a text whose inputs are not finite.

        Cholesky's, or from eigenvectors where repeated tokens make that fail.
        """
        gram = _finite(self.gram)
        # On unit rows, so that what is rounded away at a large token does not drown a small one.
        norms = gram.diagonal(dim1=1, dim2=2).sqrt()[:, :, None]
        units = torch.where(norms > 0, norms, 1.0)
        cosines = gram / units / units.mT
        # Tokens without input count for nothing, and need not make the others' factor fail.
        cosines.diagonal(dim1=1, dim2=2).add_((norms[:, :, 0] == 0).double())
        factor, info = torch.linalg.cholesky_ex(cosines)
        # A pivot that is all rounding error passes as positive and poisons its whole column.
        floor = cosines.shape[1] * torch.finfo(cosines.dtype).eps
        pivots = factor.diagonal(dim1=1, dim2=2).square()
        failed = ((info != 0) | ~(pivots > floor).all(dim=1)).nonzero().flatten()
        if len(failed):
            values, vectors = torch.linalg.eigh(cosines[failed])
            # L = VΛ½ need not be triangular; with its QR factors Lᵀ = QR, the triangular Rᵀ serves.
            root = vectors * values.clamp(min=0).sqrt()[:, None, :]
            factor[failed] = torch.linalg.qr(root.mT, mode="r").R.mT
        scaled: Tensor = norms * factor
        return scaled

    def select(self, tokens: Tensor) -> Inputs:
        """The inputs at some tokens only (``tokens``: positions [R, n])."""
        return Inputs(_at(self.x, tokens))


def spectra_of_gradients(x: Tensor, ds: Mapping[str, Tensor]) -> dict[str, Spectra]:
    """Singular values of G = DᵀX for R texts and the projections that read the same X.

    ``x`` [R, T, d_in] are the projections' inputs, ``ds`` the loss gradients at their outputs
    [R, T, d_out], of any floating dtype. Tokens whose gradient is all zero, as padding's is, count
    for nothing: a spectrum has min(tokens that carry gradient, d_out, d_in) values.
    """
    carrying = {name: (d != 0).any(dim=2) for name, d in ds.items()}
    used = torch.stack(list(carrying.values())).any(dim=0)
    # Padding is one token many times over: left in, it would make every Gram matrix singular.
    inputs = Inputs(x if bool(used.all()) else torch.where(used[:, :, None], x, 0.0))
    return {name: spectra_from_factors(inputs, d, carrying[name]) for name, d in ds.items()}


def spectra_from_factors(inputs: Inputs, d: Tensor, carrying: Tensor) -> Spectra:
    """As ``spectra_of_gradients`` for one projection, from inputs that others may share.

    ``carrying`` [R, T] says which tokens' gradients are not all zero.
    """
    ranks = carrying.sum(dim=1)
    most = max(1, int(ranks.max()))
    # A few zero rows cost less than Gram matrices of their own.
    if most < WORTH_CUTTING * d.shape[1]:
        # Those that carry come first, in their order.
        tokens = carrying.int().argsort(dim=1, descending=True, stable=True)[:, :most]
        d, inputs = _at(d, tokens), inputs.select(tokens)
    core, squared_norms = _core(inputs, d.double())
    values = _roots(torch.linalg.eigvalsh(_finite(core)))
    ranks = ranks.clamp(min=1, max=min(d.shape[2], inputs.x.shape[2]))
    return Spectra(values, ranks, squared_norms)


def _core(inputs: Inputs, d: Tensor) -> tuple[Tensor, Tensor]:
    """A symmetric matrix [R, n, n] whose eigenvalues are the σ² of DᵀX, and ‖DᵀX‖² [R].

    Of the sizes at hand, the one that takes the least arithmetic. The norm is not finite where the
    factors, or their products, are not.
    """
    _, tokens, d_out = d.shape
    d_in = inputs.x.shape[2]
    small, large = min(d_out, d_in), max(d_out, d_in)
    by_tokens = tokens**2 * d_out + (2 + EIGENVALUE_COST) * tokens**3
    by_features = tokens * d_out * d_in + small**2 * large + EIGENVALUE_COST * small**3
    if by_tokens <= by_features:
        outer = outer_product(d)
        core = congruence(inputs.gram_factor, _finite(outer))
        return core, (outer * inputs.gram).sum(dim=(1, 2))
    gradient = d.mT @ inputs.x
    core = outer_product(gradient if d_out <= d_in else gradient.mT)
    return core, gradient.square().sum(dim=(1, 2))


def _finite(gram: Tensor) -> Tensor:
    """Symmetric products [R, n, n], all zero for those that are not finite.

    A factor that is not finite shows on the diagonal, which is a sum of squares.
    """
    finite = torch.isfinite(gram.diagonal(dim1=1, dim2=2)).all(dim=1)
    return gram if bool(finite.all()) else torch.where(finite[:, None, None], gram, 0.0)


def _at(values: Tensor, tokens: Tensor) -> Tensor:
    """``values`` [R, T, d] at ``tokens`` [R, n]."""
    return values.gather(1, tokens[:, :, None].expand(-1, -1, values.shape[2]))


def _roots(values: Tensor) -> Tensor:
    """Singular values from Gram matrices' eigenvalues [R, n], descending.

    What is below ROUNDING of the largest is rounding error; its root would be as large as 3e-8 of
    σ1, so it is set to the zero that it stands for. (Measured at 843 tokens of a real model over 16
    matrices against a float64 SVD, with 1, 4 and 8 eps: nuclear norm within 3e-9, 5e-9 and 2e-8,
    effective rank within 5e-8, 9e-8 and 3e-7; n·eps costs 3e-6 and 4e-5.)
    """
    floor = ROUNDING * torch.finfo(values.dtype).eps * values[:, -1:].clamp(min=0)
    return torch.where(values > floor, values, 0.0).clamp(min=0).sqrt().flip(1)
