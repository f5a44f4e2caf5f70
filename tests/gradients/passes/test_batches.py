"""Batches hold every usable row once, within the budget, with little padding."""

from hypothesis import given
from hypothesis import strategies as st

from gradpipe.gradients.passes.batches import (
    ACCELERATOR_BUDGET,
    CPU_BUDGET,
    CPU_LEAST,
    most_tokens,
    plan_batches,
)
from gradpipe.gradients.tokens import TokenRow

LENGTHS = st.lists(st.integers(2, 400), max_size=60)


def row(length: int, reason: str | None = None) -> TokenRow:
    return TokenRow([5] * length, 1, False, reason)


@given(lengths=LENGTHS, unusable=st.sets(st.integers(0, 59)), budget=st.integers(1, 2000))
def test_every_usable_row_is_in_exactly_one_batch(
    lengths: list[int], unusable: set[int], budget: int
) -> None:
    rows = [row(n, "too odd" if i in unusable else None) for i, n in enumerate(lengths)]
    planned = [number for batch in plan_batches(rows, budget) for number in batch.rows]
    assert sorted(planned) == [i for i in range(len(rows)) if i not in unusable]


@given(lengths=LENGTHS, budget=st.integers(1, 2000))
def test_a_batch_stays_within_the_budget_unless_it_is_one_long_row(
    lengths: list[int], budget: int
) -> None:
    for batch in plan_batches([row(n) for n in lengths], budget):
        assert batch.length == max(lengths[number] for number in batch.rows)
        assert batch.tokens == len(batch.rows) * batch.length
        assert len(batch.rows) == 1 or batch.tokens <= budget


@given(lengths=LENGTHS, budget=st.integers(1, 2000))
def test_less_than_a_tenth_of_a_batch_is_padding(lengths: list[int], budget: int) -> None:
    for batch in plan_batches([row(n) for n in lengths], budget):
        tokens = sum(lengths[number] for number in batch.rows)
        assert batch.tokens - tokens < 0.1 * batch.tokens


@given(lengths=LENGTHS, left=st.sets(st.integers(0, 59)), budget=st.integers(1, 2000))
def test_what_is_left_is_planned_as_if_there_were_nothing_else(
    lengths: list[int], left: set[int], budget: int
) -> None:
    numbers = [number for number in sorted(left) if number < len(lengths)]
    batches = plan_batches([row(n) for n in lengths], budget, reversed(numbers))
    alone = plan_batches([row(lengths[number]) for number in numbers], budget)
    assert [tuple(numbers[n] for n in batch.rows) for batch in alone] == [b.rows for b in batches]
    assert [batch.length for batch in alone] == [batch.length for batch in batches]


def test_rows_that_are_left_stay_out_where_they_are_unusable() -> None:
    rows = [row(4), row(4, "the response is empty"), row(5)]
    assert [batch.rows for batch in plan_batches(rows, 5, [2, 1])] == [(2,)]


def test_rows_of_one_length_fill_the_budget() -> None:
    assert [len(batch.rows) for batch in plan_batches([row(10)] * 25, 100)] == [10, 10, 5]


@given(lengths=LENGTHS, budget=st.integers(1, 2000))
def test_the_longest_rows_come_first(lengths: list[int], budget: int) -> None:
    batches = plan_batches([row(n) for n in lengths], budget)
    in_turn = [lengths[number] for batch in batches for number in batch.rows]
    assert in_turn == sorted(lengths, reverse=True)


def test_no_rows_need_no_batch() -> None:
    assert plan_batches([]) == []
    assert plan_batches([row(3, "the response is empty")]) == []


def test_on_a_cpu_short_rows_together_take_little_more_than_the_longest() -> None:
    short, long = [row(20)] * 5, row(4000, "longer than the window")
    assert most_tokens([*short, row(300)], on_cpu=True) == 375
    assert most_tokens([*short, row(2000)], on_cpu=True) == CPU_BUDGET
    for rows in (short, [*short, long], []):
        assert most_tokens(rows, on_cpu=True) == CPU_LEAST
        assert most_tokens(rows, on_cpu=False) == ACCELERATOR_BUDGET
