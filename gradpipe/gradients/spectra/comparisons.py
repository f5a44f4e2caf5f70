"""Which gradients of a layer are compared, and the arithmetic that each method takes.

Free of torch, since tables name columns after the comparisons and estimates count the arithmetic.
"""

from collections.abc import Mapping, Sequence

#: The comparisons within a layer: Q with O entry by entry in memory order (as in the sequel paper),
#: Q with O transposed (both are then heads × model), and K with V.
SAME_LAYER = {"q_o": ("q", "o"), "q_ot": ("q", "o"), "k_v": ("k", "v")}
#: The shape of a gradient, (d_out, d_in).
Shape = tuple[int, int]


def by_matrices(shapes: Mapping[str, Shape]) -> int:
    """Return the multiply-adds per token of forming all gradients of a layer."""
    return sum(d_out * d_in for d_out, d_in in shapes.values())


def by_factors(tokens: int, shapes: Mapping[str, Shape], groups: Sequence[Sequence[str]]) -> int:
    """Return the multiply-adds per token of comparing a layer's factors of ``tokens`` tokens.

    ``groups`` are the projections that read the same X: its product with the next layer's X is
    computed once per group.
    """
    widths = sum(shapes[group[0]][1] + sum(shapes[name][0] for name in group) for group in groups)
    for name, (left, right) in SAME_LAYER.items():
        if left in shapes and right in shapes:
            other = shapes[right] if name != "q_ot" else shapes[right][::-1]
            widths += sum(shapes[left]) if shapes[left] == other else 0
    return tokens * widths
