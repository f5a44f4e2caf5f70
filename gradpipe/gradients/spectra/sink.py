"""Collect gradient factors and reduce each layer to numbers once all its factors are there."""

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
from gradpipe.gradients.spectra.unused_projections import UnusedProjections
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
    """Computes spectra of one layer's projections that read the same X [n, T, d_in].

    The rows are those from ``start`` on.
    """

    layer: int
    start: int
    x: Tensor
    ds: dict[str, Tensor]

    def __call__(self) -> RowSpectra:
        """Compute the spectra on the calling thread."""
        x = _on_float64_device(self.x)
        ds = {name: _on_float64_device(d) for name, d in self.ds.items()}
        return {name: spectra.rows() for name, spectra in spectra_of_gradients(x, ds).items()}


@dataclass
class Handover:
    """Gradients that a layer's comparison leaves for the comparison of the layer below."""

    layer: int
    done: Future[LayerAlignment] | None = None
    gradients: dict[str, Gradient] | None = None


@dataclass(kw_only=True)
class ComparisonJob:
    """Compares and sketches a layer's gradients, for rows from ``start`` on.

    ``above`` is the handover of the layer above, whose job must be submitted earlier; None for the
    last layer. ``lengths`` are the rows' numbers of tokens.
    """

    layer: int
    start: int
    lengths: list[int]
    groups: Groups
    sketcher: Sketcher
    above: Handover | None
    below: Handover
    #: Gradients of the layer above, kept alive until the device has finished with them.
    above_gradients: dict[str, Gradient] = field(default_factory=dict)

    @property
    def x(self) -> Tensor:
        """The first inputs; all factors of the job are on their device."""
        return self.groups[0][0]

    def __call__(self) -> LayerAlignment:
        """Compute inner products and sketches on the calling thread."""
        self.groups = [
            (self._own_tokens(x), {name: ready(d) for name, d in ds.items()})
            for x, ds in self.groups
        ]
        gradients = layer_gradients(self.groups)
        sketches = self.sketcher.sketches(gradients)
        same_layer = same_layer_products(gradients)
        self._take_from_above()
        next_layer = next_layer_products(gradients, self.above_gradients)
        self.below.gradients = gradients
        return LayerAlignment(
            same_layer={name: products.tolist() for name, products in same_layer.items()},
            next_layer={name: products.tolist() for name, products in next_layer.items()},
            sketches={name: values.cpu().numpy() for name, values in sketches.items()},
        )

    def _take_from_above(self) -> None:
        """Wait for the job of the layer above and take its gradients out of the handover."""
        if self.above is None:
            return
        assert self.above.done is not None
        self.above.done.result()
        self.above_gradients, self.above.gradients = self.above.gradients or {}, None
        for gradient in self.above_gradients.values():
            gradient.move_to(self.x.device)

    def _own_tokens(self, x: Tensor) -> Tensor:
        """Return X with zeros at padding, whose D is zero: zero times infinity would be NaN."""
        x = ready(x)
        if min(self.lengths) == x.shape[1]:
            return x
        places = torch.arange(x.shape[1], device=x.device)
        own = places < torch.tensor(self.lengths, device=x.device)[:, None]
        return torch.where(own[:, :, None], x, 0.0)


