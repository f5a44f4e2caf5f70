"""The values that claims need, resampled together: one draw of items for all of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from gradpipe.claims.contrasts import Quantity, Segment
from gradpipe.claims.inference.bootstrap import Replicates, replicates
from gradpipe.claims.layers import LayerValues
from gradpipe.claims.measures import CurveQuantity
from gradpipe.claims.pairing import Pairing
from gradpipe.claims.values import Array, mean_curves

#: Which quantity of which curve, in which segment of layers.
Wanted = tuple[tuple[str, str], Quantity, Segment]


@dataclass
class CurveBlock:
    """Values [item, curve, projection, layer] of the items that some claims use."""

    values: Array
    curves: tuple[tuple[str, str], ...]
    quantities: dict[Wanted, CurveQuantity | LayerValues] = field(default_factory=dict)
    #: The columns of each quantity in the replicates: its NOISE_BOUNDS, one after the other, or its
    #: layers.
    columns: dict[Wanted, slice] = field(default_factory=dict)

    def want(self, wanted: Wanted) -> None:
        """Add a quantity, unless it is already there."""
        curve, name, segment = wanted
        if wanted not in self.quantities:
            values = self.values[:, self.curves.index(curve)]
            self.quantities[wanted] = (
                LayerValues(values, segment)
                if name == "layers"
                else CurveQuantity(values, name, segment)
            )

    def measured(self, counts: Array) -> list[Array]:
        """Each quantity as [resample, bound · projection], or [resample, projection · layer]."""
        means = mean_curves(self.values, counts)
        return [
            quantity(means[:, self.curves.index(curve)]).reshape(len(counts), -1)
            for (curve, _, _), quantity in self.quantities.items()
        ]


@dataclass
class PairedSample:
    """Values of one pairing, and those of them that some claims use, resampled together."""

    pairing: Pairing
    values: Mapping[tuple[str, str], Array]
    blocks: dict[tuple[object, ...], CurveBlock] = field(default_factory=dict)

    def draw(self, seed: int, resamples: int) -> Replicates:
        """Replicates of every quantity of the blocks, and where each block's are in them."""
        width = 0
        for block in self.blocks.values():
            for wanted, quantity in block.quantities.items():
                start, width = width, width + quantity.width
                block.columns[wanted] = slice(start, width)

        def measured(counts: Array) -> Array:
            rows = self.pairing.counts_of_rows(counts)
            parts = [part for block in self.blocks.values() for part in block.measured(rows)]
            return np.concatenate(parts, axis=1)

        return replicates(measured, self.pairing.count, seed, resamples)
