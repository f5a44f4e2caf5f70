"""Spectra of a mixture's gradients: the gradient of all experts together is block-diagonal.

Each expert's block is Σ dₜxₜᵀ over the tokens that reached it. So the singular values of the whole
are those of the blocks, nuclear norms add up, and so do squared Frobenius norms.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gradpipe.gradients.spectra.inner_products import Gradient
from gradpipe.gradients.spectra.matmul import outer, ready
from gradpipe.gradients.spectra.routing import Routing
from gradpipe.gradients.spectra.sizes import GRAM_MATRICES, SIDE, WORKSPACE
from gradpipe.gradients.spectra.sketches import Sketcher, fold_map
from gradpipe.gradients.spectra.spectrum import (
    ExpertPart,
    Spectrum,
    TokenSizes,
    spectra_of_gradients,
)

#: Blocks share a batch if their numbers of tokens differ by less than this factor: the others are
#: padded to the largest.
ALIKE = 1.25


@dataclass(frozen=True)
class ExpertResults:
    """By projection, the spectra of some rows and, if they were asked for, their sketches.

    ``next_layer`` has the inner products with the gradients of the same projection one layer above.
    """

    spectra: dict[str, list[Spectrum]]
    sketches: dict[str, np.ndarray]
    next_layer: dict[str, list[float]]


class ExpertBlock(NamedTuple):
    """The pairs of one row and one expert, from ``first`` on in the order of a job's own pairs."""

    row: int
    expert: int
    first: int
    tokens: int


