"""The naive method: weight gradients by autograd, one example at a time, then full SVDs.

The paper's reference implementation works like this: ``loss.backward()`` where only the weights of
Q, K, V and O require gradients, logits at every token, and ``torch.linalg.svd`` of every gradient
with its U and V, in float32.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gradpipe.gradients.tokens import TokenRow

if TYPE_CHECKING:
    from torch import Tensor

#: A weight's (layer, projection).
Place = tuple[int, str]
WEIGHT = re.compile(r"\.(\d+)\.self_attn\.([qkvo])_proj\.weight$")


@contextmanager
def asking_weights(model: Any) -> Iterator[dict[Place, Tensor]]:
    """The weights of all Q, K, V and O; within the context they alone require gradients."""
    weights: dict[Place, Tensor] = {}
    model.requires_grad_(False)
    for name, weight in model.named_parameters():
        if found := WEIGHT.search(name):
            weights[int(found[1]), found[2]] = weight.requires_grad_(True)
    try:
        yield weights
    finally:
        for weight in weights.values():
            weight.requires_grad_(False)
            weight.grad = None


def take_gradients(model: Any, row: TokenRow) -> float:
    """One forward and backward pass with weight gradients; the mean loss over the response."""
    import torch

    ids = torch.tensor([row.ids], device=model.device)
    labels = ids.clone()
    labels[:, : row.start] = -100
    loss = model(input_ids=ids, labels=labels, use_cache=False).loss
    loss.backward()
    return float(loss.detach())


def decompose(weights: dict[Place, Tensor]) -> dict[Place, Tensor]:
    """Singular values [min(d_out, d_in)] of each weight's gradient, which is then freed."""
    import torch

    values = {}
    for place, weight in weights.items():
        assert weight.grad is not None
        _, values[place], _ = torch.linalg.svd(weight.grad.float())
        weight.grad = None
    return values


def naive_rows(model: Any, rows: list[TokenRow]) -> list[tuple[float, dict[Place, Tensor]]]:
    """Each row's loss and singular values."""
    with asking_weights(model) as weights:
        return [(take_gradients(model, row), decompose(weights)) for row in rows]
