"""Inner products of gradients: inside a layer, and of one projection in two neighbouring layers.

From factors, ⟨D₁ᵀX₁, D₂ᵀX₂⟩ = Σ (D₁D₂ᵀ) ∘ (X₁X₂ᵀ), two products of T × T numbers; or from the
matrices G = DᵀX, of which each serves all its comparisons, where that takes less arithmetic: for
texts of about a third of the width and more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from gradpipe.gradients.spectra.comparisons import SAME_LAYER, Shape, by_factors, by_matrices
from gradpipe.gradients.spectra.matmul import outer

#: Bytes of matrices that are formed at once where only their flattened entries can be compared.
FLAT_BYTES = 2**28


@dataclass
class Gradient:
    """G of R rows: factors X [R, T, d_in] and D [R, T, d_out], or ``matrix`` [R, d_out, d_in]."""

    shape: Shape
    x: Tensor | None
    d: Tensor | None
    matrix: Tensor | None = None

    @property
    def transposed(self) -> Gradient:
        """Gᵀ = XᵀD."""
        matrix = None if self.matrix is None else self.matrix.mT
        return Gradient((self.shape[1], self.shape[0]), self.d, self.x, matrix)

    def move_to(self, device: torch.device) -> None:
        """Take it to where the layer below is, in a model that is spread."""
        for name in ("x", "d", "matrix"):
            if (part := getattr(self, name)) is not None:
                setattr(self, name, part.to(device))

    def formed(self) -> Tensor:
        """G itself, [R, d_out, d_in], kept from now on in place of the factors."""
        if self.matrix is None:
            assert self.x is not None
            assert self.d is not None
            self.matrix = outer(self.d.mT, self.x.mT)
            self.x = self.d = None
        return self.matrix


@dataclass(frozen=True, kw_only=True)
class LayerAlignment:
    """What one layer's job found of R rows, in the host's memory.

    ``same_layer``: ⟨G, G'⟩ by comparison (SAME_LAYER); ``next_layer``: of each projection with the
    same one of the layer above; ``sketches`` [R, SKETCH_VALUES] by projection.
    """

    same_layer: dict[str, list[float]]
    next_layer: dict[str, list[float]]
    sketches: dict[str, np.ndarray]


@dataclass
class RowAlignment:
    """One row's inner products by (layer, comparison) and (layer, projection), and its sketches."""

    same_layer: dict[tuple[int, str], float] = field(default_factory=dict)
    next_layer: dict[tuple[int, str], float] = field(default_factory=dict)
    sketches: dict[tuple[int, str], np.ndarray] = field(default_factory=dict)

    def add(self, layer: int, found: LayerAlignment, row: int) -> None:
        """Take over what was found of row number ``row`` of a job."""
        self.same_layer |= {(layer, name): each[row] for name, each in found.same_layer.items()}
        self.next_layer |= {(layer, name): each[row] for name, each in found.next_layer.items()}
        self.sketches |= {(layer, name): each[row] for name, each in found.sketches.items()}


def layer_gradients(groups: Sequence[tuple[Tensor, Mapping[str, Tensor]]]) -> dict[str, Gradient]:
    """A layer's gradients by projection, as matrices where that saves arithmetic.

    ``groups``: X [R, T, d_in] with the D [R, T, d_out] of the projections that read it.
    """
    found = {
        name: Gradient((d.shape[2], x.shape[2]), x, d) for x, ds in groups for name, d in ds.items()
    }
    shapes = {name: gradient.shape for name, gradient in found.items()}
    tokens = groups[0][0].shape[1]
    if by_matrices(shapes) < by_factors(tokens, shapes, [list(ds) for _, ds in groups]):
        for gradient in found.values():
            gradient.formed()
    return found


def same_layer_products(gradients: Mapping[str, Gradient]) -> dict[str, Tensor]:
    """⟨G, G'⟩ [R] of each comparison of SAME_LAYER that the layer's projections and shapes allow.

    Gradients of unlike shapes but equally many entries are compared flattened.
    """
    found = _square_products(gradients)
    for name, (left, right) in SAME_LAYER.items():
        if name in found or left not in gradients or right not in gradients:
            continue
        one, other = gradients[left], gradients[right]
        if name == "q_ot":
            other = other.transposed
        if one.shape == other.shape:
            found[name] = _product(one, other, {})
        elif one.shape[0] * one.shape[1] == other.shape[0] * other.shape[1] and name != "q_ot":
            found[name] = _flat_product(one, other)
    return found


def next_layer_products(
    gradients: Mapping[str, Gradient], above: Mapping[str, Gradient]
) -> dict[str, Tensor]:
    """⟨G, G'⟩ [R] of each projection with the same one of the layer above, of the same shape."""
    shared: dict[tuple[int, int], Tensor] = {}
    return {
        name: _product(gradient, above[name], shared)
        for name, gradient in gradients.items()
        if name in above and above[name].shape == gradient.shape
    }


def _product(one: Gradient, other: Gradient, shared: dict[tuple[int, int], Tensor]) -> Tensor:
    """⟨G, G'⟩ [R]; ``shared`` keeps the products of inputs, which several projections read."""
    if one.x is None or one.d is None or other.x is None or other.d is None:
        return (one.formed() * other.formed()).sum((1, 2))
    key = id(one.x), id(other.x)
    if key not in shared:
        shared[key] = outer(one.x, other.x)
    return outer(one.d, other.d).mul_(shared[key]).sum((1, 2))


def _square_products(gradients: Mapping[str, Gradient]) -> dict[str, Tensor]:
    """⟨Q, O⟩ and ⟨Q, Oᵀ⟩ [R] at once: the four products of their factors are blocks of one.

    Nothing where there are no factors of both, or not all of one width.
    """
    q, o = gradients.get("q"), gradients.get("o")
    if q is None or q.x is None or q.d is None or o is None or o.x is None or o.d is None:
        return {}
    tokens, width = q.x.shape[1:]
    if any(part.shape[2] != width for part in (q.d, o.x, o.d)):
        return {}
    both = outer(torch.cat([q.x, q.d], 1), torch.cat([o.x, o.d], 1))
    (xx, xd), (dx, dd) = (rows.split(tokens, 2) for rows in both.split(tokens, 1))
    # ⟨QᵈᵀQˣ, (OᵈᵀOˣ)ᵀ⟩ = Σ (Qᵈ Oˣᵀ) ∘ (Qˣ Oᵈᵀ)
    return {"q_o": (dd * xx).sum((1, 2)), "q_ot": (dx * xd).sum((1, 2))}


def _flat_product(one: Gradient, other: Gradient) -> Tensor:
    """As ``_product`` of gradients as vectors; what is formed for it is not kept."""
    if one.matrix is not None or other.matrix is not None:
        return (one.formed().flatten(1) * other.formed().flatten(1)).sum(1)
    assert one.x is not None
    assert one.d is not None
    assert other.x is not None
    assert other.d is not None
    step = max(1, FLAT_BYTES // (4 * one.shape[0] * one.shape[1]))
    parts = zip(*(each.split(step) for each in (one.d, one.x, other.d, other.x)), strict=True)
    found = [((d1.mT @ x1).flatten(1) * (d2.mT @ x2).flatten(1)).sum(1) for d1, x1, d2, x2 in parts]
    return torch.cat(found)
