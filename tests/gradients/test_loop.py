"""Batches grow to the free memory and shrink where they do not fit; every row comes out once."""

import gc
import math
import weakref
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal
from torch import Tensor, nn

from gradpipe.gradients import loop
from gradpipe.gradients.extract import extract_rows
from gradpipe.gradients.loop import BatchLoop, FinishedBatch
from gradpipe.gradients.passes import memory
from gradpipe.gradients.passes.batches import CPU_BUDGET, CPU_LEAST
from gradpipe.gradients.passes.run_batch import RowGradients
from gradpipe.gradients.protocol import STANDARD
from gradpipe.gradients.rows import explode_matrices
from gradpipe.gradients.tokens import TokenRow
from gradpipe.models.load import LoadedModel
from gradpipe.models.projections import find_projections
from tests.gradients.conftest import assert_same_gradients

MakeModel = Callable[..., Any]
MakeRows = Callable[..., list[TokenRow]]
#: (rows, padded tokens) of each batch that was tried.
Tried = list[tuple[int, int]]
LENGTHS = (7, 12, 9, 31, 12, 11, 30, 12, 8, 29, 60)


def load(model: Any, checkpointing: bool = False) -> LoadedModel:
    return LoadedModel(
        name="tiny",
        fingerprint="",
        model=model,
        tokenizer=None,
        device="cpu",
        checkpointing=checkpointing,
    )  # type: ignore[arg-type]


def batch_loop(model: Any, rows: list[TokenRow], **settings: Any) -> BatchLoop:
    return BatchLoop(load(model), find_projections(model), rows, **settings)


def extract(model: Any, rows: list[TokenRow], budget: int | None = None) -> pl.DataFrame:
    frames = list(extract_rows(load(model), rows, STANDARD, budget=budget))
    return pl.concat(frames).drop("seconds").sort("row")


def assert_same_rows(found: pl.DataFrame, expected: pl.DataFrame, rel: float) -> None:
    whole = [frame.drop("matrices") for frame in (found, expected)]
    assert_frame_equal(*whole, rel_tol=rel, abs_tol=rel)
    assert_same_gradients(*(explode_matrices(f.lazy()).collect() for f in (found, expected)), rel)


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """A function that sets the free memory, in bytes."""
    return lambda size: monkeypatch.setattr(memory, "free_memory", lambda _device: int(size))


@pytest.fixture
def room_for(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], Tried]:
    """A function that lets batches of so many padded tokens through only, and lists all tries."""
    run_batch = loop.run_batch

    def limit(tokens: float) -> Tried:
        tried: Tried = []

        def run(
            model: Any, projections: Any, rows: list[TokenRow], pool: Any
        ) -> list[RowGradients]:
            padded = len(rows) * max(len(row.ids) for row in rows)
            tried.append((len(rows), padded))
            if padded > tokens:
                raise torch.OutOfMemoryError("out of memory. Tried to allocate 20.00 MiB")
            return run_batch(model, projections, rows, pool)

        monkeypatch.setattr(loop, "run_batch", run)
        return tried

    return limit


