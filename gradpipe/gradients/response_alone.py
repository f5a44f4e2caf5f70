"""The loss of a response without its instruction, by a forward pass alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from gradpipe.gradients.passes.batches import Batch, most_tokens, plan_batches
from gradpipe.gradients.passes.factors import frozen
from gradpipe.gradients.passes.loss import forward_to_losses
from gradpipe.gradients.passes.memory import make_room, out_of_memory
from gradpipe.gradients.tokens import TokenRow, unusable_row
from gradpipe.gradients.vocabulary import embedding_count, within_vocabulary
from gradpipe.models.load import LoadedModel


def response_alone(row: TokenRow, tokenizer: Any) -> TokenRow:
    """A row of the response's own tokens, without the prompt and without a chat template.

    The tokens that carry loss stay the same. The tokenizer's token for the beginning of a text
    precedes them, or the one for the end if it has no other, as between two documents of the
    pretraining data; without either, the first token has no loss. The result has a ``reason`` if
    ``row`` is unusable, has no prompt, or carries loss in several places, as a conversation does
    with several responses.
    """
    positions = row.positions
    if row.reason is not None:
        return unusable_row(row.reason)
    if not positions or positions[0] <= 1:
        return unusable_row("there is no prompt before the response")
    if positions[-1] - positions[0] + 1 != len(positions):
        return unusable_row("the loss is not on one response")
    start = [
        token for token in (tokenizer.bos_token_id, tokenizer.eos_token_id) if token is not None
    ]
    ids = [*start[:1], *(row.ids[position] for position in positions)]
    alone = replace(row, ids=ids, start=len(start[:1]), mask=None, spans=())
    return alone if alone.response_tokens else unusable_row("the response has one token")


def forward_losses(
    loaded: LoadedModel, rows: Sequence[TokenRow], budget: int | None = None
) -> list[float | None]:
    """The mean cross-entropy of each row (nats per token), without gradients.

    None for an unusable row, and for one that does not fit in memory. ``budget`` limits the padded
    tokens per batch.
    """
    embeddings = embedding_count(loaded.model)
    rows = [within_vocabulary(row, embeddings) for row in rows]
    losses: list[float | None] = [None] * len(rows)
    most = most_tokens(rows, loaded.device.startswith("cpu")) if budget is None else budget
    waiting = deque(plan_batches(rows, most))
    with frozen(loaded.model):
        while waiting:
            batch = waiting.popleft()
            found = _losses_if_they_fit(loaded.model, [rows[number] for number in batch.rows])
            if found is not None:
                for number, loss in zip(batch.rows, found, strict=True):
                    losses[number] = loss
            elif len(batch.rows) > 1:
                half = len(batch.rows) // 2
                waiting.extendleft(
                    Batch(part, batch.length) for part in (batch.rows[half:], batch.rows[:half])
                )
    return losses


def _losses_if_they_fit(model: Any, rows: list[TokenRow]) -> list[float] | None:
    try:
        return _losses(model, rows)
    except Exception as error:
        if not out_of_memory(error):
            raise
    make_room()
    return None


# A notebook may call this inside torch.inference_mode().
@torch.inference_mode(False)
@torch.enable_grad()
def _losses(model: Any, rows: list[TokenRow]) -> list[float]:
    return forward_to_losses(model, rows).losses
