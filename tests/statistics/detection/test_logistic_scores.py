"""Nested cross-validation: a plain run of scikit-learn, and leaks planted on purpose."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gradpipe.statistics.detection import logistic_scores
from gradpipe.statistics.detection.grouped_folds import Ints, grouped_folds
from gradpipe.statistics.detection.logistic_scores import (
    FOLDS,
    INNER_FOLDS,
    STRENGTHS,
    out_of_fold_scores,
)

Array = NDArray[np.float64]
ITEMS = 40
OWN = np.arange(ITEMS)
#: 0 for the correct responses of all items, then 1 for their irrelevant ones.
KINDS = np.repeat([0, 1], ITEMS)


def deranged(seed: int) -> Ints:
    """The sources of all correct, then all irrelevant responses; all items are in one cycle."""
    order = np.random.default_rng(seed).permutation(ITEMS)
    donors = np.empty(ITEMS, dtype=np.int64)
    donors[order] = np.roll(order, 1)
    return np.r_[np.c_[OWN, OWN], np.c_[OWN, donors]]


def auroc_within_folds(scores: Array, folds: Ints) -> float:
    return float(
        np.mean([roc_auc_score(KINDS[folds == f], scores[folds == f]) for f in np.unique(folds)])
    )


def test_the_scores_are_those_of_a_plain_run_of_scikit_learn() -> None:
    """Without shared texts: any grouped folds of items are allowed, also the function's own."""
    draw = np.random.default_rng(0)
    features = draw.normal(size=(2 * ITEMS, 6)) + 0.4 * KINDS[:, None]
    sources = np.tile(OWN, (2, 2)).T
    scores, folds = out_of_fold_scores(features, KINDS, sources, np.ones(6), seed=3) or ([], [])
    items = np.tile(OWN, 2)
    chosen = set()
    for fold in range(FOLDS):
        train, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        assert not set(items[train]) & set(items[test])
        losses = []
        for strength in STRENGTHS:
            model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, tol=1e-8))
            losses.append(0.0)
            for one, other in grouped_folds(sources[train], INNER_FOLDS, 3):
                model.fit(features[train[one]], KINDS[train[one]])
                odds = model.predict_proba(features[train[other]])
                losses[-1] += log_loss(KINDS[train[other]], odds, normalize=False)
        best = STRENGTHS[int(np.argmin(losses))]
        chosen.add(best)
        model = make_pipeline(StandardScaler(), LogisticRegression(C=best, tol=1e-8))
        expected = model.fit(features[train], KINDS[train]).decision_function(features[test])
        assert scores[test] == pytest.approx(expected, abs=1e-3)
    assert len(chosen) > 1 or chosen.isdisjoint({STRENGTHS[0], STRENGTHS[-1]})


def by_items_only(sources: Ints, folds: int, seed: int) -> list[tuple[Ints, Ints]]:
    """What ``grouped_folds`` would be if shared texts were forgotten."""
    split = GroupKFold(folds).split(sources, groups=sources[:, 0])
    return [(np.asarray(train), np.asarray(test)) for train, test in split]


@pytest.mark.parametrize("leak", ["instruction", "text"])
def test_a_planted_leak_is_not_found(leak: str) -> None:
    """Features that name the item of an instruction or a text, and nothing about the kind."""
    aurocs = []
    for seed in range(3):
        sources = deranged(seed)
        named = sources[:, 0 if leak == "instruction" else 1]
        features = np.eye(ITEMS)[named] + 0.01 * np.random.default_rng(seed).normal(
            size=(2 * ITEMS, ITEMS)
        )
        found = out_of_fold_scores(features, KINDS, sources, np.ones(ITEMS))
        assert found is not None
        aurocs.append(auroc_within_folds(*found))
    assert np.mean(aurocs) == pytest.approx(0.5, abs=0.12)


def test_a_planted_text_would_be_found_by_folds_of_items_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In the opposite direction: in training, the same text has the other label."""
    monkeypatch.setattr(logistic_scores, "grouped_folds", by_items_only)
    sources = deranged(0)
    features = np.eye(ITEMS)[sources[:, 1]]
    found = out_of_fold_scores(features, KINDS, sources, np.ones(ITEMS))
    assert found is not None
    assert auroc_within_folds(*found) < 0.2


def test_a_weak_baseline_is_not_drowned_out_by_features_of_noise() -> None:
    """With the weights of the gradient's features, and not without them."""
    draw = np.random.default_rng(1)
    noise = draw.normal(size=(2 * ITEMS, 60))
    features = np.c_[KINDS + draw.normal(size=2 * ITEMS), noise]
    alone, weighted, equal = (
        auroc_within_folds(*found)
        for used, weights in (
            (features[:, :1], np.ones(1)),
            (features, np.r_[1.0, np.full(60, 60**-0.5)]),
            (features, np.ones(61)),
        )
        if (found := out_of_fold_scores(used, KINDS, np.tile(OWN, (2, 2)).T, weights))
    )
    assert weighted > alone - 0.06
    assert equal < weighted - 0.05


def test_responses_that_nearly_all_share_a_text_have_no_scores() -> None:
    sources = np.c_[np.tile(OWN, 2), np.r_[OWN, np.zeros(ITEMS, dtype=np.int64)]]
    assert out_of_fold_scores(np.ones((2 * ITEMS, 1)), KINDS, sources, np.ones(1)) is None
