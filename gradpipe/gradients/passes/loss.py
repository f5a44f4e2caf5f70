"""The loss of a batch and its backward pass, with logits for response tokens only."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gradpipe.gradients.passes.replaced_forward import replaced_forwards
from gradpipe.gradients.passes.text_call import text_call
from gradpipe.gradients.tokens import TokenRow
from gradpipe.models.devices import input_device

#: Logits per block: 8 MiB in float32 on the CPU, to stay in the cache; 512 MiB on an accelerator.
#: For a whole batch and a vocabulary of 256 000, logits would take gigabytes.
CPU_BLOCK = 2**21
ACCELERATOR_BLOCK = 2**27
#: Blocks have a multiple of this number of rows. With a large vocabulary, gradients of one, two,
#: three or six rows use kernels that lose a digit of float32 (measured on a CPU: errors of 5e-6
#: instead of 5e-7, and of 2e-4 in a layer's spectral norm).
ROUND_TO = 16


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """The n positions of a batch whose logits predict a response token.

    ``row`` and ``position`` [n] locate the logits, ``target`` [n] is the token. ``weight`` [n] is
    one over the row's number of response tokens: weighted losses of a row sum to their mean.
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
        """Return a copy on another device."""
        parts = (self.row, self.position, self.target, self.weight)
        row, position, target, weight = (part.to(device) for part in parts)
        return Predictions(row=row, position=position, target=target, weight=weight)


def predictions(rows: list[TokenRow]) -> Predictions:
    """Return a prediction for each response token of ``rows``, except the first token of a text.

    Padded to a multiple of ROUND_TO with predictions of weight zero.
    """
    places = [
        (number, position - 1, row.ids[position], 1 / row.response_tokens)
        for number, row in enumerate(rows)
        for position in row.positions
    ]
    places += [(*places[0][:3], 0.0)] * (-len(places) % ROUND_TO)
    columns = torch.tensor(places, dtype=torch.float64).T
    row, position, target = columns[:3].long()
    return Predictions(row=row, position=position, target=target, weight=columns[3])


@dataclass(frozen=True, kw_only=True)
class ForwardPass:
    """The forward pass of a batch, from which any number of backward passes may follow.

    ``hidden`` [rows, T, width] is the decoder's output and ``gradient`` that of the sum of all
    ``losses``, the rows' means. ``token_losses`` [rows, T], float64, are zero but where a token is
    predicted; those of a row sum to its loss.
    """

    hidden: Tensor
    gradient: Tensor
    losses: list[float]
    token_losses: Tensor

    @property
    def usable(self) -> bool:
        """Whether any loss is finite."""
        return any(map(math.isfinite, self.losses))

    def losses_by_token(self, rows: list[TokenRow]) -> list[Tensor]:
        """The cross-entropy of each token of ``rows`` that carries loss, in their order, float32.

        The mean of a row's is its loss.
        """
        shares = self.token_losses.cpu()
        return [
            (share[[position - 1 for position in row.positions]] * row.response_tokens).float()
            for share, row in zip(shares, rows, strict=True)
        ]


def backward_of_losses(model: Any, rows: list[TokenRow]) -> list[float]:
    """Return each row's mean cross-entropy over its response tokens; run their backward pass.

    The backward pass stops at the decoder's output if no loss is finite.
    """
    forward = forward_to_losses(model, rows)
    if forward.usable:
        forward.hidden.backward(forward.gradient)
    return forward.losses


