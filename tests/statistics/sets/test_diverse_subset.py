"""A diverse choice is the greedy one by determinants, and does not choose twins."""

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gradpipe.statistics.sets.diverse_subset import NOISE, diverse_order


def directions(rows: int, width: int, seed: int = 0) -> NDArray[np.float32]:
    vectors = np.random.default_rng(seed).normal(size=(rows, width)) + 0.4
    unit: NDArray[np.float32] = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(
        np.float32
    )
    return unit


def log_determinant(vectors: NDArray[Any], chosen: list[int]) -> float:
    kernel = vectors[chosen].astype(np.float64) @ vectors[chosen].astype(np.float64).T
    return float(np.linalg.slogdet(np.eye(len(chosen)) + kernel / NOISE)[1])


@pytest.mark.parametrize(("rows", "width"), [(12, 40), (40, 6), (20, 20)])
def test_each_choice_has_the_largest_determinant(rows: int, width: int) -> None:
    vectors = directions(rows, width)
    chosen = [0]
    while len(chosen) < 10:
        rest = [row for row in range(rows) if row not in chosen]
        chosen.append(max(rest, key=lambda row: log_determinant(vectors, [*chosen, row])))
    assert diverse_order(vectors, 10).tolist() == chosen


def test_the_choice_is_near_the_best_of_all_subsets() -> None:
    vectors = directions(9, 5)
    best = max(log_determinant(vectors, [*s]) for s in itertools.combinations(range(9), 4))
    greedy = log_determinant(vectors, diverse_order(vectors, 4).tolist())
    assert (1 - 1 / np.e) * best <= greedy <= best + 1e-12


def test_every_row_is_chosen_once_and_twins_last() -> None:
    vectors = directions(6, 30)
    order = diverse_order(np.concatenate([vectors, vectors]))
    assert sorted(order.tolist()) == list(range(12))
    assert sorted(order[:6].tolist()) == list(range(6))


def test_one_row_of_each_cluster_is_chosen_before_a_second() -> None:
    centers = directions(5, 60)
    noise = 0.02 * np.random.default_rng(1).normal(size=(50, 60)).astype(np.float32)
    vectors = np.repeat(centers, 10, axis=0) + noise
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    assert sorted(diverse_order(vectors, 5) // 10) == [0, 1, 2, 3, 4]


def test_no_rows_and_no_choice_are_empty() -> None:
    assert diverse_order(np.zeros((0, 1), np.float32)).tolist() == []
    assert diverse_order(directions(3, 4), 0).tolist() == []
    assert len(diverse_order(directions(3, 4), 7)) == 3
