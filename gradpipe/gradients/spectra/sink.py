"""Collect gradient factors and reduce each layer to numbers once all its factors are there."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from threading import Lock
from typing import Any

from torch import Tensor

from gradpipe.errors import ModelError
from gradpipe.gradients.spectra.expert_spectra import ExpertJob, ExpertResults
from gradpipe.gradients.spectra.inner_products import LayerAlignment, RowAlignment
from gradpipe.gradients.spectra.layer_jobs import (
    ComparisonJob,
    Handover,
    LayerFactors,
    RowSpectra,
    SpectraJob,
    by_inputs,
)
from gradpipe.gradients.spectra.routing import Routing
from gradpipe.gradients.spectra.spectrum import Spectrum
from gradpipe.gradients.spectra.unused_projections import UnusedProjections
from gradpipe.gradients.spectra.workers import SpectraPool
from gradpipe.models.projections import Projection

Job = SpectraJob | ComparisonJob | ExpertJob


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
        #: Names of projections by layer; those of experts, which are routed, are apart.
        self._awaited: dict[tuple[int, bool], set[str]] = {}
        for projection in projections:
            place = projection.layer, projection.experts is not None
            self._awaited.setdefault(place, set()).add(projection.name)
        self._arrived: dict[tuple[int, bool], LayerFactors] = {}
        self._heads = {(p.layer, p.name): p.heads for p in projections if p.heads}
        self._held: list[Job] = []
        #: Running jobs, each with the function that stores its result.
        self._running: deque[tuple[Future[Any], Callable[[Any], None]]] = deque()
        self._spectra: list[dict[tuple[int, str], Spectrum]] = [{} for _ in lengths]
        #: The latest layer's handover, by the first row of its job.
        self._handovers: dict[int, Handover] = {}
        #: The latest layer's jobs of experts, by their first row and projections.
        self._experts: dict[tuple[int | str, ...], ExpertJob] = {}
        #: Each row's inner products and sketches; complete after ``finish``.
        self.alignments = [RowAlignment() for _ in lengths]
        # In a model on several devices, each device runs its backward pass in its own thread.
        self._lock = Lock()

    def __call__(
        self, projection: Projection, x: Tensor, d: Tensor, routing: Routing | None = None
    ) -> None:
        """Receive one projection's X [rows, T, d_in] and D [rows, T, d_out].

        Those of experts are [pairs, ...], of the pairs of ``routing``.
        """
        with self._lock:
            self._receive(projection, x, d, routing)

    def _receive(
        self, projection: Projection, x: Tensor, d: Tensor, routing: Routing | None
    ) -> None:
        place = projection.layer, routing is not None
        factors = self._arrived.setdefault(place, {})
        if place not in self._awaited or projection.name in factors:
            raise ModelError(
                f"The model calls {projection.path} more than once per pass: gradpipe supports "
                "only models that call each projection once."
            )
        factors[projection.name] = x, d
        if len(factors) == len(self._awaited[place]):
            del self._arrived[place], self._awaited[place]
            jobs = self._jobs if routing is None else partial(self._expert_jobs, routing)
            self._held += jobs(projection.layer, factors)
            if len(self._held) >= self._pool.at_once:
                self._submit()

    def finish(self) -> list[dict[tuple[int, str], Spectrum]]:
        """Return each row's spectra by layer and projection.

        Raises UnusedProjections if some received no factors.
        """
        if self._awaited:
            raise UnusedProjections(
                {
                    (place[0], name)
                    for place, names in self._awaited.items()
                    for name in names - set(self._arrived.get(place, {}))
                }
            )
        self._submit()
        self._handovers.clear()
        self._experts.clear()
        self._collect(0)
        return self._spectra

    def abandon(self) -> None:
        """Drop all factors after a failure, once no thread reads them anymore."""
        self._held.clear()
        self._arrived.clear()
        self._handovers.clear()
        self._experts.clear()
        for future, _ in self._running:
            future.cancel()
        for future, _ in self._running:
            if not future.cancelled():
                future.exception()
        self._running.clear()

    def _expert_jobs(self, routing: Routing, layer: int, factors: LayerFactors) -> list[Job]:
        """Split the factors of a layer's experts into jobs, by rows."""
        step = self._pool.rows_of_a_job(len(self.lengths), max(self.lengths))
        jobs: list[Job] = []
        for start in range(0, len(self.lengths), step):
            for x, ds in by_inputs(factors):
                above = self._experts.get((start, *ds))
                job = ExpertJob(
                    layer=layer,
                    start=start,
                    x=x,
                    ds=ds,
                    routing=routing,
                    members=self._members[start : start + step],
                    lengths=self.lengths[start : start + step],
                    sketcher=self._pool.sketcher,
                    above=above if above is not None and above.layer == layer + 1 else None,
                )
                if self._pool.sketcher is not None:
                    self._experts[start, *ds] = job
                jobs.append(job)
        return jobs

    def _jobs(self, layer: int, factors: LayerFactors) -> list[Job]:
        """Split a layer's factors into jobs of as many consecutive rows as suit the pool.

        Factors are cut to the longest row of their job.
        """
        step = self._pool.rows_of_a_job(len(self.lengths), max(self.lengths))
        heads = {name: self._heads[layer, name] for name in factors if (layer, name) in self._heads}
        jobs: list[Job] = []
        comparisons: list[Job] = []
        for start in range(0, len(self.lengths), step):
            lengths = self.lengths[start : start + step]
            rows, tokens = _consecutive(self._members[start : start + step]), slice(max(lengths))
            groups = [
                (x[rows, tokens], {name: d[rows, tokens] for name, d in ds.items()})
                for x, ds in by_inputs(factors)
            ]
            jobs += [
                SpectraJob(layer=layer, start=start, x=x, ds=ds, heads=heads) for x, ds in groups
            ]
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
            elif isinstance(job, ExpertJob):
                store = partial(self._store_experts, job.layer, job.start)
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

    def _store_experts(self, layer: int, start: int, results: ExpertResults) -> None:
        self._store_spectra(layer, start, results.spectra)
        for name, sketches in results.sketches.items():
            for row, sketch in enumerate(sketches, start):
                self.alignments[row].sketches[layer, name] = sketch
        for name, products in results.next_layer.items():
            for row, product in enumerate(products, start):
                self.alignments[row].next_layer[layer, name] = product

    def _store_alignment(self, layer: int, start: int, results: LayerAlignment) -> None:
        for row in range(results.rows):
            self.alignments[start + row].add(layer, results, row)


def _consecutive(numbers: list[int]) -> slice | list[int]:
    """Return ascending numbers as a slice, which copies nothing, if none is left out."""
    first, behind = numbers[0], numbers[-1] + 1
    return slice(first, behind) if behind - first == len(numbers) else numbers
