"""A few batches say what all of them take."""

import random
from collections.abc import Callable

import polars as pl
import pytest
import torch

from gradpipe.estimates.calibration import Load, Workload, calibrate, fit, measure
from gradpipe.estimates.model_shape import KNOWN, config_shape
from gradpipe.estimates.prices import prices
from gradpipe.gradients.extract import extract_rows
from gradpipe.gradients.passes.batches import CPU_LEAST, most_tokens
from gradpipe.gradients.protocol import STANDARD
from gradpipe.gradients.tokens import TokenRow
from gradpipe.models.load import LoadedModel
from tests.estimates.conftest import rows_of

#: Seconds of a pass FLOP, of a spectra FLOP and of a row, of a machine that is made up.
MACHINE = (5e-12, 2e-11, 0.003)


def spread(count: int, longest: int) -> list[TokenRow]:
    drawn = random.Random(0)
    lengths = [drawn.randint(40, longest) for _ in range(count)]
    return rows_of(*((length, length // 2) for length in lengths))


class Machine:
    """A made-up machine with a clock of its own; ``noise`` is its relative spread."""

    def __init__(self, work: Workload, noise: float = 0.0) -> None:
        self.work, self.noise = work, noise
        self.now, self.runs = 0.0, 0
        self.random = random.Random(1)

    def run(self, batch: list[TokenRow]) -> float:
        parts = self.work.load(batch).parts
        exact = sum(each * part for each, part in zip(MACHINE, parts, strict=True))
        seconds = exact * self.random.uniform(1 - self.noise, 1 + self.noise)
        self.now += seconds
        self.runs += 1
        return seconds

    def whole(self, budget: int) -> list[float]:
        batches = [self.work.batches(rows, budget) for rows in self.work.lists]
        return [sum(map(self.run, of_list)) for of_list in batches]


@pytest.mark.parametrize(("noise", "within"), [(0.0, 0.001), (0.2, 0.25)])
def test_a_calibration_predicts_the_time_of_each_list_within_a_quarter(
    noise: float, within: float
) -> None:
    work = Workload(KNOWN["smollm2-135m"], STANDARD, [spread(200, 250), spread(120, 900)])
    machine = Machine(work, noise)
    found = measure(work, 1024, 1.0, machine.run, limit=1e9, clock=lambda: machine.now)
    spent = machine.now
    told = work.seconds(found)
    assert told == pytest.approx(machine.whole(1024), rel=within)
    assert found.seconds == pytest.approx(spent)
    assert spent < 0.35 * sum(told)


def test_a_calibration_respects_its_time_limit() -> None:
    work = Workload(KNOWN["smollm2-135m"], STANDARD, [spread(400, 900)])
    machine = Machine(work)
    assert measure(work, 1024, 1.0, machine.run, 0.01, lambda: machine.now).batches == 2


def test_batches_that_do_not_fit_are_not_counted() -> None:
    work = Workload(KNOWN["smollm2-135m"], STANDARD, [spread(50, 900)])
    found = measure(work, 1024, 1.0, lambda _batch: None)
    assert (found.batches, found.pace) == (0, (0.0, 0.0, 0.0))


def test_a_fit_needs_no_more_than_one_batch_and_is_never_negative() -> None:
    one = [Load(1e9, 1e8, 4)]
    assert sum(a * b for a, b in zip(fit(one, [2.0]), one[0].parts, strict=True)) == pytest.approx(
        2
    )
    loads = [Load(n * 1e9, n * n * 1e7, 5 - n) for n in range(1, 5)]
    assert min(fit(loads, [4.0, 3.0, 2.0, 1.0])) >= 0


def test_the_workload_has_the_batches_of_an_extraction() -> None:
    rows = [*spread(30, 300), TokenRow([1, 2], 1, False, "too short")]
    work = Workload(KNOWN["smollm2-135m"], STANDARD, [rows])
    batches = work.batches(work.lists[0], 1024)
    assert sum(map(len, batches)) == 30
    assert all(len(batch) * len(batch[-1].ids) <= 1024 for batch in batches)


def test_a_model_in_memory_is_calibrated_on_rows_of_its_own_work(
    make_loaded: Callable[..., LoadedModel],
) -> None:
    loaded = make_loaded()
    work = Workload(config_shape(loaded.model.config), STANDARD, [spread(20, 240), []])
    found = calibrate(loaded, work, limit=1.0)
    assert found.batches >= 2
    assert found.budget == most_tokens(work.lists[0], on_cpu=True) > CPU_LEAST
    told = work.seconds(found)
    assert told[0] > 0
    assert told[1] == 0
    priced = prices(work.shape, STANDARD, work.lists, loaded=loaded)
    assert priced[0].seconds is not None
    assert (priced[1].flops, priced[1].memory, priced[1].seconds) == (0, 0, 0)
    assert prices(work.shape, STANDARD, work.lists)[0].seconds is None


@pytest.mark.slow
def test_a_measured_run_takes_the_predicted_time_within_a_quarter(
    make_loaded: Callable[..., LoadedModel],
) -> None:
    loaded = make_loaded(
        vocab_size=2048,
        hidden_size=384,
        intermediate_size=1024,
        num_hidden_layers=8,
        num_key_value_heads=8,
    )
    torch.set_num_threads(1)
    lists = [spread(90, 200), spread(60, 700)]
    work = Workload(config_shape(loaded.model.config), STANDARD, lists)
    found = calibrate(loaded, work)
    told = work.seconds(found)
    rows = [pl.concat(extract_rows(loaded, rows, STANDARD)) for rows in lists]
    measured = [float(frame["seconds"].sum()) for frame in rows]
    print(f"told {told}, measured {measured}, calibrated in {found.seconds:.1f} s")
    assert told == pytest.approx(measured, rel=0.25)
