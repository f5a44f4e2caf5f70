"""Spectra layer by layer: a layer's factors are reduced when its last one has arrived."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gradpipe.errors import ModelError
from gradpipe.gradients.spectrum import Inputs, Spectrum, spectrum_from_factors
from gradpipe.models.projections import Projection

if TYPE_CHECKING:
    from torch import Tensor

#: X [T, d_in] and D [T, d_out] of each projection of one layer, for one row.
LayerFactors = dict[str, tuple["Tensor", "Tensor"]]


@contextmanager
def spectra_pool(device: str) -> Iterator[Executor | None]:
    """Threads for spectra: one matrix a core on the CPU, None on an accelerator.

    An eigenvalue problem of a few hundred rows gains little from a second thread, and loses tenfold
    where the two wait for each other on a busy machine (measured at 500: 0.015 s on one thread,
    0.04 to 0.2 s on two).
    """
    if device != "cpu":
        yield None
        return
    import torch

    # The number of threads is a setting of each thread: the passes keep all of theirs.
    with ThreadPoolExecutor(
        os.cpu_count(), initializer=torch.set_num_threads, initargs=(1,)
    ) as pool:
        yield pool


class SpectraSink:
    """Takes a batch's factors as the backward pass reaches them and keeps each row's spectra.

    ``lengths`` are the rows' tokens: factors are cut to them. Factors are held until enough layers
    are complete to keep every thread of ``pool`` busy, then dropped. Raises ModelError where the
    model does not call each projection exactly once, or where fused columns are not what they were
    taken for.
    """

    def __init__(
        self, lengths: list[int], projections: list[Projection], pool: Executor | None = None
    ) -> None:
        self.lengths = lengths
        self._pool = pool
        self._at_once = 2 * (os.cpu_count() or 1) if pool else 1
        self._awaited: dict[int, int] = {}
        for projection in projections:
            self._awaited[projection.layer] = self._awaited.get(projection.layer, 0) + 1
        self._arrived: dict[int, LayerFactors] = {}
        self._complete: list[tuple[int, int, LayerFactors]] = []
        self._spectra: list[dict[tuple[int, str], Spectrum]] = [{} for _ in lengths]

    def __call__(self, projection: Projection, x: Tensor, d: Tensor) -> None:
        """Keep one projection's X [rows, T, d_in] and D [rows, T, d_out]."""
        layer = projection.layer
        factors = self._arrived.setdefault(layer, {})
        if layer not in self._awaited or projection.name in factors:
            raise ModelError(
                f"The model calls {projection.path} more than once in a pass: gradpipe takes only "
                "models whose layers have weights of their own."
            )
        _check_columns(projection, d)
        factors[projection.name] = x, d
        if len(factors) == self._awaited[layer]:
            del self._arrived[layer], self._awaited[layer]
            self._complete += [
                (
                    row,
                    layer,
                    {name: (x[row, :length], d[row, :length]) for name, (x, d) in factors.items()},
                )
                for row, length in enumerate(self.lengths)
            ]
            if len(self._complete) >= self._at_once:
                self._reduce()

    def finish(self) -> list[dict[tuple[int, str], Spectrum]]:
        """The spectra of every row, by layer and projection."""
        if self._awaited:
            raise ModelError(
                f"The loss does not reach every projection of layer {min(self._awaited)}: they "
                "belong to a part that text does not pass, or the layer uses another one's keys "
                "and values; gradpipe takes only decoders in which every layer uses its own."
            )
        self._reduce()
        return self._spectra

    def _reduce(self) -> None:
        ready, self._complete = self._complete, []
        factors = [entry[2] for entry in ready]
        spectra = (self._pool.map if self._pool else map)(layer_spectra, factors)
        for (row, layer, _), of_layer in zip(ready, spectra, strict=True):
            for name, spectrum in of_layer.items():
                self._spectra[row][layer, name] = spectrum


def _check_columns(projection: Projection, d: Tensor) -> None:
    """Raise ModelError where a fused layer's columns [rows, T, d_out] cannot be its queries'.

    A text's first token sees itself alone, so its query carries no gradient, whatever the model.
    """
    if projection.name != "q" or projection.outputs == slice(None):
        return
    if d[:, 0].abs().max() > 0.1 * d.abs().max():
        raise ModelError(
            f"{projection.path} does not write its queries, keys and values side by side in that "
            "order: gradpipe cannot take it apart."
        )


def layer_spectra(factors: LayerFactors) -> dict[str, Spectrum]:
    """The spectra of one layer's projections; those that read the same X share its Gram factor."""
    shared: dict[tuple[int, tuple[int, ...]], Inputs] = {}
    spectra = {}
    for name, (x, d) in factors.items():
        identity = x.data_ptr(), tuple(x.shape)
        if identity not in shared:
            shared[identity] = Inputs(_where_float64_is(x))
        spectra[name] = spectrum_from_factors(shared[identity], _where_float64_is(d))
    return spectra


def _where_float64_is(tensor: Tensor) -> Tensor:
    # Apple's accelerator has no float64.
    return tensor.cpu() if tensor.device.type == "mps" else tensor
