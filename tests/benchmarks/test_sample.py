"""Samples are nested, repeatable and in source order."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradpipe.benchmarks.items import How, sample_items
from gradpipe.errors import DataError

ITEMS = pl.DataFrame({"item_id": [f"i{n}" for n in range(50)], "index": list(range(50))})


@given(st.integers(1, 60), st.integers(1, 60), st.sampled_from(["first", "random"]), st.integers())
def test_a_larger_sample_contains_a_smaller_one(one: int, other: int, how: How, seed: int) -> None:
    small, large = sorted((one, other))
    inner, outer = (sample_items(ITEMS, n, how, seed)["index"] for n in (small, large))
    assert set(inner) <= set(outer)
    assert len(inner) == min(small, 50)
    assert inner.is_sorted()


def test_the_first_are_the_first_of_the_source() -> None:
    assert sample_items(ITEMS, 3, "first")["index"].to_list() == [0, 1, 2]
    assert sample_items(ITEMS.reverse(), 3, "first")["index"].to_list() == [0, 1, 2]


def test_a_random_sample_depends_on_the_seed_alone() -> None:
    sample = sample_items(ITEMS, 10, "random", seed=1)
    assert sample.equals(sample_items(ITEMS.reverse(), 10, "random", seed=1))
    assert not sample.equals(sample_items(ITEMS, 10, "random", seed=2))


def test_no_sample_is_everything() -> None:
    assert sample_items(ITEMS, None, "random").equals(ITEMS)


def test_an_empty_sample_is_refused() -> None:
    with pytest.raises(DataError, match="a sample of 0 items is empty"):
        sample_items(ITEMS, 0)
