"""Folds of items for cross-validation in which no instruction and no text is on both sides.

A response has two sources: the item whose instruction it follows, and the item whose text it is. An
irrelevant response of a derangement is another item's correct response. So folds of items alone
would test a model on texts that it was trained on, with the other label. Here no source of a test
response is a source of a training response.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
#: With fewer sets of connected items than this, each item is a cluster.
MIN_CLUSTERS = 16


def grouped_folds(sources: Ints, folds: int, seed: int = 0) -> Iterator[tuple[Ints, Ints]]:
    """Split responses into folds of items: the rows for training and those for testing, per fold.

    ``sources`` [row, 2] has the numbers, from 0, of the item of each response's instruction and of
    the item of its text. Each response is tested once, in the fold of its instruction's item. A
    response is not used for training if it shares a source with a response under test.

    Items that share texts are adjacent in the order that is split, so a fold cuts few sets of
    connected items, and few responses are left out of training. ``seed`` shuffles the rest of the
    order.
    """
    order = _adjacent_order(sources, seed)
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    # Items without an instruction among the rows take no place in a fold.
    present, ranks = np.unique(place[sources[:, 0]], return_inverse=True)
    fold = ranks * folds // len(present)
    for number in range(folds):
        tested = fold == number
        unseen = ~np.isin(sources, sources[tested]).any(1)
        yield np.flatnonzero(~tested & unseen), np.flatnonzero(tested)


def independent_clusters(sources: Ints, items: Ints) -> Ints:
    """The number, from 0, of the cluster of each of ``items``, which are numbered as ``sources``.

    Items that are connected by shared texts are one cluster if there are MIN_CLUSTERS or more of
    them. Otherwise each item is one, which ignores that a text has both labels: that can only widen
    an interval.
    """
    from scipy.sparse.csgraph import connected_components

    _, component = connected_components(_shared_texts(sources, int(sources.max()) + 1))
    clusters = np.unique(component[items], return_inverse=True)[1]
    return clusters if clusters.max() + 1 >= MIN_CLUSTERS else np.arange(len(items))


def _adjacent_order(sources: Ints, seed: int) -> Ints:
    """A random order of the items, where items that share a text are near one another."""
    from scipy.sparse.csgraph import reverse_cuthill_mckee

    count = int(sources.max()) + 1
    shuffled = np.random.default_rng(seed).permutation(count)
    graph = _shared_texts(shuffled[sources], count)
    ranks = reverse_cuthill_mckee(graph, symmetric_mode=True)
    return np.argsort(shuffled)[ranks].astype(np.int64)


def _shared_texts(sources: Ints, count: int) -> Any:
    """The graph of ``count`` items that share a text, as a sparse matrix [item, item]."""
    from scipy.sparse import coo_array

    ends = np.concatenate([sources, sources[:, ::-1]]).T
    return coo_array((np.ones(ends.shape[1]), tuple(ends)), shape=(count, count)).tocsr()
