"""Batches that run at once on shares of the cores give what each gives alone."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from threading import Event, Lock, current_thread, main_thread
from typing import Any

import polars as pl
import pytest
import torch

from gradpipe.gradients import loop
from gradpipe.gradients.extract import extract_rows
from gradpipe.gradients.loop import BatchLoop
from gradpipe.gradients.passes import memory
from gradpipe.gradients.passes.run_batch import RowGradients
from gradpipe.gradients.protocol import STANDARD
from gradpipe.gradients.rows import explode_matrices
from gradpipe.gradients.side_by_side import OnTheSameThread, possible_batches
from gradpipe.gradients.tokens import TokenRow
from gradpipe.models.load import LoadedModel
from gradpipe.models.projections import find_projections
from tests.gradients.conftest import assert_same_gradients

MakeModel = Callable[..., Any]
MakeRows = Callable[..., list[TokenRow]]
LENGTHS = ((31, 9), (30, 4), (24, 11), (17, 16), (12, 3), (12, 5), (9, 2), (8, 7))


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    """A function that sets torch's number of threads for the test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


class Watched:
    """``run_batch`` that knows which thread runs what, and lets a test fail some batches."""

    def __init__(self, fails: Callable[[list[TokenRow], int], Exception | None]) -> None:
        self._run, self._fails, self._lock = loop.run_batch, fails, Lock()
        self._tokens: list[int] = []
        #: Tokens of each try, whether on the main thread, and the tokens of all at that time.
        self.tried: list[tuple[int, bool, int]] = []

    def __call__(
        self, model: Any, projections: Any, rows: list[TokenRow], pool: Any
    ) -> list[RowGradients]:
        tokens = len(rows) * max(len(row.ids) for row in rows)
        with self._lock:
            self._tokens.append(tokens)
            alone = current_thread() is main_thread()
            self.tried.append((tokens, alone, sum(self._tokens)))
            error = self._fails(rows, sum(self._tokens))
        try:
            # Long enough for another batch to start.
            time.sleep(0.02)
            if error is not None:
                raise error
            return self._run(model, projections, rows, pool)
        finally:
            with self._lock:
                self._tokens.remove(tokens)


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Watched]:
    """A function that watches the batches of the test."""

    def start(
        fails: Callable[[list[TokenRow], int], Exception | None] = lambda *_: None,
    ) -> Watched:
        watched = Watched(fails)
        monkeypatch.setattr(loop, "run_batch", watched)
        return watched

    return start


def loaded(model: Any) -> LoadedModel:
    names = {"name": "tiny", "fingerprint": "", "tokenizer": None, "device": "cpu"}
    return LoadedModel(model=model, checkpointing=False, **names)  # type: ignore[arg-type]


def batch_loop(model: Any, rows: list[TokenRow], **settings: Any) -> BatchLoop:
    return BatchLoop(loaded(model), find_projections(model), rows, **settings)


def extracted(model: Any, rows: list[TokenRow]) -> pl.DataFrame:
    frames = extract_rows(loaded(model), rows, STANDARD, budget=32)
    return pl.concat(frames).drop("seconds").sort("row")


@pytest.mark.parametrize("kind", ["llama", "gpt2", "gemma2", "mixtral"])
def test_batches_side_by_side_give_what_they_give_in_turn(
    kind: str,
    make_model: MakeModel,
    make_rows: MakeRows,
    threads: Callable[[int], None],
    watch: Callable[..., Watched],
) -> None:
    model, rows = make_model(kind), make_rows(*LENGTHS)
    watched = watch()
    threads(1)
    in_turn = extracted(model, rows)
    assert all(alone for _, alone, _ in watched.tried)
    threads(3)
    found = extracted(model, rows)
    assert not all(alone for _, alone, _ in watched.tried)
    assert found["loss"].to_list() == pytest.approx(in_turn["loss"].to_list(), rel=1e-6)
    assert_same_gradients(
        *(explode_matrices(frame.lazy()).collect() for frame in (found, in_turn)), 1e-4
    )
    assert not any(module._forward_hooks or "forward" in vars(module) for module in model.modules())


