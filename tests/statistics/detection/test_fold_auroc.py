"""AUROCs within folds against scikit-learn's, and their variance against a loop over pairs."""

import numpy as np
import pytest
from scipy.stats import t as student
from sklearn.metrics import roc_auc_score

from gradpipe.statistics.detection.fold_auroc import fold_auroc

ITEMS = 24
FOLDS = np.arange(ITEMS) % 4
FIRST, SECOND, OTHER = np.random.default_rng(0).integers(0, 9, (3, ITEMS)).astype(float)


def test_the_auroc_is_the_mean_of_the_folds() -> None:
    labels = np.repeat([1, 0], ITEMS // 4)
    of_folds = [
        roc_auc_score(labels, np.r_[FIRST[fold == FOLDS], SECOND[fold == FOLDS]])
        for fold in range(4)
    ]
    found = fold_auroc(FIRST, SECOND, FOLDS, np.arange(ITEMS))
    assert found.auroc == pytest.approx(np.mean(of_folds))


def test_a_fold_whose_scores_have_another_origin_changes_nothing() -> None:
    moved = 100.0 * FOLDS
    found = fold_auroc(FIRST + moved, SECOND + moved, FOLDS, np.arange(ITEMS))
    assert found.auroc == fold_auroc(FIRST, SECOND, FOLDS, np.arange(ITEMS)).auroc


def influence_by_hand(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """How far each item moves the AUROC, in loops over the pairs within its fold."""
    influence = np.zeros(ITEMS)
    for fold in range(4):
        items = np.flatnonzero(fold == FOLDS)
        wins = {(i, j): np.sign(first[i] - second[j]) / 2 + 0.5 for i in items for j in items}
        area = np.mean(list(wins.values()))
        for item in items:
            above = np.mean([wins[item, j] for j in items]) - area
            below = np.mean([wins[i, item] for i in items]) - area
            influence[item] = (above + below) / ITEMS
    return influence


def test_the_error_of_a_difference_is_that_of_clustered_influences() -> None:
    clusters = np.arange(ITEMS) // 2
    one, other = (fold_auroc(scores, SECOND, FOLDS, clusters) for scores in (FIRST + 1, OTHER - 1))
    by_hand = influence_by_hand(FIRST + 1, SECOND) - influence_by_hand(OTHER - 1, SECOND)
    sums = by_hand.reshape(-1, 2).sum(1)
    # 12 clusters less 4 folds; Nadeau and Bengio's factor is 1 + 4/3.
    error = np.sqrt((sums**2).sum() * 12 / 8 * (1 + 4 / 3))
    reach = student.ppf(0.975, 8) * error
    difference = one.auroc - other.auroc
    assert one.over(other) == pytest.approx((difference, difference - reach, difference + reach))


def test_intervals_have_a_width_and_stay_within_bounds() -> None:
    perfect = fold_auroc(FIRST + 99, SECOND, FOLDS, np.arange(ITEMS))
    reverse = fold_auroc(FIRST - 99, SECOND, FOLDS, np.arange(ITEMS))
    auroc, low, high = perfect.estimate()
    assert (auroc, high) == (1.0, 1.0)
    assert 0.5 < low < 0.95
    difference, below, above = perfect.over(reverse)
    assert (difference, above) == (1.0, 1.0)
    # Newcombe's interval: the distances to Wilson's bounds are added in squares.
    assert below == pytest.approx(1 - np.hypot(1 - low, reverse.estimate()[2]))


def test_two_perfect_aurocs_are_not_known_to_be_equal() -> None:
    perfect = fold_auroc(FIRST + 99, SECOND, FOLDS, np.arange(ITEMS))
    difference, below, above = perfect.over(perfect)
    assert difference == 0.0
    assert below == -above == perfect.estimate()[1] - 1 < -0.05