class SpectraSink:
    """Receives a batch's factors during the backward pass and computes each row's numbers.

    These are its spectra and, if ``pool`` has a sketcher, inner products and sketches of its
    gradients. ``lengths`` are the rows' numbers of tokens; factors are cut to them. ``members`` are
    these rows' positions in the batch, ascending, by default all. Factors are held until there are
    enough jobs to keep every thread of ``pool`` busy, then dropped. Comparisons keep those of one
    layer until the next layer is finished. Raises ModelError if the model does not call each
    projection exactly once.
    """

    def __init__(
        self,
        lengths: list[int],
        projections: list[Projection],
        pool: SpectraPool,
        members: list[int] | None = None,
    ) -> None:
        self.lengths = lengths
        self._members = list(range(len(lengths))) if members is None else members
        self._pool = pool
        self._awaited: dict[int, set[str]] = {}
        for projection in projections:
            self._awaited.setdefault(projection.layer, set()).add(projection.name)
        self._arrived: dict[int, LayerFactors] = {}
        self._held: list[SpectraJob | ComparisonJob] = []
        #: Running jobs, each with the function that stores its result.
        self._running: deque[tuple[Future[Any], Callable[[Any], None]]] = deque()
        self._spectra: list[dict[tuple[int, str], Spectrum]] = [{} for _ in lengths]
        #: The latest layer's handover, by the first row of its job.
        self._handovers: dict[int, Handover] = {}
        #: Each row's inner products and sketches; complete after ``finish``.
        self.alignments = [RowAlignment() for _ in lengths]
        # In a model on several devices, each device runs its backward pass in its own thread.
        self._lock = Lock()

    def __call__(self, projection: Projection, x: Tensor, d: Tensor) -> None:
        """Receive one projection's X [rows, T, d_in] and D [rows, T, d_out]."""
        with self._lock:
            self._receive(projection, x, d)

    def _receive(self, projection: Projection, x: Tensor, d: Tensor) -> None:
        layer = projection.layer
        factors = self._arrived.setdefault(layer, {})
        if layer not in self._awaited or projection.name in factors:
            raise ModelError(
                f"The model calls {projection.path} more than once per pass: gradpipe supports "
                "only models that call each projection once."
            )
        factors[projection.name] = x, d
        if len(factors) == len(self._awaited[layer]):
            del self._arrived[layer], self._awaited[layer]
            self._held += self._jobs(layer, factors)
            if len(self._held) >= self._pool.at_once:
                self._submit()

    def finish(self) -> list[dict[tuple[int, str], Spectrum]]:
        """Return each row's spectra by layer and projection.

        Raises UnusedProjections if some received no factors.
        """
        if self._awaited:
            raise UnusedProjections(
                {
                    (layer, name)
                    for layer, names in self._awaited.items()
                    for name in names - set(self._arrived.get(layer, {}))
                }
            )
        self._submit()
        self._handovers.clear()
        self._collect(0)
        return self._spectra

    def abandon(self) -> None:
        """Drop all factors after a failure, once no thread reads them anymore."""
        self._held.clear()
        self._arrived.clear()
        self._handovers.clear()
        for future, _ in self._running:
            future.cancel()
        for future, _ in self._running:
            if not future.cancelled():
                future.exception()
        self._running.clear()

    def _jobs(self, layer: int, factors: LayerFactors) -> list[SpectraJob | ComparisonJob]:
        """Split a layer's factors into jobs of as many consecutive rows as suit the pool.

        Factors are cut to the longest row of their job.
        """
        step = self._pool.rows_of_a_job(len(self.lengths), max(self.lengths))
        jobs: list[SpectraJob | ComparisonJob] = []
        comparisons: list[SpectraJob | ComparisonJob] = []
        for start in range(0, len(self.lengths), step):
            lengths = self.lengths[start : start + step]
            rows, tokens = _consecutive(self._members[start : start + step]), slice(max(lengths))
            groups = [
                (x[rows, tokens], {name: d[rows, tokens] for name, d in ds.items()})
                for x, ds in by_inputs(factors)
            ]
            jobs += [SpectraJob(layer=layer, start=start, x=x, ds=ds) for x, ds in groups]
            if self._pool.sketcher is not None:
                above = self._handovers.get(start)
                if above is not None and above.layer != layer + 1:
                    above = None
                below = self._handovers[start] = Handover(layer)
                comparisons.append(
                    ComparisonJob(
                        layer=layer,
                        start=start,
                        lengths=lengths,
                        groups=groups,
                        sketcher=self._pool.sketcher,
                        above=above,
                        below=below,
                    )
                )
        # A comparison waits for that of the layer above; jobs in between keep the threads busy.
        return jobs + comparisons

    def _submit(self) -> None:
        held, self._held = self._held, []
        for job in held:
            future: Future[Any] = self._pool.submit(job, job.x)
            if isinstance(job, ComparisonJob):
                job.below.done = future
                store: Callable[[Any], None] = partial(self._store_alignment, job.layer, job.start)
            else:
                store = partial(self._store_spectra, job.layer, job.start)
            self._running.append((future, store))
        self._collect(self._pool.in_flight)

    def _collect(self, most: int) -> None:
        """Wait until at most ``most`` jobs are running; store the results of the others."""
        while len(self._running) > most:
            future, store = self._running.popleft()
            store(future.result())

    def _store_spectra(self, layer: int, start: int, results: RowSpectra) -> None:
        for name, spectra in results.items():
            for row, spectrum in enumerate(spectra, start):
                self._spectra[row][layer, name] = spectrum

    def _store_alignment(self, layer: int, start: int, results: LayerAlignment) -> None:
        rows = len(next(iter(results.sketches.values())))
        for row in range(rows):
            self.alignments[start + row].add(layer, results, row)


def _consecutive(numbers: list[int]) -> slice | list[int]:
    """Return ascending numbers as a slice, which copies nothing, if none is left out."""
    first, behind = numbers[0], numbers[-1] + 1
    return slice(first, behind) if behind - first == len(numbers) else numbers


def by_inputs(factors: LayerFactors) -> Groups:
    """Group a layer's factors by X: each X once, with the D of every projection that reads it."""
    shared: dict[tuple[int, tuple[int, ...]], tuple[Tensor, dict[str, Tensor]]] = {}
    for name, (x, d) in factors.items():
        shared.setdefault((x.data_ptr(), tuple(x.shape)), (x, {}))[1][name] = d
    return list(shared.values())


def _on_float64_device(tensor: Tensor) -> Tensor:
    # Apple's accelerator has no float64.
    return tensor.cpu() if tensor.device.type == "mps" else tensor
