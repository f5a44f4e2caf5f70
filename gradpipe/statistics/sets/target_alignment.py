"""How far the gradients of examples point where those of a small target set point.

A step against an example's gradient g lowers the mean loss of the target set, to first order, by
⟨g, m⟩ for the target's mean gradient m. ``target_cosine`` is ⟨g, m⟩ / (‖g‖ ‖m‖) over all layers and
projections: the gradient similarity of LESS (Xia et al. 2024) without its optimizer states, for one
checkpoint. Long responses have small gradients, so without the division short ones would win.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gradpipe.errors import DataError
from gradpipe.statistics.sets.sketch_vectors import SketchVectors, sketch_vectors

#: Most examples of a target set: their gradients stay in memory, up to 1 MB each.
TARGET_ROWS = 1000
#: Cosine with the mean gradient of the target set, and the largest with a single one of it.
TARGET_COLUMNS = ("target_cosine", "target_cosine_max")


@dataclass(frozen=True)
class TargetSet:
    """The ``directions`` [m, d] of a target set's gradients, and that of their ``mean`` [1, d]."""

    directions: NDArray[np.float32]
    mean: NDArray[np.float32]

    def alignment(self, vectors: SketchVectors) -> pl.DataFrame:
        """``row`` and TARGET_COLUMNS of examples."""
        single = vectors.cosines(self.directions)
        return pl.DataFrame(
            {
                "row": vectors.rows,
                "target_cosine": vectors.cosines(self.mean)[:, 0].astype(np.float64),
                "target_cosine_max": single.max(axis=1, initial=-1).astype(np.float64),
            }
        )


def target_set(frames: Iterable[pl.DataFrame], name: str) -> TargetSet:
    """The target set of extracted examples (frames of ROW_SCHEMA with sketches).

    Raises DataError, which calls the set ``name``, if it has no usable example or its mean gradient
    is zero.
    """
    parts = [part for part in map(sketch_vectors, frames) if len(part.rows)]
    if not parts:
        raise DataError(f"{name} has no example with a gradient: give other target examples.")
    directions = np.concatenate([part.directions for part in parts])
    norms = np.concatenate([part.norms for part in parts])
    # Relative to the largest, since a sum of huge gradients may not fit in float32.
    mean = (norms / norms.max()) @ directions
    length = np.linalg.norm(mean)
    if not length:
        raise DataError(f"The gradients of {name} cancel out: give other target examples.")
    return TargetSet(directions, (mean / length).astype(np.float32)[None])