def test_batches_side_by_side_come_in_their_order_each_once(
    make_model: MakeModel, make_rows: MakeRows, threads: Callable[[int], None]
) -> None:
    threads(4)
    batches = batch_loop(make_model("llama"), make_rows(*LENGTHS * 3), budget=32)
    numbers = [done.batch.rows for done in batches.run()]
    lengths = [len(batches.rows[number].ids) for batch in numbers for number in batch]
    assert sorted(number for batch in numbers for number in batch) == list(range(24))
    assert lengths == sorted(lengths, reverse=True)


def test_no_more_batches_run_at_once_than_fit_in_memory(
    make_model: MakeModel,
    make_rows: MakeRows,
    threads: Callable[[int], None],
    watch: Callable[..., Watched],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads(8)
    monkeypatch.setattr(memory, "free_memory", lambda _: 2_000_000)
    watched = watch()
    batches = batch_loop(make_model("llama"), make_rows(*[(30, 9)] * 40))
    assert sum(len(done.batch.rows) for done in batches.run()) == 40
    fits = batches._fitting
    together = [total for _, alone, total in watched.tried if not alone]
    assert 60 < fits < 1000
    assert max(together) <= fits
    assert max(together) > 30


def test_a_batch_that_does_not_fit_beside_others_is_run_alone(
    make_model: MakeModel,
    make_rows: MakeRows,
    threads: Callable[[int], None],
    watch: Callable[..., Watched],
) -> None:
    threads(2)
    model, rows = make_model("llama"), make_rows(*LENGTHS)
    expected = extracted(model, rows)

    def full(_rows: list[TokenRow], tokens: int) -> Exception | None:
        return torch.OutOfMemoryError("out of memory") if tokens > 40 else None

    watched = watch(full)
    found = extracted(model, rows)
    assert any(not alone and total > 40 for _, alone, total in watched.tried)
    assert watched.tried[-1][1]
    assert found["row"].to_list() == list(range(8))
    assert found["reason"].null_count() == 8
    assert found["loss"].to_list() == pytest.approx(expected["loss"].to_list(), rel=1e-6)


def test_an_error_of_one_batch_ends_the_others_and_leaves_the_model_as_it_was(
    make_model: MakeModel,
    make_rows: MakeRows,
    threads: Callable[[int], None],
    watch: Callable[..., Watched],
) -> None:
    threads(2)
    model = make_model("llama")

    def short(rows: list[TokenRow], _tokens: int) -> Exception | None:
        return ValueError("a short row") if len(rows[0].ids) == 17 else None

    watch(short)
    batches = batch_loop(model, make_rows(*LENGTHS), budget=32).run()
    assert next(batches).gradients is not None
    with pytest.raises(ValueError, match="a short row"):
        deque(batches, maxlen=0)
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_a_loop_that_is_left_early_waits_for_no_further_batch(
    make_model: MakeModel,
    make_rows: MakeRows,
    threads: Callable[[int], None],
    watch: Callable[..., Watched],
) -> None:
    threads(2)
    watched = watch()
    batches = batch_loop(make_model("llama"), make_rows(*LENGTHS * 5), budget=32).run()
    next(batches)
    next(batches)
    batches.close()
    assert len(watched.tried) <= 5


def test_jobs_on_the_same_thread_end_when_they_are_submitted_unless_it_was_stopped() -> None:
    stop = Event()
    executor = OnTheSameThread(stop)
    assert executor.submit(current_thread).result() is current_thread()
    failed = executor.submit(int, "x")
    with pytest.raises(ValueError, match="invalid literal"):
        failed.result()
    stop.set()
    with pytest.raises(CancelledError):
        executor.submit(current_thread)


def test_as_many_batches_run_at_once_as_torch_has_threads(
    threads: Callable[[int], None],
) -> None:
    found = []
    for number in (1, 2, 5, 64):
        threads(number)
        found.append(possible_batches())
    assert found == [1, 2, 5, 8]
