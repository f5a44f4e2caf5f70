"""The columns of each projection in the outputs of a fused layer."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import permutations

from torch import Tensor


@dataclass(frozen=True)
class OutputColumns:
    """Some of a layer's outputs: with outputs as [groups, width], ``start:stop`` of every group.

    The default is the whole layer. A layer with [q | k | v] side by side has one group; a layer in
    which each head has its own q, k and v has one group per head.
    """

    groups: int = 1
    start: int = 0
    stop: int | None = None

    @property
    def whole(self) -> bool:
        """Return whether these columns are all of the layer's outputs."""
        return self.start == 0 and self.stop is None

    def take(self, d: Tensor) -> Tensor:
        """Select these columns [..., d_out] of a layer's outputs or gradients [..., all]."""
        if self.whole:
            return d
        grouped = d.unflatten(-1, (self.groups, -1))
        taken: Tensor = grouped[..., self.start : self.stop].flatten(-2)
        return taken


#: The columns of each projection that shares a layer.
ColumnLayout = dict[str, OutputColumns]


def layouts(widths: Mapping[str, int]) -> Iterator[ColumnLayout]:
    """Yield every layout of parts of these widths: in any order, in any number of equal groups.

    The first layout has one group and the given order.
    """
    most = math.gcd(*widths.values())
    for groups in (number for number in range(1, most + 1) if most % number == 0):
        for order in permutations(widths):
            yield _in_order(order, widths, groups)


def _in_order(order: tuple[str, ...], widths: Mapping[str, int], groups: int) -> ColumnLayout:
    layout, start = {}, 0
    for role in order:
        stop = start + widths[role] // groups
        layout[role] = OutputColumns(groups, start, stop)
        start = stop
    return layout
