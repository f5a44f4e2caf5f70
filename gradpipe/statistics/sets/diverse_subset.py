"""A diverse subset: examples whose gradients point in many directions, chosen one after another.

The choice greedily maximizes ln det(I + K_S / NOISE), where K_S holds the cosines between the
chosen gradients: the most probable subset of a determinantal point process (Chen, Zhang and Zhou
2018), with NOISE on the diagonal. That makes the function monotone and submodular, so the greedy
choice of any size has at least 1 − 1/e of the largest value (Nemhauser, Wolsey and Fisher 1978).
Equal examples have a cosine of one and add next to nothing after the first.

K is never formed. With V [n, d] for the directions, the gain of example i after the choice of S is
ln(1 + vᵢᵀ A⁻¹ vᵢ / NOISE) for A = I + V_Sᵀ V_S / NOISE, and each choice changes A⁻¹ by a product of
two vectors (Sherman and Morrison 1950). A choice takes n·d + d² products, and memory for V and d².
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: What differs by less than about this share of a gradient's squared length counts as noise.
NOISE = 0.1


def diverse_order(directions: NDArray[np.float32], most: int | None = None) -> NDArray[np.int64]:
    """Positions of up to ``most`` rows of ``directions`` [n, d], of length one, in order of choice.

    The first row is chosen first: alone, all rows are worth the same. Of equal gains, the earlier
    row's is taken.
    """
    if len(directions) < directions.shape[1]:
        # The same inner products in fewer dimensions.
        _, triangle = np.linalg.qr(directions.T)
        directions = triangle.T
    count, width = directions.shape
    inverse = np.eye(width)
    gains = np.ones(count)
    chosen = np.zeros(min(count, count if most is None else most), np.int64)
    for number in range(len(chosen)):
        # Rounding must not decide between equal examples.
        best = int(np.argmax(np.round(gains, 6))) if number else 0
        chosen[number] = best
        change = inverse @ directions[best].astype(np.float64)
        scale = NOISE + float(change @ directions[best])
        inverse -= np.outer(change, change) / scale
        projected = directions @ change.astype(np.float32)
        gains -= projected.astype(np.float64) ** 2 / scale
        gains[best] = -np.inf
    return chosen
