"""Inner products of gradients: within a layer, and of one projection in two adjacent layers.

From factors, ⟨D₁ᵀX₁, D₂ᵀX₂⟩ = Σ (D₁D₂ᵀ) ∘ (X₁X₂ᵀ), which takes two T × T matrix products. For texts
longer than about a third of the width, it takes less arithmetic to form the matrices G = DᵀX, each
of which serves all its comparisons.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Sized
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from gradpipe.gradients.spectra.comparisons import SAME_LAYER, Shape, by_factors, by_matrices
from gradpipe.gradients.spectra.matmul import outer

#: Bytes of matrices that are formed at once to compare gradients as flattened vectors.
FLAT_BYTES = 2**28


@dataclass
class Gradient:
    """Gradients G of R rows: X [R, T, d_in] and D [R, T, d_out], or ``matrix`` [R, d_out, d_in]."""

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
        """Move to the device of the layer below, in a model on several devices."""
        for name in ("x", "d", "matrix"):
            if (part := getattr(self, name)) is not None:
                setattr(self, name, part.to(device))

    def formed(self) -> Tensor:
        """Return G [R, d_out, d_in]; from now on it replaces the factors."""
        if self.matrix is None:
            assert self.x is not None
            assert self.d is not None
            self.matrix = outer(self.d.mT, self.x.mT)
            self.x = self.d = None
        return self.matrix


@dataclass(frozen=True, kw_only=True)
class LayerAlignment:
    """The results of one layer's comparison job for R rows, in host memory.

    ``same_layer`` has ⟨G, G'⟩ by comparison (SAME_LAYER), ``next_layer`` that of each projection
    with the same projection of the layer above, ``sketches`` [R, SKETCH_VALUES] by projection.
    """

    same_layer: dict[str, list[float]]
    next_layer: dict[str, list[float]]
    sketches: dict[str, np.ndarray]

    @property
    def rows(self) -> int:
        """R, or 0 if there is no number."""
        products = [*self.same_layer.values(), *self.next_layer.values()]
        by_name: list[Sized] = [*products, *self.sketches.values()]
        return len(by_name[0]) if by_name else 0


@dataclass
class RowAlignment:
    """One row's inner products by (layer, comparison) and (layer, projection), and its sketches."""

    same_layer: dict[tuple[int, str], float] = field(default_factory=dict)
    next_layer: dict[tuple[int, str], float] = field(default_factory=dict)
    sketches: dict[tuple[int, str], np.ndarray] = field(default_factory=dict)

    def add(self, layer: int, job: LayerAlignment, row: int) -> None:
        """Add the results of a layer's job for its row number ``row``."""
        self.same_layer |= {(layer, name): rows[row] for name, rows in job.same_layer.items()}
        self.next_layer |= {(layer, name): rows[row] for name, rows in job.next_layer.items()}
        self.sketches |= {(layer, name): rows[row] for name, rows in job.sketches.items()}


def layer_gradients(groups: Sequence[tuple[Tensor, Mapping[str, Tensor]]]) -> dict[str, Gradient]:
    """Return a layer's gradients by projection, as matrices if that saves arithmetic.

    ``groups`` are each X [R, T, d_in] with the D [R, T, d_out] of the projections that read it.
    """
    gradients = {
        name: Gradient((d.shape[2], x.shape[2]), x, d) for x, ds in groups for name, d in ds.items()
    }
    shapes = {name: gradient.shape for name, gradient in gradients.items()}
    tokens = groups[0][0].shape[1]
    if by_matrices(shapes) < by_factors(tokens, shapes, [list(ds) for _, ds in groups]):
        for gradient in gradients.values():
            gradient.formed()
    return gradients


def same_layer_products(gradients: Mapping[str, Gradient]) -> dict[str, Tensor]:
    """Return ⟨G, G'⟩ [R] of each comparison of SAME_LAYER that projections and shapes allow.

    Gradients of different shapes with equal numbers of entries are compared as flattened vectors.
    """
    products = _square_products(gradients)
    for name, (left, right) in SAME_LAYER.items():
        if name in products or left not in gradients or right not in gradients:
            continue
        one, other = gradients[left], gradients[right]
        if name == "q_ot":
            other = other.transposed
        if one.shape == other.shape:
            products[name] = _product(one, other, {})
        elif one.shape[0] * one.shape[1] == other.shape[0] * other.shape[1] and name != "q_ot":
            products[name] = _flat_product(one, other)
    return products


def next_layer_products(
    gradients: Mapping[str, Gradient], above: Mapping[str, Gradient]
) -> dict[str, Tensor]:
    """Return ⟨G, G'⟩ [R] of each projection with the same projection of the layer above.

    Skips projections whose shape differs.
    """
    shared: dict[tuple[int, int], Tensor] = {}
    return {
        name: _product(gradient, above[name], shared)
        for name, gradient in gradients.items()
        if name in above and above[name].shape == gradient.shape
    }


def _product(one: Gradient, other: Gradient, shared: dict[tuple[int, int], Tensor]) -> Tensor:
    """Return ⟨G, G'⟩ [R]; ``shared`` caches products of inputs that several projections read."""
    if one.x is None or one.d is None or other.x is None or other.d is None:
        return (one.formed() * other.formed()).sum((1, 2))
    key = id(one.x), id(other.x)
    if key not in shared:
        shared[key] = outer(one.x, other.x)
    return outer(one.d, other.d).mul_(shared[key]).sum((1, 2))


def _square_products(gradients: Mapping[str, Gradient]) -> dict[str, Tensor]:
    """Return ⟨Q, O⟩ and ⟨Q, Oᵀ⟩ [R]; the products of their factors are blocks of one product.

    Empty if factors are missing or differ in width.
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
    """Return ⟨G, G'⟩ [R] of gradients as flattened vectors; matrices are formed but not kept."""
    if one.matrix is not None or other.matrix is not None:
        return (one.formed().flatten(1) * other.formed().flatten(1)).sum(1)
    assert one.x is not None
    assert one.d is not None
    assert other.x is not None
    assert other.d is not None
    step = max(1, FLAT_BYTES // (4 * one.shape[0] * one.shape[1]))
    factors = (one.d, one.x, other.d, other.x)
    parts = zip(*(factor.split(step) for factor in factors), strict=True)
    return torch.cat(
        [((d1.mT @ x1).flatten(1) * (d2.mT @ x2).flatten(1)).sum(1) for d1, x1, d2, x2 in parts]
    )
