"""All strategies give the same eigenvalues; the fastest one is chosen, once per size."""

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from gradpipe.gradients.spectra.eigen_chooser import (
    EigenChooser,
    eigen_chooser,
    eigen_trials,
    only_eigen_strategy,
    size_class,
)
from gradpipe.gradients.spectra.eigen_strategies import (
    CpuDevice,
    CudaDevice,
    EigenStrategy,
    Hybrid,
    OnDevice,
    OnHost,
    eigenvalues,
    solving_with,
)

THREADS = 2


def gram_matrices(count: int, rows: int) -> Tensor:
    generator = torch.Generator().manual_seed(count * rows)
    x = torch.randn(count, rows, rows + 3, generator=generator, dtype=torch.float64)
    return x @ x.mT


@pytest.fixture
def host() -> Iterator[OnHost]:
    with ThreadPoolExecutor(THREADS) as executor:
        yield OnHost(executor, THREADS, CpuDevice())


@dataclass
class Clock:
    """A clock that only moves when a stand-in works."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class SlowDevice:
    """A device whose eigenvalues take ``seconds`` per matrix of the clock's time."""

    clock: Clock
    seconds: float
    name: str = "on_device"
    counts: list[int] = field(default_factory=list)

    def __call__(self, matrices: Tensor) -> Tensor:
        self.counts.append(len(matrices))
        self.clock.now += self.seconds * len(matrices)
        values: Tensor = torch.linalg.eigvalsh(matrices)
        return values


class SlowHost(OnHost):
    """A host whose eigenvalues take one second per matrix of the clock's time."""

    def start(self, matrices: Tensor) -> Callable[[], Tensor]:
        clock = self.device.clock  # type: ignore[attr-defined]
        started = clock.now

        def finish() -> Tensor:
            clock.now = max(clock.now, started + len(matrices))
            values: Tensor = torch.linalg.eigvalsh(matrices)
            return values

        return finish


