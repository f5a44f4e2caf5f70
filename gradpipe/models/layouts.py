"""How one layer's outputs hold several projections: the columns of each."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import permutations

from torch import Tensor


@dataclass(frozen=True)
class OutputColumns:
    """Some of a layer's outputs: viewed as [groups, width], ``start:stop`` of every group.

    The default is the whole layer. [q | k | v] side by side is one group; heads that each hold
    their own q, k and v are as many groups.
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
    """Every way to lay out parts of these widths: in any order, in any number of equal groups.

    The plainest come first: one group, in the order given.
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
