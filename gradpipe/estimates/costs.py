"""What one text costs, from the model's shape: arithmetic, memory and disk, on paper.

FLOPs count a multiply-add as two. They are of two kinds that a machine does at different speeds:
the passes' in the model's precision, and the spectra's in float64.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gradpipe.estimates.shape import ModelShape
from gradpipe.gradients.spectrum import EIGENVALUE_COST, WORTH_CUTTING
from gradpipe.gradients.symmetric import WORTH_BLOCKS

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
#: Backward over forward of attention that keeps no T × T matrix: it computes its scores again.
ATTENTION_BACKWARD = 2.5
#: Projections that read the same X share its Gram matrix.
SHARED = (("q", "k", "v"), ("o",), ("gate", "up"), ("down",))
#: Projections whose gradient, in the last layer, only tokens that predict a response carry.
AFTER_ATTENTION = {"q", "o", "gate", "up", "down"}
#: The part of the arithmetic that products of blocks do (see ``gradients.symmetric``).
OUTER_SHARE, CONGRUENCE_SHARE = 2 / 3, 3 / 5
#: On disk: a float32 singular value after compression, in bytes (their digits are noise), and what
#: comes with each matrix (layer, name, norm, offsets) and each batch's file.
VALUE_BYTES, MATRIX_BYTES, FILE_BYTES = 3.7, 9.0, 5000.0


@dataclass(frozen=True)
class Cost:
    """What rows take: tokens, FLOPs of the passes and of the spectra, bytes on disk."""

    rows: int = 0
    tokens: int = 0
    response_tokens: int = 0
    passes: float = 0.0
    spectra: float = 0.0
    disk: float = 0.0

    @property
    def flops(self) -> float:
        """All arithmetic."""
        return self.passes + self.spectra

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.rows + other.rows,
            self.tokens + other.tokens,
            self.response_tokens + other.response_tokens,
            self.passes + other.passes,
            self.spectra + other.spectra,
            self.disk + other.disk,
        )

    def times(self, count: int) -> Cost:
        """That many of the same."""
        return Cost(
            self.rows * count,
            self.tokens * count,
            self.response_tokens * count,
            self.passes * count,
            self.spectra * count,
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

    Each matrix goes by the size that ``gradpipe.gradients.spectrum._core`` takes it by; its
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
    """Bytes on disk of a text's spectra."""
    values = row_values(shape, tokens, response_tokens, projections)
    return VALUE_BYTES * values + MATRIX_BYTES * shape.layers * len(projections)
