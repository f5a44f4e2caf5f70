"""Threads that take spectra hold no more than their share, and give what one thread gives."""

import contextlib
import gc
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.multiprocessing.reductions import StorageWeakRef

from gradpipe.gradients.passes import run_batch as passes
from gradpipe.gradients.passes.factors import frozen
from gradpipe.gradients.passes.run_batch import run_batch
from gradpipe.gradients.spectra import layer_jobs as layers
from gradpipe.gradients.spectra.eigen_chooser import EigenChooser, only_eigen_strategy
from gradpipe.gradients.spectra.eigen_strategies import _solver
from gradpipe.gradients.spectra.sink import SpectraSink
from gradpipe.gradients.spectra.sizes import GRAM_MATRICES, WORKSPACE
from gradpipe.gradients.spectra.spectrum import Spectrum, spectra_of_gradients
from gradpipe.gradients.spectra.workers import SpectraPool, spectra_pool
from gradpipe.gradients.tokens import TokenRow
from gradpipe.models.projections import find_projections

LENGTHS = [9, 14, 11, 14, 3]
WIDTHS = {"q": 20, "k": 8, "v": 8, "o": 12}
LAYERS = 7
PROJECTIONS: list[Any] = [
    SimpleNamespace(layer=layer, name=name, path=f"{layer}.{name}", experts=None, heads=None)
    for layer in reversed(range(LAYERS))
    for name in WIDTHS
]
Found = list[dict[tuple[int, str], Spectrum]]


class Recorder(ThreadPoolExecutor):
    """Threads that remember what they were asked for."""

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        self.futures: list[Future[Any]] = []

    def submit(self, *job: Any, **settings: Any) -> Future[Any]:
        self.futures.append(super().submit(*job, **settings))
        return self.futures[-1]

    @property
    def unfinished(self) -> int:
        return sum(not future.done() for future in self.futures)


@pytest.fixture
def make_pool() -> Iterator[Callable[..., tuple[SpectraPool, Recorder]]]:
    """Return a function that makes a pool from its number of threads and ``concurrent``."""
    executors: list[Recorder] = []

    def make(threads: int, concurrent: bool) -> tuple[SpectraPool, Recorder]:
        executors.append(Recorder(threads))
        return SpectraPool(executors[-1], threads, concurrent), executors[-1]

    yield make
    for executor in executors:
        executor.shutdown()


def factors() -> Iterator[tuple[Any, Tensor, Tensor]]:
    """Each projection's X and D as a backward pass hands them over; q, k and v share their X."""
    generator = torch.Generator().manual_seed(0)
    x = torch.zeros(0)
    for projection in PROJECTIONS:
        if projection.name in {"q", "o"}:
            x = torch.randn(len(LENGTHS), max(LENGTHS), 16, generator=generator)
        size = (len(LENGTHS), max(LENGTHS), WIDTHS[projection.name])
        d = torch.randn(size, generator=generator)
        for row, length in enumerate(LENGTHS):
            d[row, length:] = 0
        yield projection, x, d


def spectra(pool: SpectraPool) -> Found:
    sink = SpectraSink(LENGTHS, PROJECTIONS, pool)
    for projection, x, d in factors():
        sink(projection, x, d)
    return sink.finish()


def expired(storages: list[StorageWeakRef]) -> bool:
    """Whether all are gone; a thread lets go of its job just after it has told the result."""
    until = time.monotonic() + 300
    while not all(each.expired() for each in storages) and time.monotonic() < until:
        time.sleep(0.001)
    return all(each.expired() for each in storages)


def test_on_the_cpu_every_thread_gets_whole_layers_or_a_part_of_the_rows(
    make_pool: Callable[..., tuple[SpectraPool, Recorder]],
) -> None:
    for threads, rows, expected in ((1, 5, 5), (2, 5, 5), (4, 5, 5), (8, 5, 3), (64, 1, 1)):
        pool, _ = make_pool(threads, False)
        assert pool.rows_of_a_job(rows, 10_000) == expected
        # Whole rounds, in which no thread waits for the others.
        assert pool.at_once % threads == 0
        # Passes and spectra take turns.
        assert pool.in_flight == 0