@dataclass(kw_only=True)
class ExpertJob:
    """Computes spectra of one layer's experts that read the same X [pairs, d_in].

    ``ds`` [pairs, d_out] are by projection. ``members`` are the rows of the batch that are wanted,
    from number ``start`` on, and ``lengths`` their numbers of tokens. With a ``sketcher``,
    gradients are sketched, and compared with those of ``above``, the job one layer above.
    """

    layer: int
    start: int
    x: Tensor
    ds: dict[str, Tensor]
    routing: Routing
    members: list[int]
    lengths: list[int]
    sketcher: Sketcher | None
    above: ExpertJob | None = None

    def __call__(self) -> ExpertResults:
        """Compute the numbers on the calling thread."""
        sizes = {name: self._sizes(d) for name, d in self.ds.items()}
        parts: dict[str, list[list[tuple[ExpertPart, Tensor, float]]]] = {
            name: [[] for _ in self.members] for name in self.ds
        }
        for blocks in self._batches():
            self._add_spectra(blocks, parts)
        above, self.above = self.above, None
        spectra = {
            name: [_joined(row, *own) for row, own in zip(rows, sizes[name], strict=True)]
            for name, rows in parts.items()
        }
        return ExpertResults(
            spectra,
            self._sketches() if self.sketcher and self.sketcher.kept else {},
            self._products(above) if self.sketcher and above else {},
        )

    @cached_property
    def _own(self) -> tuple[Tensor, Tensor, Tensor]:
        """Of the pairs of own tokens, by row and expert: places, rows and experts [n]."""
        device, length = self.x.device, self.routing.length
        rows = torch.div(self.routing.tokens, length, rounding_mode="floor")
        count = max(int(rows.max()) if len(rows) else 0, *self.members) + 1
        number = torch.full((count,), -1, device=device)
        number[self.members] = torch.arange(len(self.members), device=device)
        # Padding reaches experts, too; rows that are not wanted have no own tokens.
        own = torch.zeros(count, dtype=torch.int64, device=device)
        own[self.members] = torch.tensor(self.lengths, device=device)
        kept = (self.routing.tokens % length < own[rows]).nonzero().flatten()
        rows, experts = number[rows[kept]], self.routing.experts[kept]
        order = (rows * self.routing.number + experts).argsort(stable=True)
        return kept[order], rows[order], experts[order]

    @cached_property
    def _blocks(self) -> list[ExpertBlock]:
        """The own pairs by row and expert."""
        _, rows, experts = self._own
        number = self.routing.number
        found, counts = torch.unique_consecutive(rows * number + experts, return_counts=True)
        firsts = (counts.cumsum(0) - counts).tolist()
        each = zip(found.tolist(), firsts, counts.tolist(), strict=True)
        return [ExpertBlock(place // number, place % number, *pairs) for place, *pairs in each]

    def _batches(self) -> Iterator[list[ExpertBlock]]:
        """Yield blocks of similar size."""
        blocks = sorted(self._blocks, key=lambda block: block.tokens)
        widths = self.x.shape[1] + sum(d.shape[1] for d in self.ds.values())
        while blocks:
            least = blocks[0].tokens
            alike = sum(block.tokens <= ALIKE * least for block in blocks)
            bytes_each = 8 * least * (GRAM_MATRICES * least + widths)
            alike = max(1, min(alike, WORKSPACE // bytes_each))
            yield blocks[:alike]
            blocks = blocks[alike:]

    def _pairs(self, blocks: list[ExpertBlock]) -> tuple[Tensor, Tensor]:
        """The pairs [blocks, n] of some blocks, and which of them belong to it."""
        places, _, _ = self._own
        firsts = torch.tensor([block.first for block in blocks], device=places.device)
        counts = torch.tensor([block.tokens for block in blocks], device=places.device)
        steps = torch.arange(int(counts.max()), device=places.device)
        inside = steps < counts[:, None]
        return places[firsts[:, None] + torch.where(inside, steps, 0)], inside

    def _add_spectra(
        self,
        blocks: list[ExpertBlock],
        parts: dict[str, list[list[tuple[ExpertPart, Tensor, float]]]],
    ) -> None:
        pairs, inside = self._pairs(blocks)
        x = _padded(self.x, pairs, inside)
        ds = {name: _padded(d, pairs, inside) for name, d in self.ds.items()}
        for name, spectra in spectra_of_gradients(x, ds).items():
            for block, spectrum in zip(blocks, spectra.rows(), strict=True):
                values = spectrum.singular_values
                part = ExpertPart(
                    block.expert,
                    block.tokens,
                    spectrum.squared_norm**0.5,
                    float(values.sum()),
                    _effective_rank(values),
                )
                parts[name][block.row].append((part, values, spectrum.squared_norm))

    def _sizes(self, d: Tensor) -> list[tuple[float, float]]:
        """Σ‖gₜ‖ and Σ‖gₜ‖² of each row; a token's gₜ has one block per expert it reached."""
        places, rows, _ = self._own
        squares = _square_norms(self.x[places]) * _square_norms(d[places])
        tokens = self.routing.tokens[places] % self.routing.length
        each = squares.new_zeros(len(self.members), self.routing.length)
        each.index_put_((rows, tokens), squares, accumulate=True)
        return list(zip(each.sqrt().sum(1).tolist(), each.sum(1).tolist(), strict=True))

    def _sketches(self) -> dict[str, np.ndarray]:
        """Sketches [rows, SKETCH_VALUES] of the experts' gradients, one on top of another."""
        assert self.sketcher is not None
        places, rows, experts = self._own
        counts = torch.bincount(rows, minlength=len(self.members)).tolist()
        x = self.sketcher.fold(ready(self.x[places]), SIDE, "inputs").float()
        folded = {}
        for name, whole in self.ds.items():
            d = _folded_outputs(ready(whole[places]).float(), experts, self.routing.number)
            pairs = zip(d.split(counts), x.split(counts), strict=True)
            matrix = torch.stack([one.mT @ other for one, other in pairs])
            shape = (self.routing.number * whole.shape[1], self.x.shape[1])
            folded[name] = Gradient(shape, None, None, matrix)
        sketches = self.sketcher.sketches(folded)
        return {name: values.cpu().numpy() for name, values in sketches.items()}

    def _products(self, above: ExpertJob) -> dict[str, list[float]]:
        """⟨G, G'⟩ of each row with the layer above: the sum over experts of ⟨Gₑ, G'ₑ⟩."""
        found = {
            name: [0.0] * len(self.members)
            for name, d in self.ds.items()
            if name in above.ds
            and self.routing.number == above.routing.number
            and (self.x.shape[1], d.shape[1]) == (above.x.shape[1], above.ds[name].shape[1])
        }
        theirs = {block[:2]: block for block in above._blocks}
        for row in range(len(self.members)):
            blocks = [b for b in self._blocks if b.row == row and b[:2] in theirs]
            if not blocks:
                continue
            pairs = self._pairs(blocks), above._pairs([theirs[block[:2]] for block in blocks])
            inputs = _outer(self.x, above.x, *pairs)
            for name, rows in found.items():
                outputs = _outer(self.ds[name], above.ds[name], *pairs)
                rows[row] = float((outputs * inputs).sum())
        return found


def _outer(
    one: Tensor, other: Tensor, pairs: tuple[Tensor, Tensor], others: tuple[Tensor, Tensor]
) -> Tensor:
    """ABᵀ [blocks, n, m] of the values of two layers at some of their pairs."""
    return outer(_padded(ready(one), *pairs), _padded(ready(other), *others).to(one.device))


def _padded(values: Tensor, pairs: Tensor, inside: Tensor) -> Tensor:
    """The values [blocks, n, width] of ``pairs`` [blocks, n], zero where not ``inside``."""
    values = values.detach()
    # Apple's accelerator has no float64.
    values = values.cpu() if values.device.type == "mps" else values
    return torch.where(inside[:, :, None], values[pairs], 0.0)


def _square_norms(values: Tensor) -> Tensor:
    double = torch.float32 if values.device.type == "mps" else torch.float64
    return values.detach().to(double).square().sum(1)


def _joined(parts: list[tuple[ExpertPart, Tensor, float]], norms: float, energy: float) -> Spectrum:
    """The spectrum of a row's blocks together."""
    parts = sorted(parts, key=lambda part: part[0].expert)
    values = torch.cat([values for _, values, _ in parts] or [torch.zeros(1).double()])
    return Spectrum(
        values.sort(descending=True).values,
        math.fsum(squared for _, _, squared in parts)
        if all(math.isfinite(squared) for _, _, squared in parts)
        else math.nan,
        TokenSizes(norms, energy),
        tuple(part for part, _, _ in parts),
    )


def _effective_rank(values: Tensor) -> float | None:
    """exp(−Σ p ln p), p = σ/Σσ (Roy and Vetterli 2007); None for zeros or if not finite."""
    total = float(values.sum())
    if not (math.isfinite(total) and total > 0):
        return None
    shares = values[values > 0] / total
    return math.exp(-float((shares * shares.log()).sum()))


def _folded_outputs(d: Tensor, experts: Tensor, number: int) -> Tensor:
    """Fold D [pairs, d_out] as the rows of its expert's block among all experts' rows."""
    width = d.shape[1]
    bucket, sign, to = _folds(number * width, d.device)
    columns = experts[:, None] * width + torch.arange(width, device=d.device)
    folded = d.new_zeros(len(d), to)
    return folded.scatter_add_(1, bucket[columns], d * sign[columns])


def _folds(width: int, device: torch.device) -> tuple[Tensor, Tensor, int]:
    """Where each of ``width`` outputs is added, with which sign, and the number of sums."""
    if width <= SIDE:
        same = torch.arange(width, device=device)
        return same, torch.ones(width, device=device), width
    places, signs = (part.ravel() for part in fold_map(width, SIDE, "outputs"))
    used = signs != 0
    bucket, sign = np.zeros(width, np.int64), np.zeros(width, np.float32)
    bucket[places[used]] = np.tile(np.arange(SIDE), len(places) // SIDE)[used]
    sign[places[used]] = signs[used]
    return torch.from_numpy(bucket).to(device), torch.from_numpy(sign).to(device), SIDE
