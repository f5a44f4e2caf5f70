"""Diversity and consensus against their definitions, planted truths and closed forms."""

from itertools import combinations, permutations
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gradpipe.errors import DataError
from gradpipe.statistics.sets.consensus import consensus
from gradpipe.statistics.sets.diversity import diversity_by_size, matched_sizes, vendi_score

Array = NDArray[np.float64]


def by_definition(vectors: Array) -> float:
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    values = np.linalg.svd(unit, compute_uv=False) ** 2 / len(unit)
    return float(np.exp(-sum(value * np.log(value) for value in values if value > 1e-14)))


def cosines_of(vectors: Array) -> Array:
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines: Array = unit @ unit.T
    return cosines


def of_size(cosines: Array, size: int, halves: Array | None = None) -> dict[str, Any]:
    return next(row for row in diversity_by_size(cosines, halves) if row["size"] == size)


def clustered(items: int, seed: int, clusters: int = 5) -> Array:
    """Examples around a few directions, which are the same for every seed."""
    draw = np.random.default_rng(seed)
    centers = np.random.default_rng(99).normal(size=(clusters, 40))
    noise: Array = 4 * draw.normal(size=(items, 40)) / np.sqrt(40)
    return centers[draw.integers(clusters, size=items)] + noise


@pytest.mark.parametrize("shape", [(6, 30), (30, 6), (1, 4)])
def test_the_score_is_that_of_the_definition(shape: tuple[int, int]) -> None:
    vectors = np.random.default_rng(1).normal(size=shape)
    assert vendi_score(vectors) == pytest.approx(by_definition(vectors), rel=1e-9)
    scaled = vectors * np.logspace(-30, 30, shape[0])[:, None]
    zeros = np.zeros((2, shape[1]))
    assert vendi_score(np.vstack([zeros, scaled])) == pytest.approx(by_definition(vectors), 1e-9)


def test_equal_directions_count_once_and_orthogonal_ones_all() -> None:
    one = np.random.default_rng(2).normal(size=9)
    assert vendi_score(np.outer([1.0, 2.0, 3.0], one)) == pytest.approx(1, abs=1e-9)
    assert vendi_score(np.eye(7)) == pytest.approx(7, abs=1e-9)


@pytest.mark.parametrize("vectors", [[1.0, 2.0], [[0.0, 0.0]], [[np.nan, 1.0]], [[]]])
def test_what_has_no_directions_is_refused(vectors: Any) -> None:
    with pytest.raises(DataError, match="one row of numbers per example"):
        vendi_score(vectors)


def test_sizes_are_powers_of_two_below_the_number_of_examples() -> None:
    assert matched_sizes(4) == []
    assert matched_sizes(16) == [4, 8]
    assert matched_sizes(500) == [4, 8, 16, 32, 64, 128, 256]


def test_a_size_is_the_mean_over_all_subsets_with_the_error_of_the_jackknife() -> None:
    cosines = cosines_of(clustered(10, seed=3))
    every = [
        np.log(by_definition(np.linalg.cholesky(cosines[np.ix_(s, s)])))
        for s in combinations(range(10), 4)
    ]
    found = of_size(cosines, 4)
    error = np.sqrt(4 / 6 * np.var(every))
    assert found["error"] == pytest.approx(error, rel=0.3)
    assert found["ln_diversity"] == pytest.approx(np.mean(every), abs=3 * np.std(every) / 32**0.5)


def test_the_whole_set_has_the_score_and_no_error() -> None:
    vectors = clustered(10, seed=4)
    whole = of_size(cosines_of(vectors), 10)
    assert np.exp(whole["ln_diversity"]) == pytest.approx(vendi_score(vectors))
    assert whole["error"] is None


def test_sets_of_unequal_size_are_equally_diverse_at_one_size() -> None:
    small, large = (cosines_of(clustered(items, seed=5)) for items in (20, 300))
    one, other = of_size(small, 16), of_size(large, 16)
    assert abs(one["ln_diversity"] - other["ln_diversity"]) < 3 * one["error"]
    assert vendi_score(np.linalg.cholesky(large + 1e-9 * np.eye(300))) > 1.3 * np.exp(
        of_size(small, 20)["ln_diversity"]
    )


