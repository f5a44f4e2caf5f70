"""Layer by layer: a layer's factors are reduced to numbers when its last one has arrived."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from threading import Lock
from typing import Any

import torch
from torch import Tensor

from gradpipe.errors import ModelError
from gradpipe.gradients.spectra.inner_products import (
    Gradient,
    LayerAlignment,
    RowAlignment,
    layer_gradients,
    next_layer_products,
    same_layer_products,
)
from gradpipe.gradients.spectra.matmul import ready
from gradpipe.gradients.spectra.sketches import Sketcher
from gradpipe.gradients.spectra.spectrum import Spectrum, spectra_of_gradients
from gradpipe.gradients.spectra.workers import SpectraPool
from gradpipe.models.projections import Projection

#: The factors of one layer by projection: X [rows, T, d_in] and D [rows, T, d_out].
LayerFactors = dict[str, tuple[Tensor, Tensor]]
#: The spectra of some rows, by projection.
RowSpectra = dict[str, list[Spectrum]]


#: Each X of a layer with the D of every projection that reads it.
Groups = list[tuple[Tensor, dict[str, Tensor]]]


@dataclass(frozen=True, kw_only=True)
class SpectraJob:
    """Projections of one layer that read the same X [n, T, d_in], for rows from ``start`` on."""

    layer: int
    start: int
    x: Tensor
    ds: dict[str, Tensor]

    def __call__(self) -> RowSpectra:
        """Take the spectra, on the thread that calls."""
        x = _where_float64_is(self.x)
        ds = {name: _where_float64_is(d) for name, d in self.ds.items()}
        return {name: found.rows() for name, found in spectra_of_gradients(x, ds).items()}


@dataclass
class Handover:
    """What a layer's comparison leaves for that of the layer below, for the same rows."""

    layer: int
    done: Future[LayerAlignment] | None = None
    gradients: dict[str, Gradient] | None = None


@dataclass(kw_only=True)
class ComparisonJob:
    """Compares and sketches a layer's gradients, for rows from ``start`` on.

    ``above`` is what the layer above left, which must be asked for earlier; None for the last.
    ``lengths`` are the rows' tokens.
    """

    layer: int
    start: int
    lengths: list[int]
    groups: Groups
    sketcher: Sketcher
    above: Handover | None
    below: Handover
    #: What is used of the layer above, until all that was asked of the device is done.
    taken: dict[str, Gradient] = field(default_factory=dict)

    @property
    def x(self) -> Tensor:
        """The first inputs, which say where the job's factors lie."""
        return self.groups[0][0]

    def __call__(self) -> LayerAlignment:
        """Take inner products and sketches, on the thread that calls."""
        self.groups = [
            (self._own_tokens(x), {name: ready(d) for name, d in ds.items()})
            for x, ds in self.groups
        ]
        gradients = layer_gradients(self.groups)
        sketches = self.sketcher.sketches(gradients)
        same_layer = same_layer_products(gradients)
        self._take_over()
        next_layer = next_layer_products(gradients, self.taken)
        self.below.gradients = gradients
        return LayerAlignment(
            same_layer={name: found.tolist() for name, found in same_layer.items()},
            next_layer={name: found.tolist() for name, found in next_layer.items()},
            sketches={name: found.cpu().numpy() for name, found in sketches.items()},
        )

    def _take_over(self) -> None:
        """Wait for the layer above's job, and be the only one to have what it left."""
        if self.above is None:
            return
        assert self.above.done is not None
        self.above.done.result()
        self.taken, self.above.gradients = self.above.gradients or {}, None
        for gradient in self.taken.values():
            gradient.move_to(self.x.device)

    def _own_tokens(self, x: Tensor) -> Tensor:
        """X without what the padding made: its D is zero, but zero times infinity is not."""
        x = ready(x)
        if min(self.lengths) == x.shape[1]:
            return x
        places = torch.arange(x.shape[1], device=x.device)
        own = places < torch.tensor(self.lengths, device=x.device)[:, None]
        return torch.where(own[:, :, None], x, 0.0)


