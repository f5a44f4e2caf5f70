"""Spectra layer by layer: a layer's factors are reduced when its last one has arrived."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

from gradpipe.errors import ModelError
from gradpipe.gradients.pool import SpectraPool
from gradpipe.gradients.spectrum import Spectrum, gradient_spectra
from gradpipe.models.projections import Projection

if TYPE_CHECKING:
    from torch import Tensor

#: The factors of one layer by projection: X [rows, T, d_in] and D [rows, T, d_out].
LayerFactors = dict[str, tuple["Tensor", "Tensor"]]
#: The spectra of some rows, by projection.
RowSpectra = dict[str, list[Spectrum]]


@dataclass(frozen=True)
class Job:
    """Projections of one layer that read the same X [n, T, d_in], for rows from ``start`` on."""

    layer: int
    start: int
    x: Tensor
    ds: dict[str, Tensor]

    def __call__(self) -> RowSpectra:
        """Take the spectra, on the thread that calls."""
        x = _where_float64_is(self.x)
        ds = {name: _where_float64_is(d) for name, d in self.ds.items()}
        return {name: found.rows() for name, found in gradient_spectra(x, ds).items()}


class SpectraSink:
    """Takes a batch's factors as the backward pass reaches them and keeps each row's spectra.

    ``lengths`` are the rows' tokens: factors are cut to them. Factors are held until enough jobs
    are there to keep every thread of ``pool`` busy, then dropped. Raises ModelError where the
    model does not call each projection exactly once.
    """

    def __init__(
        self, lengths: list[int], projections: list[Projection], pool: SpectraPool
    ) -> None:
        self.lengths = lengths
        self._pool = pool
        self._awaited: dict[int, int] = {}
        for projection in projections:
            self._awaited[projection.layer] = self._awaited.get(projection.layer, 0) + 1
        self._arrived: dict[int, LayerFactors] = {}
        self._held: list[Job] = []
        self._running: deque[tuple[int, int, Future[RowSpectra]]] = deque()
        self._spectra: list[dict[tuple[int, str], Spectrum]] = [{} for _ in lengths]
        # Where a model is spread, each device's part of the backward pass has a thread of its own.
        self._lock = Lock()

    def __call__(self, projection: Projection, x: Tensor, d: Tensor) -> None:
        """Keep one projection's X [rows, T, d_in] and D [rows, T, d_out]."""
        with self._lock:
            self._keep(projection, x, d)

    def _keep(self, projection: Projection, x: Tensor, d: Tensor) -> None:
        layer = projection.layer
        factors = self._arrived.setdefault(layer, {})
        if layer not in self._awaited or projection.name in factors:
            raise ModelError(
                f"The model calls {projection.path} more than once in a pass: gradpipe takes only "
                "models whose layers have weights of their own."
            )
        factors[projection.name] = x, d
        if len(factors) == self._awaited[layer]:
            del self._arrived[layer], self._awaited[layer]
            self._held += self._jobs(layer, factors)
            if len(self._held) >= self._pool.at_once:
                self._submit()

    def finish(self) -> list[dict[tuple[int, str], Spectrum]]:
        """The spectra of every row, by layer and projection."""
        if self._awaited:
            raise ModelError(
                f"The loss does not reach every projection of layer {min(self._awaited)}: they "
                "belong to a part that text does not pass, or the layer uses another one's keys "
                "and values; gradpipe takes only decoders in which every layer uses its own."
            )
        self._submit()
        self._collect(0)
        return self._spectra

    def abandon(self) -> None:
        """Let go of every factor after a failure, once no thread reads them any more."""
        self._held.clear()
        self._arrived.clear()
        for _, _, future in self._running:
            future.cancel()
        for _, _, future in self._running:
            if not future.cancelled():
                future.exception()
        self._running.clear()

    def _jobs(self, layer: int, factors: LayerFactors) -> list[Job]:
        """A layer's factors as jobs of as many neighbouring rows as the pool likes at once, cut to
        the longest of them.
        """
        step = self._pool.rows_of_a_job(len(self.lengths), max(self.lengths))
        starts = range(0, len(self.lengths), step)
        longest = [max(self.lengths[start : start + step]) for start in starts]
        return [
            Job(
                layer,
                start,
                x[start : start + step, :length],
                {name: d[start : start + step, :length] for name, d in ds.items()},
            )
            for x, ds in by_inputs(factors)
            for start, length in zip(starts, longest, strict=True)
        ]

    def _submit(self) -> None:
        held, self._held = self._held, []
        for job in held:
            self._running.append((job.layer, job.start, self._pool.submit(job, job.x)))
        self._collect(self._pool.in_flight)

    def _collect(self, left: int) -> None:
        """Wait until at most ``left`` jobs are running, and keep what the others found."""
        while len(self._running) > left:
            layer, start, future = self._running.popleft()
            for name, spectra in future.result().items():
                for row, spectrum in enumerate(spectra, start):
                    self._spectra[row][layer, name] = spectrum


def by_inputs(factors: LayerFactors) -> list[tuple[Tensor, dict[str, Tensor]]]:
    """Each X of a layer once, with the D of every projection that reads it."""
    shared: dict[tuple[int, tuple[int, ...]], tuple[Tensor, dict[str, Tensor]]] = {}
    for name, (x, d) in factors.items():
        shared.setdefault((x.data_ptr(), tuple(x.shape)), (x, {}))[1][name] = d
    return list(shared.values())


def _where_float64_is(tensor: Tensor) -> Tensor:
    # Apple's accelerator has no float64.
    return tensor.cpu() if tensor.device.type == "mps" else tensor