class ClockedDevice(CpuDevice):
    """A device that knows the clock."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock


def chooser_of(device_seconds: float, **settings: Any) -> tuple[EigenChooser, SlowDevice]:
    """A chooser between a host of one second per matrix and a device."""
    clock = Clock()
    device = ClockedDevice(clock)
    executor: Any = None
    on_device = SlowDevice(clock, device_seconds)
    host = SlowHost(executor, THREADS, device)
    return EigenChooser(on_device, host, device, clock=clock, **settings), on_device


@pytest.mark.parametrize(("count", "rows"), [(1, 1), (1, 7), (3, 20), (9, 4), (33, 12)])
def test_every_strategy_gives_the_same_eigenvalues(host: OnHost, count: int, rows: int) -> None:
    matrices = gram_matrices(count, rows)
    expected = torch.linalg.eigvalsh(matrices)
    strategies: list[EigenStrategy] = [OnDevice(), host]
    strategies += [Hybrid(OnDevice(), host, share) for share in (0, 0.3, 0.7, 1)]
    for strategy in strategies:
        values = strategy(matrices)
        assert values.shape == (count, rows)
        torch.testing.assert_close(values, expected, rtol=1e-12, atol=1e-12)


def test_without_a_solver_nothing_changes() -> None:
    matrices = gram_matrices(3, 30)
    assert torch.equal(eigenvalues(matrices), torch.linalg.eigvalsh(matrices))
    with solving_with(lambda given: given[:, 0]):
        assert torch.equal(eigenvalues(matrices), matrices[:, 0])
        with solving_with(None):
            assert torch.equal(eigenvalues(matrices), torch.linalg.eigvalsh(matrices))
    assert torch.equal(eigenvalues(matrices), torch.linalg.eigvalsh(matrices))


@pytest.mark.parametrize(
    ("device_seconds", "chosen"), [(0.01, "on_device"), (100.0, "on_host"), (1.0, "hybrid")]
)
def test_the_fastest_strategy_is_chosen(device_seconds: float, chosen: str) -> None:
    chooser, _ = chooser_of(device_seconds)
    matrices = gram_matrices(8, 6)
    values = chooser(matrices)
    torch.testing.assert_close(values, torch.linalg.eigvalsh(matrices))
    (trial,) = chooser.trials.values()
    assert trial.chosen == chosen
    assert trial.seconds["on_host"] == 8
    assert trial.seconds["on_device"] == pytest.approx(8 * device_seconds)
    if chosen == "hybrid":
        assert trial.device_share == 0.5
        assert trial.seconds["hybrid"] == pytest.approx(4)
    torch.testing.assert_close(chooser(matrices), torch.linalg.eigvalsh(matrices))


def test_a_size_is_tried_once_and_then_remembered(caplog: pytest.LogCaptureFixture) -> None:
    chooser, device = chooser_of(100.0)
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            chooser(gram_matrices(8, 6))
    assert device.counts == [1, 8]
    assert len(caplog.records) == 1
    assert {"8", "6", "on_host"} <= set(caplog.text.split())
    chooser(gram_matrices(8, 60))
    assert device.counts == [1, 8, 1, 8]
    again, device = chooser_of(100.0, trials=chooser.trials)
    again(gram_matrices(8, 6))
    assert device.counts == []


def test_sizes_of_a_class_are_alike() -> None:
    matrices = torch.zeros(8, 500, 500)
    assert size_class(matrices) == size_class(torch.zeros(12, 512, 512))
    assert size_class(matrices) != size_class(torch.zeros(8, 1000, 1000))
    assert size_class(matrices) != size_class(torch.zeros(100, 500, 500))
    assert size_class(matrices) != size_class(torch.zeros(8, 500, 500, device="meta"))


def test_one_matrix_is_never_divided() -> None:
    chooser, _ = chooser_of(1.0)
    chooser(gram_matrices(1, 6))
    (trial,) = chooser.trials.values()
    assert trial.seconds.keys() == {"on_device", "on_host"}


def test_a_device_without_memory_leaves_the_work_to_the_host(host: OnHost) -> None:
    @dataclass
    class Full:
        name: str = "on_device"

        def __call__(self, matrices: Tensor) -> Tensor:
            raise torch.OutOfMemoryError("full")

    matrices = gram_matrices(4, 5)
    chooser = EigenChooser(Full(), host, CpuDevice())
    torch.testing.assert_close(chooser(matrices), torch.linalg.eigvalsh(matrices))
    assert [trial.chosen for trial in chooser.trials.values()] == ["on_host"]
    with pytest.raises(torch.OutOfMemoryError):
        EigenChooser(Full(), host, CpuDevice(), only="on_device")(matrices)


@pytest.mark.parametrize("name", ["on_device", "on_host", "hybrid"])
def test_a_prescribed_strategy_is_used(name: str) -> None:
    matrices, before = gram_matrices(6, 9), eigen_trials()
    with only_eigen_strategy(name), eigen_chooser(CpuDevice()) as chooser:
        torch.testing.assert_close(chooser(matrices), torch.linalg.eigvalsh(matrices))
        assert [trial.chosen for trial in chooser.trials.values()] == [name]
        assert (name == "hybrid") == (len(next(iter(chooser.trials.values())).seconds) == 3)
    assert eigen_trials() == before


def test_a_device_of_cuda_keeps_its_matrices_and_the_host_gets_copies(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By tensors without data: no GPU is needed."""
    waits: list[str] = []

    class Stream:
        def record_event(self) -> Any:
            return type("Event", (), {"synchronize": lambda _: waits.append("event")})()

        def synchronize(self) -> None:
            waits.append("stream")

    monkeypatch.setattr(torch.cuda, "current_stream", lambda _device: Stream())
    with FakeTensorMode():
        matrices = torch.zeros(3, 5, 5, dtype=torch.float64, device="cuda:0")
        copy, wait = CudaDevice().to_host(matrices)
        assert copy.device.type == "cpu"
        assert copy.shape == matrices.shape
        wait()
        CudaDevice().synchronize(matrices)
        assert waits == ["event", "stream"]
        values = OnDevice()(matrices)
        assert (values.device.type, values.dtype) == ("cpu", torch.float64)
        assert eigenvalues(matrices).device == matrices.device


def test_without_memory_to_pin_the_copy_is_a_usual_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **_settings: Any) -> Tensor:
        raise RuntimeError("CUDA error: out of memory")

    matrices = gram_matrices(2, 3)
    monkeypatch.setattr(torch, "empty", full)
    copy, wait = CudaDevice().to_host(matrices)
    wait()
    assert torch.equal(copy, matrices)
