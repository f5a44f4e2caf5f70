"""The loss of a batch and its backward pass, with logits only where there is loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gradpipe.gradients.passes.replaced_forward import replaced_forwards
from gradpipe.gradients.tokens import TokenRow
from gradpipe.models.devices import input_device

#: Logits of one block: 8 MiB in float32 on the CPU, where more leaves the cache; 512 MiB on an
#: accelerator. A whole batch's, through a vocabulary of 256 000, would be gigabytes.
CPU_BLOCK = 2**21
ACCELERATOR_BLOCK = 2**27
#: Blocks are a multiple of this: through a large vocabulary, the gradient of one, two, three or six
#: rows goes by kernels that lose a digit of float32 (5e-6 against 5e-7 as measured on a CPU; 2e-4
#: on a layer's spectral norm).
ROUND_TO = 16


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """Where a batch's loss is: n positions whose logits are to predict a response token.

    ``row`` and ``position`` [n] say which logits, ``target`` [n] which token, ``weight`` [n] one
    over the row's response tokens, so that a row's weighted losses sum to their mean.
    """

    row: Tensor
    position: Tensor
    target: Tensor
    weight: Tensor

    def __len__(self) -> int:
        return len(self.target)

    def __getitem__(self, part: slice) -> Predictions:
        return Predictions(
            row=self.row[part],
            position=self.position[part],
            target=self.target[part],
            weight=self.weight[part],
        )

    def to(self, device: torch.device) -> Predictions:
        """The same on another device."""
        parts = (self.row, self.position, self.target, self.weight)
        row, position, target, weight = (part.to(device) for part in parts)
        return Predictions(row=row, position=position, target=target, weight=weight)


def predictions(rows: list[TokenRow]) -> Predictions:
    """Every response token of ``rows``, the first token of a text left out.

    Filled up to a multiple of ROUND_TO with some that have no weight.
    """
    places = [
        (number, position - 1, row.ids[position], 1 / row.response_tokens)
        for number, row in enumerate(rows)
        for position in range(max(row.start, 1), len(row.ids))
    ]
    places += [(*places[0][:3], 0.0)] * (-len(places) % ROUND_TO)
    columns = torch.tensor(places, dtype=torch.float64).T
    row, position, target = columns[:3].long()
    return Predictions(row=row, position=position, target=target, weight=columns[3])


def backward_of_losses(model: Any, rows: list[TokenRow]) -> list[float]:
    """Each row's mean cross-entropy over its response tokens; the gradients of their sum flow back.

    Logits are taken block by block behind the decoder's last layer, and each block's are dropped
    before the next. No attention mask: the causal one hides the padding already, and with a second
    one the padding behind a sliding window sees nothing at all, which makes NaN of it where softmax
    takes no care. A row is padded with its own last token: another's embedding, where it is not
    finite, would reach the row through attention weights of zero.

    Nothing flows back where no loss is finite: there is no gradient to be had.
    """
    length = max(len(row.ids) for row in rows)
    ids = torch.tensor([row.ids + row.ids[-1:] * (length - len(row.ids)) for row in rows])
    hidden, logits_of, vocabulary = _decoder_and_head(model, ids.to(input_device(model)))
    wanted = predictions(rows).to(hidden.device)
    block = CPU_BLOCK if hidden.device.type == "cpu" else ACCELERATOR_BLOCK
    step = max(1, block // vocabulary // ROUND_TO) * ROUND_TO
    losses = torch.zeros(len(rows), dtype=torch.float64, device=hidden.device)
    gradient = torch.zeros_like(hidden)
    for start in range(0, len(wanted), step):
        part = wanted[start : start + step]
        given = hidden.detach()[part.row, part.position].requires_grad_()
        of_tokens = _backward_of_block(logits_of(given), part)
        losses.index_add_(0, part.row, of_tokens.to(losses.device))
        gradient.index_put_((part.row, part.position), _gradient_of(given), accumulate=True)
    if bool(torch.isfinite(losses).any()):
        hidden.backward(gradient)
    return losses.tolist()


def _gradient_of(leaf: Tensor) -> Tensor:
    assert leaf.grad is not None
    return leaf.grad


def _backward_of_block(logits: Tensor, wanted: Predictions) -> Tensor:
    """Weighted cross-entropies [n], float64, of logits [n, vocabulary]; their gradients flow back.

    By hand, since autograd's own keeps three blocks of logits' size where one is enough.
    """
    wanted = wanted.to(logits.device)
    target, weight = wanted.target[:, None], wanted.weight[:, None]
    with torch.no_grad():
        values = logits.to(torch.promote_types(logits.dtype, torch.float32))
        largest, where = values.max(dim=1, keepdim=True)
        # -ln p = (max - x) - ln p(max): no term is large that does not belong to the result.
        below = (largest - values.gather(1, target)).double()
        p = torch.softmax(values, dim=1)
        losses = weight * (below - p.gather(1, where).double().log())
        # As the reference has it. Where p is nearly one the difference has few digits: a response
        # that the model is sure of has norms that are 1e-4 off, in float32.
        p.scatter_add_(1, target, torch.full_like(p[:, :1], -1.0))
        d = p.mul_(weight.to(p.dtype)).to(logits.dtype)
    logits.backward(d)
    return losses.squeeze(1)


def _decoder_and_head(model: Any, ids: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor], int]:
    """What the decoder makes of ``ids`` [rows, T], the way from there to logits, and their number.

    The way is the model's own forward with a decoder that hands over what it is given, so that
    whatever the model does around its head (scaling, soft-capping) is done. For a model that is not
    built so, the logits themselves stand for what the decoder makes.
    """
    decoder = model.get_decoder() if hasattr(model, "get_decoder") else model
    compute, found = decoder.forward, []

    def first_token(*inputs: Any, **settings: Any) -> Any:
        outputs = compute(*inputs, **settings)
        if not hasattr(outputs, "last_hidden_state"):
            return outputs
        found.append(outputs)
        return type(outputs)(last_hidden_state=outputs.last_hidden_state[:1, :1].detach())

    with replaced_forwards({decoder: first_token}):
        logits = model(input_ids=ids, use_cache=False).logits
    if not found:
        return logits, lambda given: given, logits.shape[-1]
    [outputs] = found

    def logits_of(given: Tensor) -> Tensor:
        handed = type(outputs)(last_hidden_state=given[None])
        with replaced_forwards({decoder: lambda *_, **__: handed}):
            # Ids that nobody looks at, on the device where the logits are wanted.
            nothing = ids.new_zeros((1, len(given)), device=given.device)
            of_given: Tensor = model(input_ids=nothing, use_cache=False).logits[0]
        return of_given

    return outputs.last_hidden_state, logits_of, logits.shape[-1]
