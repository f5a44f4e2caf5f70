"""A hash of the weights that a model has at the moment."""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from torch import Tensor

#: Bytes of a weight that are copied to the host at once.
HASHED_AT_ONCE = 2**28


def weights_hash(model: Any) -> str:
    """Hash the names, types, shapes and values of a model's weights and buffers, 64 hex digits.

    Equal hashes are equal weights. On one core, a second per gigabyte or two.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        if not isinstance(tensor, Tensor):
            continue
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        flat = tensor.detach().reshape(-1)
        for part in flat.split(max(1, HASHED_AT_ONCE // tensor.element_size())):
            digest.update(part.contiguous().cpu().view(torch.uint8).numpy())
    return digest.hexdigest()
