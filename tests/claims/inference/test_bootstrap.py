"""The bootstrap agrees with resampling rows, and is right in edge cases."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from gradpipe.claims.inference.bootstrap import (
    EffectEstimate,
    bootstrap,
    degrees_of_freedom,
    derive_seed,
    replicates,
    standard_error,
)
from gradpipe.claims.measures import NOISE_BOUNDS, CurveQuantity
from gradpipe.claims.values import Array, CellValues, cell_values, mean_curves
from gradpipe.statistics.curves import curves
from gradpipe.statistics.differences import mad

SAMPLE = np.random.default_rng(1).normal(1.0, 2.0, size=(40, 3))


def mean_of(sample: Array) -> Callable[[Array], Array]:
    return lambda counts: counts @ sample / counts.sum(1, keepdims=True)


def test_resampled_mads_equal_those_of_resampled_rows(
    cell: Callable[..., CellValues], table_of: Callable[..., pl.DataFrame]
) -> None:
    draw = np.random.default_rng(8)
    true = {("none", "correct"): draw.normal(5, 1, 9), ("none", "irrelevant"): np.arange(9.0)}
    table = table_of(cell(2, 6, true)).with_columns(
        # One example with a hole, which leaves it out of its whole curve.
        pl.when(
            (pl.col("item_id") == "item0003")
            & (pl.col("relevance") == "correct")
            & (pl.col("projection") == "v")
            & (pl.col("layer") == 4)
        )
        .then(None)
        .otherwise("nuclear_norm")
        .alias("nuclear_norm")
    )
    values = cell_values(table, "nuclear_norm")
    drawn: list[Array] = []

    def fast(counts: Array) -> Array:
        drawn.append(counts)
        means = mean_curves(values.values, counts)
        per_curve = [
            CurveQuantity(values.values[:, curve], "mad", segment)(means[:, curve])
            for curve in range(len(values.curves))
            for segment in ("all", "early", "mid", "last")
        ]
        return np.concatenate([m[:, NOISE_BOUNDS.index("upper")] for m in per_curve], axis=1)

    found = replicates(fast, 6, seed=4, resamples=20)
    counts = np.concatenate(drawn[1:])
    assert len(counts) == len(found.resampled) == 20
    for times, resampled in zip(counts, found.resampled, strict=True):
        copies = [
            table.filter(pl.col("item_id") == item).with_columns(item_id=pl.lit(f"{item}, {copy}"))
            for item, often in zip(values.items, times, strict=True)
            for copy in range(int(often))
        ]
        slow = mad(curves(pl.concat(copies).lazy(), ["nuclear_norm"]))
        segment = pl.col("segment").cast(pl.Enum(["all", "early", "mid", "last"]))
        expected = slow.sort("relevance", segment, "projection")["mad"].to_numpy()
        np.testing.assert_allclose(resampled, expected, rtol=1e-12)


def test_the_standard_error_of_a_mean_is_the_textbooks() -> None:
    found = bootstrap(mean_of(SAMPLE), 40, seed=3, resamples=20_000)
    expected = SAMPLE.std(0, ddof=1) / np.sqrt(40)
    np.testing.assert_allclose(found.se, expected, rtol=0.02)
    np.testing.assert_allclose(found.effect, SAMPLE.mean(0), atol=0.03 * expected.max())


def test_an_interval_excludes_zero_exactly_where_p_is_below_its_level() -> None:
    for shift in np.linspace(-2, 2, 41):
        found = bootstrap(mean_of(SAMPLE - SAMPLE.mean(0) + shift), 40, seed=3, resamples=200)
        excluded = (found.low > 0) | (found.high < 0)
        np.testing.assert_array_equal(excluded, found.p < 0.05)


def test_the_same_seed_gives_the_same_numbers() -> None:
    def run(seed: int) -> EffectEstimate:
        return bootstrap(mean_of(SAMPLE), 40, seed, resamples=100)

    np.testing.assert_array_equal(run(3).low, run(3).low)
    assert (run(3).low != run(4).low).all()


def test_seeds_differ_by_name_and_stay_the_same_for_ever() -> None:
    assert derive_seed(0, "items", "gsm8k") == 0xB0097C7D5E72268A
    names = [(0, "a", "b"), (1, "a", "b"), (0, "ab"), (0, "b", "a")]
    assert len({derive_seed(seed, *rest) for seed, *rest in names}) == 4


def test_without_any_spread_an_effect_is_certain() -> None:
    sample = np.tile([0.0, 2.0], (10, 1))
    found = bootstrap(mean_of(sample), 10, seed=0, resamples=50)
    np.testing.assert_array_equal(found.se, 0)
    np.testing.assert_array_equal(found.low, [0, 2])
    np.testing.assert_array_equal(found.high, [0, 2])
    np.testing.assert_array_equal(found.p, [1, 0])


def test_one_item_has_an_effect_and_no_error() -> None:
    found = bootstrap(mean_of(SAMPLE[:1]), 1, seed=0, resamples=50)
    np.testing.assert_array_equal(found.effect, SAMPLE[0])
    for unknown in (found.low, found.high, found.se, found.p):
        assert np.isnan(unknown).all()


def test_resamples_without_a_value_are_left_out_of_the_error() -> None:
    resampled = np.array([[1.0, 1.0], [np.nan, 2.0], [3.0, 3.0]])
    found = standard_error(resampled, 2)
    np.testing.assert_allclose(found, np.sqrt(2) * np.array([np.sqrt(2), 1.0]))
    assert np.isnan(standard_error(resampled, 1)).all()
    assert np.isnan(standard_error(np.full((3, 1), np.nan), 5)).all()


@pytest.mark.parametrize("items", [5, 501])
def test_every_resample_draws_as_many_items_as_there_are(items: int) -> None:
    drawn: list[Array] = []

    def keep(counts: Array) -> Array:
        drawn.append(counts)
        return counts[:, :1]

    replicates(keep, items, seed=0, resamples=30)
    np.testing.assert_array_equal(drawn[0], 1)
    assert {len(counts[0]) for counts in drawn} == {items}
    assert (np.concatenate(drawn).sum(1) == items).all()


def test_half_as_many_degrees_of_freedom_as_normal_items_would_have() -> None:
    np.testing.assert_array_equal(degrees_of_freedom(np.array([1, 2, 9, 101])), [0.5, 0.5, 4, 50])
