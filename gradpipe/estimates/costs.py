"""Compute the arithmetic, memory and disk space of one text from the model's shape.

FLOPs count a multiply-add as two. They are of two kinds that a machine does at different speeds:
those of the passes and of comparisons in the model's precision, and the spectra's in float64.
"""

from __future__ import annotations

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
#: Backward over forward of attention that keeps no T × T matrix: it recomputes its scores.
ATTENTION_BACKWARD = 2.5
#: Projections that read the same X share its Gram matrix.
SHARED = (("q", "k", "v"), ("o",), ("gate", "up"), ("down",))
#: Projections whose gradient, in the last layer, only tokens that predict a response carry.
AFTER_ATTENTION = {"q", "o", "gate", "up", "down"}
#: The part of the arithmetic that products of blocks do (see ``gradients.symmetric``).
OUTER_SHARE, CONGRUENCE_SHARE = 2 / 3, 3 / 5
#: On disk: a float32 singular value after compression, in bytes (their digits are noise), a number
#: of a sketch (which has fewer), and what comes with each matrix (layer, name, norm, cosines,
#: offsets) and each batch's file.
VALUE_BYTES, SKETCH_BYTES, MATRIX_BYTES, FILE_BYTES = 3.7, 0.95, 15.0, 6000.0


@dataclass(frozen=True)
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
            self.rows + other.rows,
            self.tokens + other.tokens,
            self.response_tokens + other.response_tokens,
            self.passes + other.passes,
            self.spectra + other.spectra,
            self.comparisons + other.comparisons,
            self.disk + other.disk,
        )

    def times(self, count: int) -> Cost:
        """Multiply the costs by a count."""
        return Cost(
            self.rows * count,
            self.tokens * count,
            self.response_tokens * count,
            self.passes * count,
            self.spectra * count,
            self.comparisons * count,
            self.disk * count,
        )


def cost_of(
    shape: ModelShape,
    lengths: Iterable[tuple[int, int]],
    projections: Sequence[str],
    checkpointing: bool = False,
) -> Cost:
    """What texts of (tokens, response tokens) cost together, without padding or files."""
    found = Cost()
    for (tokens, response), count in Counter(lengths).items():
        one = Cost(
            1,
            tokens,
            response,
            pass_flops(shape, tokens, response, checkpointing),
            spectra_flops(shape, tokens, response, projections),
            comparison_flops(shape, tokens, projections),
            row_bytes(shape, tokens, response, projections),
        )
        found += one.times(count)
    return found


def pass_flops(
    shape: ModelShape, tokens: int, response_tokens: int, checkpointing: bool = False
) -> float:
    """FLOPs of a text's forward pass and of the gradients of its activations.

    Forward, two per weight and token, and 4T² per attention channel (scores and sums, the causal
    half not spared); the head at response tokens only. Backward the same once more, attention 2.5
    times; weights are frozen and take none. Checkpointing runs the layers once more.
    """
    linear = 2.0 * tokens * shape.weights_a_token
    attention = 4.0 * tokens**2 * shape.heads * shape.head_dim * shape.layers
    head = 2.0 * response_tokens * shape.hidden * shape.vocabulary
    again = linear + attention if checkpointing else 0.0
    return 2 * linear + (1 + ATTENTION_BACKWARD) * attention + 2 * head + again


def spectra_flops(
    shape: ModelShape, tokens: int, response_tokens: int, projections: Sequence[str]
) -> float:
    """FLOPs of a text's spectra, in float64, all layers and ``projections`` together.

    Each matrix goes by the size that ``gradpipe.gradients.spectra.spectrum._core`` takes it by; its
    eigenvalues count as EIGENVALUE_COST products of their size, as they do there.
    """
    inner = _layer_spectra(shape, tokens, tokens, projections)
    return (shape.layers - 1) * inner + _layer_spectra(shape, tokens, response_tokens, projections)


def _layer_spectra(
    shape: ModelShape, tokens: int, carrying: int, projections: Sequence[str]
) -> float:
    """One layer's, where ``carrying`` of the tokens have a gradient behind the attention."""
    total = 0.0
    for group in SHARED:
        grams: set[int] = set()
        for name in (name for name in group if name in projections):
            cut = name in AFTER_ATTENTION and carrying < WORTH_CUTTING * tokens
            n = max(1, carrying) if cut else tokens
            d_out, d_in = shape.projection(name)
            if by_tokens(n, d_out, d_in):
                total += _outer(n, d_out) + _congruence(n) + _eigenvalues(n)
                if n not in grams:
                    grams.add(n)
                    total += _outer(n, d_in) + n**3 / 3
            else:
                small, large = min(d_out, d_in), max(d_out, d_in)
                total += 2 * n * d_out * d_in + _outer(small, large) + _eigenvalues(small)
    return total


def by_tokens(tokens: int, d_out: int, d_in: int) -> bool:
    """Whether a spectrum is taken from T × T matrices, as ``gradients.spectrum._core`` chooses."""
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
    """FLOPs of a text's inner products and sketches, all layers together.

    As ``gradients.spectra.inner_products`` takes them: from factors or from matrices, whichever is
    less. Sums over entries, which take memory's time rather than arithmetic, are not counted.
    """
    shapes = {name: shape.projection(name) for name in projections}
    groups = [found for group in SHARED if (found := [n for n in group if n in shapes])]
    from_matrices, from_factors = by_matrices(shapes), by_factors(tokens, shapes, groups)
    if from_matrices < from_factors:
        return 2.0 * shape.layers * tokens * from_matrices
    folded = sum(min(SIDE, d_out) * min(SIDE, d_in) for d_out, d_in in shapes.values())
    flat = by_matrices({name: shapes[name] for name in _only_flat(shapes)})
    return 2.0 * shape.layers * tokens * (from_factors + folded + flat)


def _only_flat(shapes: dict[str, Shape]) -> tuple[str, ...]:
    """Q and O where their gradients can only be compared flattened."""
    pair = SAME_LAYER["q_o"]
    if not set(pair) <= set(shapes):
        return ()
    (rows, columns), (other_rows, other_columns) = (shapes[name] for name in pair)
    unlike = rows != other_rows and rows * columns == other_rows * other_columns
    return pair if unlike else ()


def row_values(
    shape: ModelShape, tokens: int, response_tokens: int, projections: Sequence[str]
) -> int:
    """How many singular values a text has: the last token predicts nothing and carries none."""
    total = 0
    for name in projections:
        full = min(max(1, tokens - 1), *shape.projection(name))
        last = min(max(1, response_tokens), full) if name in AFTER_ATTENTION else full
        total += (shape.layers - 1) * full + last
    return total


def row_bytes(
    shape: ModelShape, tokens: int, response_tokens: int, projections: Sequence[str]
) -> float:
    """Bytes on disk of a text's spectra and sketches."""
    values = row_values(shape, tokens, response_tokens, projections)
    each = MATRIX_BYTES * len(projections)
    for d_out, d_in in map(shape.projection, projections):
        # A gradient with fewer entries is a sketch with zeros.
        each += SKETCH_BYTES * min(SKETCH_VALUES, d_out * d_in)
    return VALUE_BYTES * values + each * shape.layers
