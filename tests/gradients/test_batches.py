"""Batches hold every usable row once, within the budget, with little padding."""

from hypothesis import given
from hypothesis import strategies as st

from gradpipe.gradients.batches import plan_batches
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
        assert len(batch.rows) == 1 or len(batch.rows) * batch.length <= budget


@given(lengths=LENGTHS, budget=st.integers(1, 2000))
def test_less_than_a_tenth_of_a_batch_is_padding(lengths: list[int], budget: int) -> None:
    for batch in plan_batches([row(n) for n in lengths], budget):
        tokens = sum(lengths[number] for number in batch.rows)
        assert len(batch.rows) * batch.length - tokens < 0.1 * len(batch.rows) * batch.length


def test_rows_of_one_length_fill_the_budget() -> None:
    assert [len(batch.rows) for batch in plan_batches([row(10)] * 25, 100)] == [10, 10, 5]


def test_no_rows_need_no_batch() -> None:
    assert plan_batches([]) == []
    assert plan_batches([row(3, "the response is empty")]) == []
