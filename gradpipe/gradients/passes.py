"""One batch through the model: its rows' losses and the spectra of their gradients."""

from __future__ import annotations

import inspect
import math
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gradpipe.gradients.factors import factors_to
from gradpipe.gradients.layers import SpectraSink
from gradpipe.gradients.spectrum import Spectrum
from gradpipe.gradients.tokens import TokenRow
from gradpipe.models.projections import Projection

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class RowGradients:
    """One row's mean response loss and the spectrum of each (layer, projection)."""

    loss: float
    spectra: dict[tuple[int, str], Spectrum]

    @property
    def fault(self) -> str | None:
        """Why the row cannot be used, or None."""
        if not math.isfinite(self.loss):
            return f"the loss is not finite ({self.loss})"
        for (layer, projection), spectrum in self.spectra.items():
            if spectrum.fault:
                return f"layer {layer} {projection}: {spectrum.fault}"
        return None


def run_batch(
    model: Any,
    projections: list[Projection],
    rows: list[TokenRow],
    pool: Executor | None = None,
) -> list[RowGradients]:
    """Forward and backward over rows padded on the right; spectra are taken as factors arrive.

    The model must be frozen. A row's loss does not depend on what shares the batch: padding comes
    after everything that a causal model lets a token see, carries no loss, and each row's factors
    are cut to its own tokens. ``pool`` as from ``spectra_pool``.
    """
    sink = SpectraSink([len(row.ids) for row in rows], projections, pool)
    with factors_to(sink, model, projections):
        losses = _losses(model, rows)
        losses.sum().backward()
    return [
        RowGradients(float(loss), spectra)
        for loss, spectra in zip(losses.detach().tolist(), sink.finish(), strict=True)
    ]


def _losses(model: Any, rows: list[TokenRow]) -> Tensor:
    """Mean cross-entropy over each row's response tokens [rows], in float32 or float64."""
    import torch
    from torch.nn import functional

    device = model.get_input_embeddings().weight.device
    length = max(len(row.ids) for row in rows)
    ids = torch.zeros(len(rows), length, dtype=torch.long)
    carries = torch.zeros(len(rows), length, dtype=torch.bool)
    for number, row in enumerate(rows):
        ids[number, : len(row.ids)] = torch.tensor(row.ids)
        carries[number, max(row.start, 1) : len(row.ids)] = True
    keep = _positions_to_keep(carries)
    logits = _logits(model, ids.to(device), keep.to(device))
    targets = torch.where(carries, ids, -100)[:, keep + 1].to(logits.device)
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    # Classes last: over any other dimension the log-softmax sums less carefully, and loses 3e-5.
    token_losses = functional.cross_entropy(
        logits.flatten(0, 1), targets.flatten(), reduction="none", ignore_index=-100
    ).view_as(targets)
    return token_losses.sum(dim=1) / (targets != -100).sum(dim=1)


def _positions_to_keep(carries: Tensor) -> Tensor:
    """Positions whose logits are wanted [n]: those that predict a token that carries loss.

    Rounded up to a multiple of 16 with neighbours that carry none: through a large vocabulary, the
    gradient of one, two, three or six rows goes by kernels that lose a digit of float32 (5e-6
    against 5e-7 as measured on a CPU; 2e-4 on a layer's spectral norm).
    """
    import torch

    length = carries.shape[1]
    # The logits at position t predict token t + 1; the last one's predict nothing we know.
    wanted = carries.any(dim=0)[1:]
    short = -int(wanted.sum()) % 16
    spare = (~wanted).nonzero().flatten().flip(0)[:short]
    wanted[spare] = True
    return torch.arange(length - 1)[wanted]


def _logits(model: Any, ids: Tensor, keep: Tensor) -> Tensor:
    """Logits [rows, kept positions, vocabulary], computed at the kept positions where possible.

    No attention mask: the causal one hides the padding already, and with a second one the padding
    behind a sliding window sees nothing at all, which makes NaN of it where softmax takes no care.
    """
    if "logits_to_keep" in inspect.signature(model.forward).parameters:
        logits: Tensor = model(input_ids=ids, logits_to_keep=keep, use_cache=False).logits
        return logits
    whole: Tensor = model(input_ids=ids, use_cache=False).logits
    return whole[:, keep]
