"""Sketches of gradients: short vectors whose cosines approximate those of the gradients.

From stored sketches, the gradients of two examples can be compared long after both were dropped. A
sketch is linear in the gradient and computed from its factors: G = DᵀX is folded on both sides to
S = PᵀGQ, and vec(S) is folded to SKETCH_VALUES numbers. A fold is a random projection by feature
hashing (Weinberger et al. 2009): each coordinate is added, with a random sign, to one of a few
sums of equally many terms. Inner products are preserved in expectation.

The error of the cosine was measured on 2880 pairs of gradients: 24 matrices of a 135M model, and
all pairs of responses to each of 8 GSM8K items (all styles, correct and irrelevant). The mean
error is 0.0001 and the standard error of a single cosine 0.050 (0.060 for Q, 0.042 for V); one in
a hundred is off by more than 0.14. The standard error is 0.065 to 0.071 with half the values,
0.058 with SIDE 128, and 0.048 with SIDE 256. Sides of wider models are folded further, with
standard errors up to 0.06.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from gradpipe.gradients.spectra.inner_products import Gradient
from gradpipe.gradients.spectra.matmul import outer
from gradpipe.gradients.spectra.sizes import SIDE, SKETCH_VALUES

#: Values are rounded to multiples of 1 / STEPS. This changes a cosine by 0.0016; the last digits,
#: which are noise, would double the size on disk. Half the steps would save a fifth of it, and
#: change the diversity of small gradients, which are their own sketches, by 0.8%.
STEPS = 256
#: Part of the seed of each fold; a change makes new sketches incomparable with stored ones.
SEED = 2025
_FOLDED = {"outputs": 0, "inputs": 1, "both": 2}


def fold_map(width: int, to: int, folded: str) -> tuple[np.ndarray, np.ndarray]:
    """Return a random fold as ``places`` and ``signs``, both [n, to].

    Sum j of a vector v of ``width`` is Σᵢ signs[i, j] v[places[i, j]]. If n · ``to`` exceeds the
    width, some signs are zero. Folds of "outputs", "inputs" and "both" (``folded``) are
    independent. Uses only the bit generator, whose stream numpy guarantees to keep.
    """
    words = np.random.PCG64([SEED, width, to, _FOLDED[folded]])
    rounds = -(-width // to)
    order = np.argsort(words.random_raw(rounds * to), kind="stable")
    signs = 1.0 - 2.0 * (words.random_raw(rounds * to) >> np.uint64(63)).astype(np.float32)
    signs[order >= width] = 0.0
    places = np.where(order < width, order, 0)
    return places.reshape(rounds, to), signs.reshape(rounds, to)


class Sketcher:
    """Computes sketches; caches each fold on each device that uses it.

    Without ``kept`` it returns no sketches, so that gradients are compared within their example
    only.
    """

    def __init__(self, *, kept: bool = True) -> None:
        self.kept = kept
        self._maps: dict[tuple[int, int, str, Any], tuple[Tensor, Tensor]] = {}

    def sketches(self, gradients: Mapping[str, Gradient]) -> dict[str, Tensor]:
        """Return the sketches [R, SKETCH_VALUES] of a layer's gradients, by projection.

        A gradient with at most SKETCH_VALUES entries is its own sketch, padded with zeros.
        """
        if not self.kept:
            return {}
        small: dict[str, Tensor] = {}
        readers: dict[int, dict[str, Gradient]] = {}
        for name, gradient in gradients.items():
            if gradient.x is None:
                rows = self.fold(gradient.formed(), SIDE, "outputs", dim=-2)
                small[name] = self.fold(rows, SIDE, "inputs")
            else:
                readers.setdefault(id(gradient.x), {})[name] = gradient
        for group in readers.values():
            small |= self._fold_factors(group)
        return {name: self._sketch(small[name]) for name in gradients}

    def _fold_factors(self, gradients: Mapping[str, Gradient]) -> dict[str, Tensor]:
        """Return S [R, n, m] of projections that read the same inputs, by one product."""
        x = next(iter(gradients.values())).x
        assert x is not None
        inputs = self.fold(x, SIDE, "inputs")
        outputs = [
            self.fold(gradient.d, SIDE, "outputs")
            for gradient in gradients.values()
            if gradient.d is not None
        ]
        folded = outer(torch.cat(outputs, -1).mT, inputs.mT)
        parts = folded.split([part.shape[-1] for part in outputs], 1)
        return dict(zip(gradients, parts, strict=True))

    def _sketch(self, small: Tensor) -> Tensor:
        """Return the sketch [R, SKETCH_VALUES] of a gradient that is folded on both sides."""
        sketch = self.fold(small.flatten(1), SKETCH_VALUES, "both")
        return functional.pad(sketch, (0, SKETCH_VALUES - sketch.shape[-1]))

    def fold(self, values: Tensor, to: int, folded: str, dim: int = -1) -> Tensor:
        """Fold ``values`` to ``to`` sums along ``dim``; no change if they are not wider."""
        width = values.shape[dim]
        if width <= to:
            return values.to(torch.promote_types(values.dtype, torch.float32))
        places, signs = self._map(width, to, folded, values)
        signs = signs if dim == -1 else signs[:, None]
        # Signs are at least float32, so half-precision values are summed in float32.
        terms = (_at_places(values, places, dim) * signs).unflatten(dim, (-1, to))
        sums: Tensor = terms.sum(dim - 1)
        return sums

    def _map(self, width: int, to: int, folded: str, like: Tensor) -> tuple[Tensor, Tensor]:
        dtype = torch.promote_types(like.dtype, torch.float32)
        key = width, to, folded, (like.device, dtype)
        if key not in self._maps:
            places, signs = (torch.from_numpy(part.ravel()) for part in fold_map(width, to, folded))
            self._maps[key] = places.to(like.device), signs.to(like.device, dtype)
        return self._maps[key]


def _at_places(values: Tensor, places: Tensor, dim: int) -> Tensor:
    """Return ``values`` at some places of the last or the second-to-last dimension."""
    if dim == -1 and values.device.type == "cpu":
        # Half of the time of index_select, which copies each entry by itself.
        return values.gather(-1, places.expand(*values.shape[:-1], -1))
    return values.index_select(dim, places)


def kept_sketch(sketch: np.ndarray | None, norm: float) -> np.ndarray | None:
    """Return a sketch for storage: divided by the gradient's norm, in steps of 1 / STEPS, float16.

    None if there is no sketch or the gradient is zero, which has no direction.
    """
    if sketch is None or not norm:
        return None
    kept: np.ndarray = (np.rint(sketch.astype(np.float64) * (STEPS / norm)) / STEPS).astype("f2")
    return kept