def test_on_an_accelerator_a_job_is_as_large_as_its_workspace(
    make_pool: Callable[..., tuple[SpectraPool, Recorder]],
) -> None:
    pool, _ = make_pool(1, True)
    assert pool.at_once == 1
    assert pool.in_flight == 4
    for tokens in (1, 7, 100, 512, 2048, 4096):
        rows = pool.rows_of_a_job(8, tokens)
        of_row = GRAM_MATRICES * 8 * tokens**2
        assert rows * of_row <= WORKSPACE < (rows + 1) * of_row
    assert pool.rows_of_a_job(8, 10**6) == 1


def test_threads_of_a_pool_have_one_thread_each_and_the_passes_keep_theirs() -> None:
    torch.set_num_threads(3)
    with spectra_pool("cpu") as pool:
        assert not pool.concurrent
        assert pool.submit(torch.get_num_threads, torch.zeros(1)).result() == 1
        assert torch.get_num_threads() == 3
    with spectra_pool("cuda:0") as pool:
        assert pool.concurrent
        assert pool.threads == 1


@pytest.mark.parametrize(("threads", "concurrent"), [(1, False), (2, False), (5, False), (1, True)])
def test_every_pool_gives_each_row_alone(
    threads: int, concurrent: bool, make_pool: Callable[..., tuple[SpectraPool, Recorder]]
) -> None:
    found = spectra(make_pool(threads, concurrent)[0])
    for projection, x, d in factors():
        for row, length in enumerate(LENGTHS):
            of_row = spectra_of_gradients(
                x[row : row + 1, :length], {"": d[row : row + 1, :length]}
            )
            [alone] = of_row[""].rows()
            together = found[row][projection.layer, projection.name]
            assert together.squared_norm == pytest.approx(alone.squared_norm, rel=1e-12)
            np.testing.assert_allclose(
                together.singular_values, alone.singular_values, rtol=1e-9, atol=1e-9
            )
    assert all(len(of_row) == len(PROJECTIONS) for of_row in found)


def test_a_pool_beside_the_passes_gives_the_same_through_a_model(
    make_pool: Callable[..., tuple[SpectraPool, Recorder]],
    make_model: Callable[..., Any],
    make_rows: Callable[..., list[TokenRow]],
) -> None:
    model, rows = make_model("llama"), make_rows((9, 4), (20, 3), (41, 40))
    concurrent, _ = make_pool(1, True)
    with frozen(model), spectra_pool("cpu") as between:
        found, expected = (
            run_batch(model, find_projections(model), rows, pool) for pool in (concurrent, between)
        )
    for one, other in zip(found, expected, strict=True):
        assert one.loss == other.loss
        assert one.spectra.keys() == other.spectra.keys()
        for place, spectrum in one.spectra.items():
            assert spectrum.squared_norm == pytest.approx(other.spectra[place].squared_norm)
            np.testing.assert_allclose(
                spectrum.singular_values, other.spectra[place].singular_values, atol=1e-9
            )


@pytest.mark.parametrize("name", ["on_device", "on_host", "hybrid"])
def test_every_eigen_strategy_gives_the_same_through_a_pool(name: str) -> None:
    with spectra_pool("cpu") as pool:
        assert pool.solver is None
        expected = spectra(pool)
    with only_eigen_strategy(name), spectra_pool("cpu") as pool:
        assert pool.solver is not None
        found = spectra(pool)
    for one, other in zip(found, expected, strict=True):
        assert one.keys() == other.keys()
        for place, spectrum in one.items():
            values = other[place].singular_values
            np.testing.assert_allclose(spectrum.singular_values, values, rtol=1e-9, atol=1e-9)


