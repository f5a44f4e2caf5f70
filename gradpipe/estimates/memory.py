"""Bytes of memory that a model and a batch take."""

from __future__ import annotations

from dataclasses import dataclass

from gradpipe.estimates.costs import BYTES
from gradpipe.estimates.model_shape import ModelShape
from gradpipe.gradients.spectra.sizes import GRAM_MATRICES, WORKSPACE


@dataclass(frozen=True)
class Memory:
    """Bytes of the weights, of a batch's activations, and of the spectra's matrices."""

    weights: float
    activations: float
    spectra: float

    @property
    def bytes(self) -> float:
        """Return the total bytes."""
        return self.weights + self.activations + self.spectra


def memory_of(
    shape: ModelShape,
    dtype: str,
    batch_tokens: int,
    longest: int,
    *,
    checkpointing: bool = False,
    on_cpu: bool = True,
    bytes_per_token: float | None = None,
) -> Memory:
    """Return the peak memory of extraction, with batches of ``batch_tokens`` padded tokens.

    ``longest`` is the number of tokens of the longest text; ``bytes_per_token`` is the measured
    size of a token's activations, or None to use ``activation_bytes``.
    """
    if bytes_per_token is None:
        bytes_per_token = activation_bytes(shape, dtype, checkpointing)
    rows = max(1, batch_tokens // max(1, longest))
    grams = GRAM_MATRICES * 8.0 * longest**2 * rows
    copies = 16.0 * batch_tokens * shape.hidden
    return Memory(
        float(weight_bytes(shape, dtype)),
        bytes_per_token * batch_tokens,
        (grams if on_cpu else min(grams, max(WORKSPACE, grams / rows))) + copies,
    )


def weight_bytes(shape: ModelShape, dtype: str) -> int:
    """Bytes of a model's weights."""
    return shape.weights * BYTES[dtype]


def activation_bytes(shape: ModelShape, dtype: str, checkpointing: bool = False) -> float:
    """Bytes per token that the forward pass keeps for the backward pass.

    A layer keeps both norms' inputs and scales, Q, K, V, the attention's output, and the MLP's gate
    and product (see ``gradients.passes.fused_blocks``). Only float32 is fused: other dtypes keep
    norms in float32 and one more activation. With checkpointing every layer keeps its input, and
    one layer at a time keeps everything.
    """
    size, fused = BYTES[dtype], dtype == "float32"
    attention = shape.head_dim * (2 * shape.heads + 2 * shape.kv_heads) * size + 4 * shape.heads
    mlp = (2 if fused or not shape.gated else 3) * shape.intermediate * shape.active * size
    layer = 2 * (4 * shape.hidden + 4) + attention + mlp
    ends = 4 * shape.hidden + 4 + 2 * shape.head_dim * size
    if checkpointing:
        return float((shape.layers - 1) * shape.hidden * size + layer + ends)
    return float(shape.layers * layer + ends)
