"""Which token reached which expert."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Routing(NamedTuple):
    """Pairs of an expert and a token of a batch of rows with ``length`` tokens each.

    ``experts`` [pairs] and ``tokens`` [pairs]: token t of row r has the number r · length + t.
    ``number`` is how many experts there are.
    """

    experts: Tensor
    tokens: Tensor
    number: int
    length: int