def test_jobs_of_a_cuda_device_share_one_stream_behind_the_passes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By tensors without data and stand-ins for the streams: no GPU is needed."""
    log: list[object] = []

    class Stream:
        def __init__(self, device: torch.device) -> None:
            self.device = device
            log.append("new stream")

        def wait_event(self, event: str) -> None:
            log.append(f"wait for {event}")

        def synchronize(self) -> None:
            log.append("synchronize")

        def record_event(self) -> str:
            return "the passes"

    passes_stream = Stream(torch.device("cuda:0"))
    log.clear()
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _device: passes_stream)
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda _stream: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "device", lambda _device: contextlib.nullcontext())
    with FakeTensorMode():
        factor = torch.zeros(2, 3, device="cuda:0")
    with spectra_pool("cuda:0") as pool:
        assert isinstance(pool.solver, EigenChooser)
        solvers = [pool.submit(_solver.get, factor).result() for _ in range(2)]
        assert solvers == [pool.solver, pool.solver]
    assert log == ["new stream", *["wait for the passes", "synchronize"] * 2]


@pytest.mark.parametrize(("threads", "concurrent"), [(1, False), (2, False), (8, False), (1, True)])
def test_no_more_jobs_than_may_be_in_flight_hold_factors(
    threads: int,
    concurrent: bool,
    make_pool: Callable[..., tuple[SpectraPool, Recorder]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def slow(*given: Any) -> Any:
        time.sleep(0.003)
        return spectra_of_gradients(*given)

    monkeypatch.setattr(layers, "spectra_of_gradients", slow)
    pool, executor = make_pool(threads, concurrent)
    sink = SpectraSink(LENGTHS, PROJECTIONS, pool)
    unfinished = []
    for projection, x, d in factors():
        sink(projection, x, d)
        unfinished.append(executor.unfinished)
    sink.finish()
    assert executor.unfinished == 0
    # Two kinds of inputs a layer; many threads on the CPU have a part of the rows.
    assert len(executor.futures) == 2 * LAYERS * (2 if threads == 8 else 1)
    assert max(unfinished) <= pool.in_flight
    assert max(unfinished) > 0 if concurrent else max(unfinished) == 0


@pytest.mark.parametrize(("threads", "concurrent"), [(1, False), (1, True), (3, False)])
def test_factors_are_dropped_when_their_spectra_are_there(
    threads: int, concurrent: bool, make_pool: Callable[..., tuple[SpectraPool, Recorder]]
) -> None:
    pool, executor = make_pool(threads, concurrent)
    sink = SpectraSink(LENGTHS, PROJECTIONS, pool)
    storages: list[StorageWeakRef] = []
    drained = 0
    for projection, x, d in factors():
        storages += [StorageWeakRef(each.untyped_storage()) for each in (x, d)]
        before = len(executor.futures)
        sink(projection, x, d)
        del x, d
        # A whole layer was handed over: what may still run holds its own factors only.
        if len(executor.futures) > before:
            drained += 1
            held = pool.in_flight * (len(WIDTHS) - 1) * 2 + 2
            assert expired(storages[:-held])
    # The loop's own generator holds the last ones until here.
    sink.finish()
    # Three threads work on three layers at once, one on two.
    assert drained >= LAYERS // max(2, threads)
    assert expired(storages)


class Fault(Exception):
    """What a job fails with."""


@pytest.mark.parametrize(("threads", "concurrent"), [(1, False), (2, False), (1, True)])
def test_a_job_that_fails_says_so_and_leaves_nothing_running(
    threads: int,
    concurrent: bool,
    make_pool: Callable[..., tuple[SpectraPool, Recorder]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = []

    def fails_once(*given: Any) -> Any:
        calls.append(threading.get_ident())
        if len(calls) == 3:
            raise Fault
        time.sleep(0.003)
        return spectra_of_gradients(*given)

    monkeypatch.setattr(layers, "spectra_of_gradients", fails_once)
    pool, executor = make_pool(threads, concurrent)
    sink = SpectraSink(LENGTHS, PROJECTIONS, pool)
    storages: list[StorageWeakRef] = []

    def run() -> None:
        for projection, x, d in factors():
            storages.extend(StorageWeakRef(each.untyped_storage()) for each in (x, d))
            sink(projection, x, d)
        sink.finish()

    with pytest.raises(Fault):
        run()
    sink.abandon()
    assert executor.unfinished == 0
    assert threading.get_ident() not in calls
    # The future that failed keeps its exception, and that what it came from.
    executor.futures.clear()
    gc.collect()
    assert expired(storages)


def test_a_pass_that_fails_leaves_nothing_running(
    make_pool: Callable[..., tuple[SpectraPool, Recorder]],
    make_model: Callable[..., Any],
    make_rows: Callable[..., list[TokenRow]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = make_model("llama")
    pool, executor = make_pool(1, True)
    sinks = []

    def keep(*given: Any) -> SpectraSink:
        sinks.append(SpectraSink(*given))
        return sinks[-1]

    def fail(*_: Any) -> None:
        raise Fault

    monkeypatch.setattr(passes, "SpectraSink", keep)
    model.model.layers[0].register_full_backward_hook(fail)
    with pytest.raises(Fault), frozen(model):
        run_batch(model, find_projections(model), make_rows((30, 4), (41, 40)), pool)
    assert len(executor.futures) > 0
    assert executor.unfinished == 0
    [sink] = sinks
    assert not sink._running
    assert not sink._held
    assert not sink._arrived
