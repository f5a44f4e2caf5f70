"""Out-of-fold scores of a logistic model, by nested cross-validation.

Nothing about a response under test is known to the model that scores it: neither the scale of the
features, nor the penalty, nor another response with the same instruction or the same text.
"""

from collections.abc import Sequence

import numpy as np

from gradpipe.statistics.detection.fold_auroc import Floats
from gradpipe.statistics.detection.grouped_folds import Ints, grouped_folds

#: Outer folds, whose responses are scored, and inner ones, which choose the penalty.
FOLDS, INNER_FOLDS = 5, 3
#: Inverse strengths of the L2 penalty, scikit-learn's C; the strongest penalty is first.
STRENGTHS = (0.01, 0.1, 1.0, 10.0, 100.0)


def out_of_fold_scores(
    features: Floats, is_first: Ints, sources: Ints, weights: Floats, seed: int = 0
) -> tuple[Floats, Ints] | None:
    """Log odds of the first kind for each response, by a model that was not trained on it.

    Args:
        features: [response, feature].
        is_first: [response]: 1 for the first kind, 0 for the second.
        sources: [response, 2]: see ``grouped_folds``.
        weights: [feature]: what each standardized feature is multiplied by. A smaller weight is a
            stronger penalty.
        seed: Shuffles the items before they are split.

    Returns:
        Scores and outer folds [response]; None if the training responses of a fold are all of one
        kind, as they are if nearly all responses share a text.
    """
    scores, folds = np.empty(len(is_first)), np.empty(len(is_first), dtype=np.int64)
    for number, (train, test) in enumerate(grouped_folds(sources, FOLDS, seed)):
        inner = [
            (train[one], train[other])
            for one, other in grouped_folds(sources[train], INNER_FOLDS, seed)
        ]
        if any(len(np.unique(is_first[rows])) < 2 for rows in (train, *(one for one, _ in inner))):
            return None
        losses = sum(
            _log_loss(_scores(features, is_first, split, weights, STRENGTHS), is_first[split[1]])
            for split in inner
        )
        best = STRENGTHS[int(np.argmin(losses))]
        scores[test] = _scores(features, is_first, (train, test), weights, [best])[0]
        folds[test] = number
    return scores, folds


def _scores(
    features: Floats,
    is_first: Ints,
    split: tuple[Ints, Ints],
    weights: Floats,
    strengths: Sequence[float],
) -> Floats:
    """Log odds of the responses under test, [strength, response]."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    train, _ = split
    scaler = StandardScaler().fit(features[train])
    known, unknown = (scaler.transform(features[rows]) * weights for rows in split)
    models = [
        LogisticRegression(C=strength, solver="newton-cholesky").fit(known, is_first[train])
        for strength in strengths
    ]
    return np.array([model.decision_function(unknown) for model in models])


def _log_loss(scores: Floats, is_first: Ints) -> Floats:
    """The log loss of scores [strength, response], summed over responses."""
    losses: Floats = np.logaddexp(0.0, np.where(is_first, -scores, scores)).sum(1)
    return losses