@pytest.mark.slow
@pytest.mark.parametrize(("items", "size"), [(17, 16), (24, 8), (24, 16), (100, 32), (100, 64)])
def test_the_interval_holds_the_mean_over_new_samples(items: int, size: int) -> None:
    truth = np.mean([np.log(vendi_score(clustered(size, seed=s))) for s in range(1000, 2500)])
    found = [of_size(cosines_of(clustered(items, seed=s)), size) for s in range(200)]
    held = [abs(f["ln_diversity"] - truth) < 2.05 * f["error"] for f in found]
    assert np.mean(held) >= 0.9


def sketched(vectors: Array, values: int, seed: int) -> Array:
    """The cosines by each half of random projections, and by the whole ones."""
    maps = np.random.default_rng(seed).normal(size=(vectors.shape[1], values))
    sketches = vectors @ maps
    return np.stack([cosines_of(part) for part in (*np.hsplit(sketches, 2), sketches)])


def test_the_bias_of_sketches_is_corrected() -> None:
    """Of unrelated gradients, whose n · exp(−n / 2m) is known, and of related ones."""
    for vectors in (np.eye(64), clustered(64, seed=6, clusters=30) + 0.3):
        *halves, cosines = sketched(vectors, 128, seed=7)
        exact, found = np.log(vendi_score(vectors)), of_size(cosines, 64, np.stack(halves))
        plain = found["ln_diversity"] + found["sketch_bias"]
        assert plain < exact
        assert abs(found["ln_diversity"] - exact) < 0.25 * (exact - plain) + 0.01
    *halves, cosines = sketched(np.eye(64), 128, seed=7)
    found = of_size(cosines, 64, np.stack(halves))
    assert found["sketch_bias"] == pytest.approx(-64 / (2 * 128), rel=0.1)


def test_no_correction_leaves_the_possible_range() -> None:
    """Halves that disagree by chance say more or less than any set can have."""
    related, unrelated = with_common_direction(8, 0.999), np.eye(8)
    below = of_size(related, 8, np.stack([unrelated, unrelated]))
    above = of_size(unrelated, 8, np.stack([related, related]))
    assert below["ln_diversity"] == pytest.approx(0, abs=1e-12)
    assert above["ln_diversity"] == pytest.approx(np.log(8))


def with_common_direction(items: int, share: float) -> Array:
    """Cosines of ĝᵢ = √share · u + √(1 − share) · eᵢ, with orthogonal eᵢ."""
    cosines: Array = np.full((items, items), share)
    np.fill_diagonal(cosines, 1)
    return cosines


def test_principal_directions_hold_the_planted_share_of_examples_outside() -> None:
    share, items = 0.3, 80
    cosines = with_common_direction(items, share)
    for size in (8, 32):
        found = of_size(cosines, size)
        planted = size * share**2 / (size * share + 1 - share)
        assert found["top1_share"] == pytest.approx(planted)
        assert found["top4_share"] == pytest.approx(planted)
    assert of_size(cosines, 8)["top16_share"] is None
    assert of_size(cosines, 64)["top1_share"] is None


def test_shares_outside_are_those_of_a_projection() -> None:
    draw = np.random.default_rng(8)
    vectors = draw.normal(size=(40, 3)) @ draw.normal(size=(3, 50))
    found = of_size(cosines_of(vectors), 16)
    assert found["top4_share"] == pytest.approx(1)
    assert found["top1_share"] < 0.95


def consensus_by_loops(cosines: Array) -> tuple[float, float]:
    n = range(len(cosines))
    pairs = [cosines[i, j] for i, j in permutations(n, 2)]
    triples = [cosines[i, j] * cosines[i, k] for i, j, k in permutations(n, 3)]
    return float(np.mean(pairs)), float(np.mean(triples) / np.mean(pairs))


def test_consensus_is_that_of_loops_over_pairs_and_triples() -> None:
    cosines = cosines_of(clustered(7, seed=9) + 1)
    found = consensus(cosines)
    assert (found.mean_cosine, found.mean_share) == pytest.approx(consensus_by_loops(cosines))
    without = np.array(
        [consensus_by_loops(np.delete(np.delete(cosines, i, 0), i, 1)) for i in range(7)]
    )
    errors = np.sqrt(6 / 7 * ((without - without.mean(0)) ** 2).sum(0))
    assert (found.mean_cosine_error, found.mean_share_error) == pytest.approx(tuple(errors))


def test_consensus_is_free_of_the_noise_of_the_mean() -> None:
    found = consensus(with_common_direction(6, 0.04))
    assert (found.mean_cosine, found.mean_share) == pytest.approx((0.04, 0.04))
    assert np.isnan(consensus(np.eye(3))).all()
    assert np.isnan(consensus(np.eye(8)).mean_share)
