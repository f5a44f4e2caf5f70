"""Compute the arithmetic, memory and disk space of one text from the model's shape.

A multiply-add counts as two FLOPs. Machines reach different speeds for FLOPs of the passes and
comparisons, which are in the model's precision, and for those of the spectra, which are in float64.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gradpipe.estimates.model_shape import ModelShape
from gradpipe.gradients.spectra.comparisons import SAME_LAYER, Shape, by_factors, by_matrices
from gradpipe.gradients.spectra.sizes import (
    EIGENVALUE_COST,
    SIDE,
    SKETCH_VALUES,
    WORTH_BLOCKS,
    WORTH_CUTTING,
)

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
#: FLOPs of attention, backward over forward; the backward pass recomputes the T × T scores.
ATTENTION_BACKWARD = 2.5
#: Projections that read the same X share its Gram matrix.
SHARED = (
    *(("q", "k", "v", "q_a", "kv_a"), ("o",), ("gate", "up"), ("down",), ("q_b",), ("kv_b",)),
    *(("cross_q",), ("cross_k", "cross_v"), ("cross_o",)),
    *(("router", "shared_gate", "shared_up"), ("shared_down",)),
)
#: Projections whose gradient in the last layer comes only from tokens that predict a response.
AFTER_ATTENTION = {"q", "o", "gate", "up", "down", "q_a", "q_b", "cross_q", "cross_o", "router"}
AFTER_ATTENTION |= {"shared_gate", "shared_up", "shared_down"}
#: Share of the arithmetic that remains in block products (see ``gradients.spectra.symmetric``).
OUTER_SHARE, CONGRUENCE_SHARE = 2 / 3, 3 / 5
#: Bytes on disk, after compression: per float32 singular value (its digits are noise), per number
#: of a sketch (which has fewer digits), per matrix (norms and cosines) and per file.
VALUE_BYTES, SKETCH_BYTES, MATRIX_BYTES, FILE_BYTES = 3.06, 0.85, 29.0, 9500.0
#: The row store merges this many files of single batches or more, into files of this size.
FEWEST_MERGED, MERGED_BYTES = 8, 64 << 20


@dataclass(frozen=True, kw_only=True)
class Cost:
    """The costs of rows: tokens, FLOPs of passes, spectra and comparisons, bytes on disk."""

    rows: int = 0
    tokens: int = 0
    response_tokens: int = 0
    passes: float = 0.0
    spectra: float = 0.0
    comparisons: float = 0.0
    disk: float = 0.0

    @property
    def flops(self) -> float:
        """Return the total FLOPs."""
        return self.passes + self.spectra + self.comparisons

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            rows=self.rows + other.rows,
            tokens=self.tokens + other.tokens,
            response_tokens=self.response_tokens + other.response_tokens,
            passes=self.passes + other.passes,
            spectra=self.spectra + other.spectra,
            comparisons=self.comparisons + other.comparisons,
            disk=self.disk + other.disk,
        )

    def times(self, count: int) -> Cost:
        """Multiply the costs by a count."""
        return Cost(
            rows=self.rows * count,
            tokens=self.tokens * count,
            response_tokens=self.response_tokens * count,
            passes=self.passes * count,
            spectra=self.spectra * count,
            comparisons=self.comparisons * count,
            disk=self.disk * count,
        )


def cost_of(
    shape: ModelShape,
    lengths: Iterable[tuple[int, int]],
    projections: Sequence[str],
    checkpointing: bool = False,
) -> Cost:
    """The total cost of texts of (tokens, response tokens), without padding and files."""
    total = Cost()
    for (tokens, response), count in Counter(lengths).items():
        one = Cost(
            rows=1,
            tokens=tokens,
            response_tokens=response,
            passes=pass_flops(shape, tokens, response, checkpointing),
            spectra=spectra_flops(shape, tokens, response, projections),
            comparisons=comparison_flops(shape, tokens, projections),
            disk=row_bytes(shape, tokens, response, projections),
        )
        total += one.times(count)
    return total


def pass_flops(
    shape: ModelShape, tokens: int, response_tokens: int, checkpointing: bool = False
) -> float:
    """FLOPs of a text's forward pass and of the gradients of its activations.

    The forward pass takes two per weight and token, and 4T² per attention channel (scores and
    weighted sums, without savings from the causal mask); the head runs at response tokens only. The
    backward pass takes the same again, for attention 2.5 times as many: weights are frozen and have
    no gradients. Checkpointing runs the layers forward once more.
    """
    linear = 2.0 * tokens * shape.weights_per_token
    attention = 4.0 * tokens**2 * shape.heads * shape.head_dim * shape.layers
    head = 2.0 * response_tokens * shape.hidden * shape.vocabulary
    again = linear + attention if checkpointing else 0.0
    return 2 * linear + (1 + ATTENTION_BACKWARD) * attention + 2 * head + again


def spectra_flops(
    shape: ModelShape, tokens: int, response_tokens: int, projections: Sequence[str]
) -> float:
    """FLOPs (float64) of a text's spectra, summed over layers and ``projections``.

    Each matrix is reduced to the size that ``gradpipe.gradients.spectra.spectrum._core`` chooses.
    Its eigenvalues count as EIGENVALUE_COST matrix products of that size, as they do there.
    """
    inner = _layer_spectra(shape, tokens, tokens, projections)
    return (shape.layers - 1) * inner + _layer_spectra(shape, tokens, response_tokens, projections)


def _layer_spectra(
    shape: ModelShape, tokens: int, carrying: int, projections: Sequence[str]
) -> float:
    """FLOPs of one layer, where ``carrying`` tokens have a gradient after the attention."""
    total = 0.0
    for group in SHARED:
        grams: set[int] = set()
        for name in (name for name in group if name in projections):
            cut = name in AFTER_ATTENTION and carrying < WORTH_CUTTING * tokens
            blocks, n = shape.blocks(name, max(1, carrying) if cut else tokens)
            d_out, d_in = shape.projection(name)
            if by_tokens(n, d_out, d_in):
                total += blocks * (_outer(n, d_out) + _congruence(n) + _eigenvalues(n))
                if n not in grams:
                    grams.add(n)
                    total += blocks * (_outer(n, d_in) + n**3 / 3)
            else:
                small, large = min(d_out, d_in), max(d_out, d_in)
                each = 2 * n * d_out * d_in + _outer(small, large) + _eigenvalues(small)
                total += blocks * each
    return total


def by_tokens(tokens: int, d_out: int, d_in: int) -> bool:
    """Whether a spectrum comes from T × T matrices, as ``spectrum._core`` chooses."""
    small, large = min(d_out, d_in), max(d_out, d_in)
    of_tokens = tokens**2 * d_out + (2 + EIGENVALUE_COST) * tokens**3
    of_features = tokens * d_out * d_in + small**2 * large + EIGENVALUE_COST * small**3
    return of_tokens <= of_features


def _outer(n: int, width: int) -> float:
    return 2.0 * n**2 * width * (OUTER_SHARE if n >= WORTH_BLOCKS else 1)


def _congruence(n: int) -> float:
    return 4.0 * n**3 * (CONGRUENCE_SHARE if n >= WORTH_BLOCKS else 1)


def _eigenvalues(n: int) -> float:
    return 2.0 * EIGENVALUE_COST * n**3


def comparison_flops(shape: ModelShape, tokens: int, projections: Sequence[str]) -> float:
    """FLOPs of a text's inner products and sketches, summed over layers.

    They are computed from factors or from matrices, whichever takes fewer FLOPs. Sums over entries
    are not counted: they are bound by memory bandwidth rather than arithmetic.
    """
    shapes = {name: shape.projection(name) for name in projections}
    groups = [names for group in SHARED if (names := [n for n in group if n in shapes])]
    from_matrices, from_factors = by_matrices(shapes), by_factors(tokens, shapes, groups)
    if from_matrices < from_factors:
        return 2.0 * shape.layers * tokens * from_matrices
    folded = sum(min(SIDE, d_out) * min(SIDE, d_in) for d_out, d_in in shapes.values())
    flat = by_matrices({name: shapes[name] for name in _only_flat(shapes)})
    return 2.0 * shape.layers * tokens * (from_factors + folded + flat)


def _only_flat(shapes: dict[str, Shape]) -> tuple[str, ...]:
    """Q and O if their gradients can only be compared flattened, otherwise nothing."""
    pair = SAME_LAYER["q_o"]
    if not set(pair) <= set(shapes):
        return ()
    (rows, columns), (other_rows, other_columns) = (shapes[name] for name in pair)
    unlike = rows != other_rows and rows * columns == other_rows * other_columns
    return pair if unlike else ()


def row_values(
    shape: ModelShape, tokens: int, response_tokens: int, projections: Sequence[str]
) -> int:
    """Number of a text's singular values; the last token predicts nothing and adds none."""
    total = 0
    for name in projections:
        most = min(shape.projection(name))
        full = _most_values(shape, name, tokens - 1, most)
        cut = min(full, _most_values(shape, name, response_tokens, most))
        last = cut if name in AFTER_ATTENTION else full
        total += (shape.layers - 1) * full + last
    return total


def _most_values(shape: ModelShape, name: str, tokens: int, most: int) -> int:
    """The number of singular values of ``tokens`` tokens, ``most`` per block."""
    blocks, each = shape.blocks(name, max(1, tokens))
    return blocks * min(each, most)


def file_bytes(batches: int, disk: float) -> float:
    """Bytes that the files of ``batches`` add to ``disk`` bytes of rows, once they are merged."""
    files = batches if batches < FEWEST_MERGED else math.ceil(disk / MERGED_BYTES)
    return FILE_BYTES * files


def row_bytes(
    shape: ModelShape, tokens: int, response_tokens: int, projections: Sequence[str]
) -> float:
    """Bytes on disk of a text's spectra and sketches."""
    values = row_values(shape, tokens, response_tokens, projections)
    per_layer = MATRIX_BYTES * len(projections)
    for d_out, d_in in map(shape.projection, projections):
        # The sketch of a gradient with fewer entries is padded with zeros.
        per_layer += SKETCH_BYTES * min(SKETCH_VALUES, d_out * d_in)
    return VALUE_BYTES * values + per_layer * shape.layers
