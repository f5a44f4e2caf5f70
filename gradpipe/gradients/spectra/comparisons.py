"""Which gradients of a layer are compared, and the arithmetic that each way to do so takes.

Nothing here needs torch: tables name their columns after the comparisons, and estimates count the
arithmetic.
"""

from collections.abc import Mapping, Sequence

#: The comparisons inside a layer: Q with O, entry by entry as both lie in memory (the sequel's
#: way); Q with O transposed, so that both have heads × model; K with V.
SAME_LAYER = {"q_o": ("q", "o"), "q_ot": ("q", "o"), "k_v": ("k", "v")}
#: (d_out, d_in).
Shape = tuple[int, int]


def by_matrices(shapes: Mapping[str, Shape]) -> int:
    """Multiply-adds a token of forming all gradients of a layer."""
    return sum(d_out * d_in for d_out, d_in in shapes.values())


def by_factors(tokens: int, shapes: Mapping[str, Shape], groups: Sequence[Sequence[str]]) -> int:
    """Multiply-adds a token of a layer's comparisons from factors of ``tokens`` tokens.

    ``groups`` are the projections that read the same X, whose product with the next layer's is
    taken once.
    """
    widths = sum(shapes[group[0]][1] + sum(shapes[name][0] for name in group) for group in groups)
    for name, (left, right) in SAME_LAYER.items():
        if left in shapes and right in shapes:
            other = shapes[right] if name != "q_ot" else shapes[right][::-1]
            widths += sum(shapes[left]) if shapes[left] == other else 0
    return tokens * widths
