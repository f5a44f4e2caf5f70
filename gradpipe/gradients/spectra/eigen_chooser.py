"""Choose how a GPU's eigenvalues are computed, by timing the strategies on the first matrices."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from logging import getLogger
from threading import Lock

import torch
from torch import Tensor

from gradpipe.gradients.spectra.eigen_strategies import (
    CpuDevice,
    CudaDevice,
    EigenDevice,
    EigenStrategy,
    Hybrid,
    OnDevice,
    OnHost,
)
from gradpipe.models.hardware import usable_cores
from gradpipe.system.failures import Cause, failed_with

#: The hybrid is tried only if both parts together would take at most this share of the faster one.
WORTH_BOTH = 0.8
#: A size class has matrices of similar size and number: (device, class of n, class of R).
SizeClass = tuple[str, int, int]


@dataclass(frozen=True)
class EigenTrial:
    """A trial on ``count`` matrices of ``rows`` rows: ``seconds`` by strategy, and the ``chosen``.

    ``device_share`` is the share of the matrices that a hybrid computes on the device.
    """

    rows: int
    count: int
    seconds: dict[str, float]
    chosen: str
    device_share: float

    def sentence(self) -> str:
        """The trial in one line, for the log."""
        times = ", ".join(f"{name} {took:.3g} s" for name, took in self.seconds.items())
        return f"eigenvalues of {self.count} matrices of {self.rows} rows: {self.chosen} ({times})"


@dataclass
class EigenChooser:
    """Solves with the fastest strategy, found by one trial per size class.

    The trial takes the matrices that are needed anyway, beside the passes that run meanwhile, after
    one matrix as a warm-up. A device without the memory for its own solver leaves the work to the
    host. ``trials`` are remembered; a chooser may share those of an earlier one. ``only`` names the
    one strategy to use, for measurements.
    """

    on_device: EigenStrategy
    on_host: OnHost
    device: EigenDevice
    clock: Callable[[], float] = time.perf_counter
    trials: dict[SizeClass, EigenTrial] = field(default_factory=dict)
    only: str | None = None
    _lock: Lock = field(default_factory=Lock)

    def __call__(self, matrices: Tensor) -> Tensor:
        """Return the ascending eigenvalues [R, n] of symmetric matrices, on the CPU."""
        size = size_class(matrices)
        if size not in self.trials:
            # Two threads would disturb each other's times.
            with self._lock:
                if size not in self.trials:
                    values, self.trials[size] = self._try_all(matrices)
                    getLogger(__name__).info(self.trials[size].sentence())
                    return values
        return self._strategy(self.trials[size])(matrices)

    def _strategy(self, trial: EigenTrial) -> EigenStrategy:
        both = Hybrid(self.on_device, self.on_host, trial.device_share)
        strategies = {each.name: each for each in (self.on_device, self.on_host, both)}
        return strategies[trial.chosen]

    def _try_all(self, matrices: Tensor) -> tuple[Tensor, EigenTrial]:
        """Return the eigenvalues by the fastest strategy, and the trial."""
        seconds: dict[str, float] = {}
        values: dict[str, Tensor] = {}
        share = 0.0

        def measure(strategy: EigenStrategy) -> None:
            strategy(matrices[:1])
            self.device.synchronize(matrices)
            started = self.clock()
            values[strategy.name] = strategy(matrices)
            seconds[strategy.name] = self.clock() - started

        if self.only != self.on_device.name:
            measure(self.on_host)
        if self.only != self.on_host.name:
            try:
                measure(self.on_device)
            except Exception as error:
                if not seconds or not failed_with(error, Cause.OUT_OF_MEMORY):
                    raise
        if len(seconds) == 2:
            here, there = seconds[self.on_device.name], seconds[self.on_host.name]
            # With these shares, both parts take equally long.
            share = there / (here + there) if here + there else 0.5
            both = Hybrid(self.on_device, self.on_host, share)
            if self.only == both.name or _pays(
                both.here(len(matrices)), len(matrices), here, there
            ):
                measure(both)
        fastest = min(seconds, key=seconds.__getitem__)
        chosen = self.only if self.only in seconds else fastest
        return values[chosen], EigenTrial(
            matrices.shape[-1], len(matrices), seconds, chosen=chosen, device_share=share
        )


def _pays(first: int, count: int, here: float, there: float) -> bool:
    """Whether a hybrid that computes ``first`` of ``count`` matrices on the device may pay.

    ``here`` and ``there`` are the seconds of all matrices on the device and on the host.
    """
    expected = max(here * first, there * (count - first)) / count
    return 0 < first < count and expected <= WORTH_BOTH * min(here, there)


def size_class(matrices: Tensor) -> SizeClass:
    """The class of matrices [R, n, n]: n within a factor √2, R within a factor 2."""
    count, rows = matrices.shape[:2]
    return str(matrices.device), round(2 * math.log2(max(rows, 1))), count.bit_length()


#: The trials of this process by the strategy that was prescribed, if any. A training opens new
#: threads for each step, and would otherwise repeat the trials.
_trials: dict[str | None, dict[SizeClass, EigenTrial]] = {}
_prescribed: ContextVar[str | None] = ContextVar("eigen_strategy", default=None)


@contextmanager
def only_eigen_strategy(name: str | None) -> Iterator[None]:
    """Within the context, new choosers use one strategy, on the CPU too: for measurements."""
    token = _prescribed.set(name)
    try:
        yield
    finally:
        _prescribed.reset(token)


def eigen_trials() -> list[EigenTrial]:
    """The trials of this process that were free to choose, in their order."""
    return list(_trials.get(None, {}).values())


@contextmanager
def eigen_solver(device: str) -> Iterator[EigenChooser | None]:
    """Open the solver of the jobs of a model on ``device``: a chooser on a CUDA device.

    None elsewhere, where ``eigenvalues`` computes on the job's own thread, unless a strategy is
    prescribed.
    """
    if device.startswith("cuda"):
        with eigen_chooser(CudaDevice()) as chooser:
            yield chooser
    elif _prescribed.get() is not None and device.startswith("cpu"):
        with eigen_chooser(CpuDevice()) as chooser:
            yield chooser
    else:
        yield None


@contextmanager
def eigen_chooser(device: EigenDevice) -> Iterator[EigenChooser]:
    """Open the CPU's threads beside a device's passes; one core is left to launch these."""
    only = _prescribed.get()
    threads = max(1, usable_cores() - 1)
    # A matrix of a few hundred rows gains little from a second thread.
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as executor:
        host = OnHost(executor, threads, device)
        trials = _trials.setdefault(only, {})
        yield EigenChooser(OnDevice(), host, device, trials=trials, only=only)
