"""Calibrate: time a few batches of the work and extrapolate to the others.

The work is divided into the same batches as in the extraction. Some of them, from short to long,
are run and timed. A linear model of the seconds, with one coefficient per kind of arithmetic, is
fitted to these times and predicts those of the other batches.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from scipy.optimize import nnls

from gradpipe.estimates.costs import comparison_flops, pass_flops, spectra_flops
from gradpipe.estimates.model_shape import ModelShape
from gradpipe.gradients.extract import extract_rows
from gradpipe.gradients.passes.batches import FIRST_BUDGET, most_tokens, plan_batches
from gradpipe.gradients.passes.memory import saved_bytes, tokens_that_fit
from gradpipe.gradients.protocol import Protocol
from gradpipe.gradients.side_by_side import possible_batches
from gradpipe.gradients.tokens import TokenRow
from gradpipe.models.devices import devices, offloaded
from gradpipe.models.load import LoadedModel

#: No further batch starts after this many seconds; a running batch may finish.
SECONDS = 45.0
#: Positions, in the work ordered by length, of the batches to time, the most informative first.
PLACES = (0.5, 1.0, 0.0, 0.75, 0.25, 0.9, 0.6, 0.4, 0.1, 0.8, 0.3, 0.95, 0.05, 0.7, 0.2, 0.15)
#: Batches that are run however long they take: a single one says nothing about other lengths.
LEAST_BATCHES = 2
#: From the third batch on, the calibration takes at most this share of the work's own time.
SHARE = 0.2


@dataclass(frozen=True)
class Load:
    """The load of a batch: FLOPs of passes and comparisons, FLOPs of the spectra, and rows."""

    passes: float
    spectra: float
    rows: float

    @property
    def parts(self) -> tuple[float, float, float]:
        """The parts in the order of a pace's coefficients."""
        return self.passes, self.spectra, self.rows


@dataclass(frozen=True)
class Calibration:
    """The measured speed of a model on this machine.

    ``pace`` has the seconds per FLOP of passes, per FLOP of spectra and per row. ``budget`` is the
    number of padded tokens of a full batch, ``bytes_per_token`` the memory that each of them takes
    during its batch. ``batches`` batches were run in ``seconds``.
    """

    pace: tuple[float, float, float]
    budget: int
    bytes_per_token: float
    batches: int
    seconds: float

    def seconds_of(self, load: Load) -> float:
        """Return the seconds that one or more batches take."""
        return _seconds(self.pace, load)


class Workload:
    """Lists of rows, one list per extraction, for a model of ``shape`` under ``protocol``."""

    def __init__(
        self,
        shape: ModelShape,
        protocol: Protocol,
        lists: Sequence[list[TokenRow]],
        checkpointing: bool = False,
        on_cpu: bool = True,
    ) -> None:
        self.on_cpu = on_cpu
        self.shape = shape
        self.protocol = protocol
        self.lists = [[row for row in rows if row.reason is None] for rows in lists]
        self.checkpointing = checkpointing

    def batches(self, rows: list[TokenRow], budget: int) -> list[list[TokenRow]]:
        """Return the batches of one list, as in an extraction where ``budget`` tokens fit."""
        batches = plan_batches(rows, min(budget, most_tokens(rows, self.on_cpu)))
        return [[rows[number] for number in batch.rows] for batch in batches]

    def load(self, batch: list[TokenRow]) -> Load:
        """Return a batch's load; its rows are padded to the longest."""
        length = max(len(row.ids) for row in batch)
        passes = spectra = 0.0
        for row in batch:
            response = row.response_tokens
            passes += pass_flops(self.shape, length, response, self.checkpointing)
            passes += comparison_flops(self.shape, length, self.protocol.projections)
            spectra += spectra_flops(self.shape, length, response, self.protocol.projections)
        return Load(passes, spectra, len(batch))

    def seconds(self, calibration: Calibration) -> list[float]:
        """Return the seconds that each list takes."""
        return [
            calibration.seconds_of(_sum(map(self.load, self.batches(rows, calibration.budget))))
            for rows in self.lists
        ]


#: Runs one batch and returns its seconds, or None if it did not fit in memory.
Timer = Callable[[list[TokenRow]], float | None]


def calibrate(loaded: LoadedModel, work: Workload, limit: float = SECONDS) -> Calibration:
    """Run a few batches of the work on a loaded model, for about ``limit`` seconds.

    Raises the same errors as an extraction.
    """
    bytes_per_token, budget = _warm_up(loaded, work)

    def run(batch: list[TokenRow]) -> float | None:
        return _run(loaded, batch, work.protocol)

    return measure(work, budget, bytes_per_token, run, limit)