def forward_to_losses(model: Any, rows: list[TokenRow]) -> ForwardPass:
    """Compute each row's mean cross-entropy over its response tokens, and the head's backward pass.

    Logits are computed in blocks from the decoder's output; each block is dropped before the next.

    There is no attention mask, since the causal mask hides the padding. With a mask, padding beyond
    a sliding window would attend to nothing, and some softmax implementations then return NaN. Rows
    are padded with their own last token: a non-finite embedding of any other token would reach the
    row through attention weights of zero.
    """
    length = max(len(row.ids) for row in rows)
    ids = torch.tensor([row.ids + row.ids[-1:] * (length - len(row.ids)) for row in rows])
    call = text_call(model, rows)
    hidden, logits_of, vocabulary = _decoder_and_head(model, call, ids.to(input_device(model)))
    targets = predictions(rows).to(hidden.device)
    block = CPU_BLOCK if hidden.device.type == "cpu" else ACCELERATOR_BLOCK
    step = max(1, block // vocabulary // ROUND_TO) * ROUND_TO
    losses = torch.zeros(len(rows), dtype=torch.float64, device=hidden.device)
    by_token = losses.new_zeros(hidden.shape[:2])
    gradient = torch.zeros_like(hidden)
    for start in range(0, len(targets), step):
        part = targets[start : start + step]
        places = part.row, part.position
        block_hidden = hidden.detach()[places].requires_grad_()
        token_losses = _backward_of_block(logits_of(block_hidden), part).to(losses.device)
        losses.index_add_(0, part.row, token_losses)
        by_token.index_put_(places, token_losses, accumulate=True)
        gradient.index_put_(places, _gradient_of(block_hidden), accumulate=True)
    return ForwardPass(
        hidden=hidden, gradient=gradient, losses=losses.tolist(), token_losses=by_token
    )


def _gradient_of(leaf: Tensor) -> Tensor:
    assert leaf.grad is not None
    return leaf.grad


def _backward_of_block(logits: Tensor, targets: Predictions) -> Tensor:
    """Return weighted cross-entropies [n], float64, of logits [n, vocabulary]; run their backward.

    The derivative is explicit, since autograd would keep three tensors of the logits' size instead
    of one.
    """
    targets = targets.to(logits.device)
    target, weight = targets.target[:, None], targets.weight[:, None]
    with torch.no_grad():
        values = logits.to(torch.promote_types(logits.dtype, torch.float32))
        largest, argmax = values.max(dim=1, keepdim=True)
        # -ln p = (max - x) - ln p(max): no large terms that cancel each other.
        below = (largest - values.gather(1, target)).double()
        p = torch.softmax(values, dim=1)
        losses = weight * (below - p.gather(1, argmax).double().log())
        # p - 1 at the target, as in the reference. If p is nearly one, the difference has few
        # digits: float32 norms of responses that the model is sure of are off by 1e-4.
        p.scatter_add_(1, target, torch.full_like(p[:, :1], -1.0))
        d = p.mul_(weight.to(p.dtype)).to(logits.dtype)
    logits.backward(d)
    return losses.squeeze(1)


def _decoder_and_head(
    model: Any, call: Callable[[Tensor], Any], ids: Tensor
) -> tuple[Tensor, Callable[[Tensor], Tensor], int]:
    """Run the decoder on ``ids`` [rows, T]; return its output, a head function and the vocabulary.

    ``call`` runs the model on decoder tokens.
    The head function computes logits by the model's own forward, with a decoder that returns given
    values, so it includes any scaling or soft-capping around the head. If a model has no separate
    decoder, the output is the logits and the head function is the identity.
    """
    decoder = model.get_decoder() if hasattr(model, "get_decoder") else model
    compute, decoder_outputs = decoder.forward, []

    def first_token(*inputs: Any, **settings: Any) -> Any:
        outputs = compute(*inputs, **settings)
        if not hasattr(outputs, "last_hidden_state"):
            return outputs
        decoder_outputs.append(outputs)
        return type(outputs)(last_hidden_state=outputs.last_hidden_state[:1, :1].detach())

    with replaced_forwards({decoder: first_token}):
        logits = call(ids).logits
    if not decoder_outputs:
        return logits, lambda values: values, logits.shape[-1]
    [outputs] = decoder_outputs

    def logits_of(hidden: Tensor) -> Tensor:
        replacement = type(outputs)(last_hidden_state=hidden[None])
        with replaced_forwards({decoder: lambda *_, **__: replacement}):
            # The values of these ids are not used, but their device is.
            unused_ids = ids.new_zeros((1, len(hidden)), device=hidden.device)
            hidden_logits: Tensor = call(unused_ids).logits[0]
        return hidden_logits

    return outputs.last_hidden_state, logits_of, logits.shape[-1]
