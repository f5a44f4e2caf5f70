"""Folds of items: every response is tested once, on sources that training has not seen."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradpipe.statistics.detection.grouped_folds import Ints, grouped_folds, independent_clusters


def deranged(items: int, block: int = 10, seed: int = 0) -> Ints:
    """Correct responses of all items, then irrelevant ones: another item's text, within blocks."""
    donors = np.arange(items)
    for start in range(0, items, block):
        order = np.random.default_rng(seed).permutation(np.arange(start, min(start + block, items)))
        donors[order] = np.roll(order, 1)
    own = np.arange(items)
    return np.r_[np.c_[own, own], np.c_[own, donors]]


#: Responses to up to 30 items, with texts of any other items.
SOURCES = st.lists(st.tuples(st.integers(0, 29), st.integers(0, 29)), min_size=1, max_size=80)


@given(rows=SOURCES, folds=st.integers(2, 6), seed=st.integers(0, 99))
def test_no_training_response_shares_a_source_with_a_tested_one(
    rows: list[tuple[int, int]], folds: int, seed: int
) -> None:
    sources = np.array(rows)
    tested = []
    for train, test in grouped_folds(sources, folds, seed):
        assert not set(sources[train].ravel()) & set(sources[test].ravel())
        tested += test.tolist()
    assert sorted(tested) == list(range(len(rows)))


@pytest.mark.parametrize(("items", "block"), [(24, 24), (24, 10), (100, 10), (500, 500)])
def test_few_responses_of_a_derangement_are_left_out_of_training(items: int, block: int) -> None:
    """Even where all items are in one cycle, which every fold has to cut."""
    sources = deranged(items, block)
    for train, test in grouped_folds(sources, 5):
        assert len(test) == pytest.approx(2 * items / 5, abs=2)
        assert len(train) + len(test) >= 2 * items - 12


def test_without_shared_texts_the_folds_are_random_and_nothing_is_left_out() -> None:
    own = np.repeat(np.arange(40), 2)
    sources = np.c_[own, own]
    one, other = (list(grouped_folds(sources, 5, seed)) for seed in (0, 1))
    for train, test in one:
        assert (len(train), len(test)) == (64, 16)
    assert any(set(a[1]) != set(b[1]) for a, b in zip(one, other, strict=True))
    again = list(grouped_folds(sources, 5, 0))
    assert all((a[1] == b[1]).all() for a, b in zip(one, again, strict=True))


def test_items_that_share_texts_are_one_cluster_if_there_are_enough() -> None:
    pairs = np.arange(40)
    swapped = pairs + 1 - 2 * (pairs % 2)
    sources = np.r_[np.c_[pairs, pairs], np.c_[pairs, swapped]]
    assert (independent_clusters(sources, pairs) == pairs // 2).all()
    few = sources[np.isin(sources[:, 0], pairs[:30])]
    assert (independent_clusters(few, pairs[:30]) == pairs[:30]).all()