class SpectraSink:
    """Takes a batch's factors as the backward pass reaches them and keeps each row's numbers.

    Those are its spectra, and with a pool that is ``aligned`` what its gradients have in common.
    ``lengths`` are the rows' tokens: factors are cut to them. Factors are held until enough jobs
    are there to keep every thread of ``pool`` busy, then dropped; for comparisons, those of one
    layer stay until the next is through. Raises ModelError where the model does not call each
    projection exactly once.
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
        self._held: list[SpectraJob | ComparisonJob] = []
        #: What is being computed, with what to do with it.
        self._running: deque[tuple[Future[Any], Callable[[Any], None]]] = deque()
        self._spectra: list[dict[tuple[int, str], Spectrum]] = [{} for _ in lengths]
        #: By first row: what the last layer so far leaves.
        self._left: dict[int, Handover] = {}
        #: Each row's inner products and sketches, all of them after ``finish``.
        self.alignments = [RowAlignment() for _ in lengths]
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
        self._left.clear()
        self._collect(0)
        return self._spectra

    def abandon(self) -> None:
        """Let go of every factor after a failure, once no thread reads them any more."""
        self._held.clear()
        self._arrived.clear()
        self._left.clear()
        for future, _ in self._running:
            future.cancel()
        for future, _ in self._running:
            if not future.cancelled():
                future.exception()
        self._running.clear()

    def _jobs(self, layer: int, factors: LayerFactors) -> list[SpectraJob | ComparisonJob]:
        """A layer's factors as jobs of as many neighbouring rows as the pool likes at once, cut to
        the longest of them.
        """
        step = self._pool.rows_of_a_job(len(self.lengths), max(self.lengths))
        jobs: list[SpectraJob | ComparisonJob] = []
        comparisons: list[SpectraJob | ComparisonJob] = []
        for start in range(0, len(self.lengths), step):
            lengths = self.lengths[start : start + step]
            rows, tokens = slice(start, start + step), slice(max(lengths))
            groups = [
                (x[rows, tokens], {name: d[rows, tokens] for name, d in ds.items()})
                for x, ds in by_inputs(factors)
            ]
            jobs += [SpectraJob(layer=layer, start=start, x=x, ds=ds) for x, ds in groups]
            if self._pool.sketcher is not None:
                above = self._left.get(start)
                if above is not None and above.layer != layer + 1:
                    above = None
                left = self._left[start] = Handover(layer)
                comparisons.append(
                    ComparisonJob(
                        layer=layer,
                        start=start,
                        lengths=lengths,
                        groups=groups,
                        sketcher=self._pool.sketcher,
                        above=above,
                        below=left,
                    )
                )
        # A comparison waits for the one before it: other jobs in between keep the threads busy.
        return jobs + comparisons

    def _submit(self) -> None:
        held, self._held = self._held, []
        for job in held:
            future: Future[Any] = self._pool.submit(job, job.x)
            if isinstance(job, ComparisonJob):
                job.below.done = future
                keep: Callable[[Any], None] = partial(self._keep_alignment, job.layer, job.start)
            else:
                keep = partial(self._keep_spectra, job.layer, job.start)
            self._running.append((future, keep))
        self._collect(self._pool.in_flight)

    def _collect(self, left: int) -> None:
        """Wait until at most ``left`` jobs are running, and keep what the others found."""
        while len(self._running) > left:
            future, keep = self._running.popleft()
            keep(future.result())

    def _keep_spectra(self, layer: int, start: int, found: RowSpectra) -> None:
        for name, spectra in found.items():
            for row, spectrum in enumerate(spectra, start):
                self._spectra[row][layer, name] = spectrum

    def _keep_alignment(self, layer: int, start: int, found: LayerAlignment) -> None:
        rows = len(next(iter(found.sketches.values())))
        for row in range(rows):
            self.alignments[start + row].add(layer, found, row)


def by_inputs(factors: LayerFactors) -> Groups:
    """Each X of a layer once, with the D of every projection that reads it."""
    shared: dict[tuple[int, tuple[int, ...]], tuple[Tensor, dict[str, Tensor]]] = {}
    for name, (x, d) in factors.items():
        shared.setdefault((x.data_ptr(), tuple(x.shape)), (x, {}))[1][name] = d
    return list(shared.values())


def _where_float64_is(tensor: Tensor) -> Tensor:
    # Apple's accelerator has no float64.
    return tensor.cpu() if tensor.device.type == "mps" else tensor