def measure(
    work: Workload,
    budget: int,
    bytes_per_token: float,
    run: Timer,
    limit: float = SECONDS,
    clock: Callable[[], float] = time.perf_counter,
) -> Calibration:
    """Calibrate with batches of ``budget`` tokens that ``run`` times."""
    started = clock()
    loads: list[Load] = []
    seconds: list[float] = []
    batches = [batch for rows in work.lists for batch in work.batches(rows, budget)]
    everything = _sum(map(work.load, batches))
    for batch in _chosen(batches):
        spent = clock() - started
        if len(loads) >= LEAST_BATCHES and spent > limit:
            break
        if len(loads) > LEAST_BATCHES and spent > SHARE * _seconds(fit(loads, seconds), everything):
            break
        taken = run(batch)
        if taken is not None:
            loads.append(work.load(batch))
            seconds.append(taken)
    pace = fit(loads, seconds)
    return Calibration(pace, budget, bytes_per_token, len(loads), clock() - started)


def _sum(loads: Iterable[Load]) -> Load:
    parts = [load.parts for load in loads]
    return Load(*map(sum, zip(*parts, strict=True))) if parts else Load(0.0, 0.0, 0.0)


def _seconds(pace: tuple[float, float, float], load: Load) -> float:
    return sum(cost * part for cost, part in zip(pace, load.parts, strict=True))


def fit(loads: Sequence[Load], seconds: Sequence[float]) -> tuple[float, float, float]:
    """Fit non-negative coefficients with the least relative error in the measured seconds."""
    if not loads:
        return 0.0, 0.0, 0.0
    measured = np.array([load.parts for load in loads])
    # Scale columns by their means, since FLOPs are billions, and rows by their times.
    scale = measured.mean(axis=0)
    scale[scale == 0] = 1.0
    solution, _ = nnls(measured / scale / np.array(seconds)[:, None], np.ones(len(loads)))
    passes, spectra, rows = (solution / scale).tolist()
    return passes, spectra, rows


def _chosen(batches: list[list[TokenRow]]) -> list[list[TokenRow]]:
    """Distinct batches at PLACES of the work ordered by length, counted in tokens."""
    ordered = sorted(batches, key=lambda batch: (len(batch[-1].ids), len(batch)))
    tokens = [len(batch) * len(batch[-1].ids) for batch in ordered]
    chosen: dict[int, list[TokenRow]] = {}
    for place in PLACES if ordered else ():
        number = _batch_at(tokens, place * sum(tokens))
        chosen.setdefault(number, ordered[number])
    return list(chosen.values())


def _batch_at(tokens: list[int], position: float) -> int:
    """The number of the batch with the token at ``position``."""
    total = 0
    for number, count in enumerate(tokens):
        total += count
        if total >= position:
            return number
    return len(tokens) - 1


def _warm_up(loaded: LoadedModel, work: Workload) -> tuple[float, int]:
    """Run a first batch, untimed, to measure the bytes per token and the budget that follows."""
    rows = sorted((row for rows in work.lists for row in rows), key=lambda row: len(row.ids))
    if not rows:
        return 0.0, FIRST_BUDGET
    first = work.batches(rows, FIRST_BUDGET)[0]
    twice = loaded.checkpointing or offloaded(loaded.model)
    with saved_bytes(loaded.model, work.shape.layers if twice else 0) as saved:
        _run(loaded, first, work.protocol)
    bytes_per_token = saved.bytes / (len(first) * len(first[-1].ids))
    fitting = tokens_that_fit(bytes_per_token, devices(loaded.model))
    return bytes_per_token, min(fitting, most_tokens(rows, work.on_cpu))


def _run(loaded: LoadedModel, batch: list[TokenRow], protocol: Protocol) -> float | None:
    """Return the seconds of one batch; None if it, or one of its rows, did not fit.

    Where batches run side by side, as many as possible do so, after a first one that runs alone.
    """
    budget = len(batch) * max(len(row.ids) for row in batch)
    side_by_side = loaded.device.startswith("cpu") and not loaded.checkpointing
    copies = 1 + possible_batches() if side_by_side and possible_batches() > 1 else 1
    frames = list(extract_rows(loaded, batch * copies, protocol, budget=budget))
    if any(frame["reason"].null_count() < frame.height for frame in frames):
        return None
    seconds = [float(frame["seconds"].sum()) for frame in frames]
    return fmean(seconds[1:] or seconds)
