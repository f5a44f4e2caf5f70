"""The bare passes: the model's forward pass and its backward pass to the embeddings.

Every method needs at least these. The weights are frozen, only the embeddings' output requires a
gradient, logits are computed only where there is loss, and there are no hooks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradpipe.gradients.tokens import TokenRow

if TYPE_CHECKING:
    from torch import Tensor

#: Candidate batch sizes in padded tokens, of which the fastest is used; 0: one row per batch.
BUDGETS = (0, 512, 1024, 2048, 4096)

#: Positions of rows in their list, one inner list per batch.
Batches = list[list[int]]


def batches_within(rows: list[TokenRow], budget: int) -> Batches:
    """Divide rows into batches of at most ``budget`` padded tokens, shortest rows first.

    A batch ends when the next row is more than a tenth longer, to limit the padding.
    """
    batches: Batches = []
    for number in sorted(range(len(rows)), key=lambda number: len(rows[number].ids)):
        tokens = len(rows[number].ids)
        last = batches[-1] if batches else []
        if last and (len(last) + 1) * tokens <= budget and tokens <= 1.1 * len(rows[last[0]].ids):
            last.append(number)
        else:
            batches.append([number])
    return batches


def bare_passes(model: Any, rows: list[TokenRow], batches: Batches) -> list[float]:
    """Run forward and backward passes over all batches; return the rows' mean response losses."""
    losses = [0.0] * len(rows)
    for batch in batches:
        of_batch = bare_losses(model, [rows[number] for number in batch])
        of_batch.sum().backward()
        for number, loss in zip(batch, of_batch.tolist(), strict=True):
            losses[number] = loss
    return losses


def bare_losses(model: Any, rows: list[TokenRow]) -> Tensor:
    """Mean cross-entropy over each row's response [rows], with a graph back to the embeddings.

    Rows are padded on the right, where the causal mask hides the padding without a padding mask.
    """
    import torch
    from torch.nn import functional

    embedding = model.get_input_embeddings()
    length = max(len(row.ids) for row in rows)
    ids = torch.zeros(len(rows), length, dtype=torch.long)
    targets = torch.full((len(rows), length), -100)
    for number, row in enumerate(rows):
        ids[number, : len(row.ids)] = torch.tensor(row.ids)
        response = slice(max(row.start, 1), len(row.ids))
        targets[number, response] = ids[number, response]
    keep = (targets != -100).any(dim=0).nonzero().flatten() - 1
    device = embedding.weight.device
    targets = targets[:, keep + 1].to(device)
    embedded = embedding(ids.to(device)).detach().requires_grad_(True)
    logits = model(
        inputs_embeds=embedded, logits_to_keep=keep.to(device), use_cache=False
    ).logits.float()
    losses: Tensor = functional.cross_entropy(
        logits.flatten(0, 1), targets.flatten(), reduction="none", ignore_index=-100
    ).view_as(targets)
    return losses.sum(dim=1) / (targets != -100).sum(dim=1)