def test_the_first_batch_measures_and_the_others_fill_what_is_free(
    make_model: MakeModel, make_rows: MakeRows, free: Callable[[float], None]
) -> None:
    rows = make_rows(*[(20, 10)] * 120)
    for size, budget in ((1e15, CPU_LEAST), (0, 1)):
        free(size)
        batches = batch_loop(make_model("llama"), rows)
        sizes = []
        for done in batches.run():
            sizes.append(len(done.batch.rows))
            assert batches.measured
            assert batches.budget == budget
        assert sizes[0] == CPU_LEAST // 20
        assert set(sizes[1:-1]) == {max(1, budget // 20)}
        assert sum(sizes) == 120


def test_a_token_is_taken_to_need_what_autograd_keeps_of_it(
    make_model: MakeModel, make_rows: MakeRows, free: Callable[[float], None]
) -> None:
    model, rows = make_model("llama"), make_rows(*[(20, 10)] * 30, (600, 10))
    free(1e6)
    batches = batch_loop(model, rows)
    list(batches.run())
    # Three layers of width 32 keep a few kB a token: what fits is neither all nor nothing.
    assert 20 < batches.budget < CPU_BUDGET
    twice = BatchLoop(load(model, checkpointing=True), find_projections(model), rows)
    assert twice.twice
    list(twice.run())
    # One of the three layers at a time is there whole, with the inputs of all.
    assert batches.budget < twice.budget < CPU_BUDGET


def test_a_budget_that_is_given_is_kept(
    make_model: MakeModel, make_rows: MakeRows, free: Callable[[float], None]
) -> None:
    free(0)
    batches = batch_loop(make_model("llama"), make_rows(*[(20, 10)] * 12), budget=80)
    assert [len(done.batch.rows) for done in batches.run()] == [4, 4, 4]
    assert batches.budget == 80


@pytest.mark.parametrize("budget", [None, 64, 1000])
@pytest.mark.parametrize("limit", [60, 61, 100, 200])
def test_batches_that_do_not_fit_are_halved_and_every_row_comes_out_once(
    limit: int,
    budget: int | None,
    make_model: MakeModel,
    make_rows: MakeRows,
    room_for: Callable[[float], Tried],
) -> None:
    model, rows = make_model("llama", torch.float64), make_rows(*((n, n // 2) for n in LENGTHS))
    expected = extract(model, rows)
    tried = room_for(limit)
    found = extract(model, rows, budget)
    assert found["row"].to_list() == list(range(len(rows)))
    assert found["reason"].is_null().all()
    assert_same_rows(found, expected, 1e-6)
    assert sum(count for count, padded in tried if padded <= limit) == len(rows)


def test_the_budget_halves_down_to_one_row(
    make_model: MakeModel, make_rows: MakeRows, room_for: Callable[[float], Tried]
) -> None:
    tried = room_for(10)
    batches = batch_loop(make_model("llama"), make_rows(*[(10, 5)] * 16), budget=160)
    done = list(batches.run())
    assert tried[:5] == [(16, 160), (8, 80), (4, 40), (2, 20), (1, 10)]
    assert tried[5:] == [(1, 10)] * 15
    assert all(each.gradients is not None for each in done)
    assert batches.budget == 10
    assert sorted(number for each in done for number in each.batch.rows) == list(range(16))


def test_a_row_that_does_not_fit_alone_comes_out_with_the_reason_and_the_others_go_on(
    make_model: MakeModel, make_rows: MakeRows, room_for: Callable[[float], Tried]
) -> None:
    model, rows = make_model("llama"), make_rows((10, 5), (70, 5), (10, 5), (80, 9), (12, 3))
    for budget in (None, 20):
        room_for(math.inf)
        alone = extract(model, rows, budget)
        room_for(60)
        found = extract(model, rows, budget)
        assert found["row"].to_list() == [0, 1, 2, 3, 4]
        assert found["matrices"].list.len().to_list() == [12, 0, 12, 0, 12]
        assert found["loss"].is_null().to_list() == [False, True, False, True, False]
        assert_same_rows(found[[0, 2, 4]], alone[[0, 2, 4]], 1e-5)
        for number, tokens in ((1, 70), (3, 80)):
            reason = found["reason"][number]
            assert reason.startswith(f"the row's {tokens} tokens do not fit in memory")


def test_another_error_is_not_taken_for_a_lack_of_memory(
    make_model: MakeModel, make_rows: MakeRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_model("llama").train()
    tries = []

    def fail(*_: Any) -> list[RowGradients]:
        tries.append(1)
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(loop, "run_batch", fail)
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        list(batch_loop(model, make_rows((9, 4), (9, 4))).run())
    assert len(tries) == 1
    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_a_failed_batch_is_out_of_memory_before_the_next_try(
    make_model: MakeModel, make_rows: MakeRows
) -> None:
    model = make_model("llama")
    made: list[list[weakref.ref[Tensor]]] = []
    still_there: list[int] = []

    def remember(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        made[-1].append(weakref.ref(output))

    def start(_module: nn.Module, inputs: tuple[Tensor], _output: Tensor) -> None:
        # Blocks of logits run the model again, with ids that stand for nothing.
        if inputs[0].any():
            gc.collect()
            still_there.append(sum(each() is not None for tries in made for each in tries))
            made.append([])

    def fail(_module: nn.Module, inputs: tuple[Tensor], gradient: tuple[Tensor]) -> None:
        # In the backward pass, when later layers' factors have been handed over.
        if len(gradient[0]) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    model.get_input_embeddings().register_forward_hook(start)
    for layer in model.model.layers:
        layer.register_forward_hook(remember)
    model.model.layers[0].register_full_backward_hook(fail)
    done: list[FinishedBatch] = list(batch_loop(model, make_rows(*[(10, 5)] * 8), budget=80).run())
    assert [len(each.batch.rows) for each in done] == [2, 2, 2, 2]
    assert [len(each) for each in made] == [3] * 6
    assert still_there == [0] * 6


def test_words_of_the_allocator_shrink_a_batch_too(
    make_model: MakeModel, make_rows: MakeRows
) -> None:
    model = make_model("llama")

    def greedy(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        if len(output) > 3:
            torch.empty(2**60, dtype=torch.uint8)

    model.model.layers[1].register_forward_hook(greedy)
    done = list(batch_loop(model, make_rows(*[(10, 5)] * 8), budget=80).run())
    assert [len(each.batch.rows) for each in done] == [2, 2, 2, 2]


def test_memory_is_given_back_before_a_batch_that_is_larger_and_not_at_every_one(
    make_model: MakeModel, make_rows: MakeRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    monkeypatch.setattr(loop, "trim_heap", lambda: seen.append("trim"))
    rows = make_rows((7, 5), (10, 5), (10, 5), (14, 5))
    batches = batch_loop(make_model("llama"), rows, budget=20)
    for done in batches.run():
        seen.append(str(done.batch.tokens))
    assert seen == ["trim", "14", "trim", "20", "7"]
