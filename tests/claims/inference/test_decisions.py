"""Intervals, p-values and Holm's correction: they agree with one another."""

from itertools import product
from math import inf, log

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t, ttest_1samp

from gradpipe.claims.inference.decisions import Decisions, decide, holm, interval_level

REGIONS = {
    "greater": (0.0, inf),
    "tenfold": (log(10), inf),
    "within": (-log(1.1), log(1.1)),
    "not_greater": (-inf, log(1.1)),
}


def decided(
    least: float, most: float, region: tuple[float, float], se: float = 0.1, free: float = 23
) -> Decisions:
    ends = [(np.array([end]), np.array([se])) for end in (least, most)]
    return decide(ends[0], ends[1], np.array([free]), region)


@given(
    st.floats(-3, 3),
    st.floats(0, 0.5),
    st.floats(0.001, 1),
    st.integers(7, 500),
    st.sampled_from(sorted(REGIONS)),
)
@settings(max_examples=300, deadline=None)
def test_p_is_below_five_per_cent_exactly_if_the_interval_decides(
    least: float, width: float, se: float, free: int, name: str
) -> None:
    start, end = REGIONS[name]
    most = least + width
    found = decided(least, most, REGIONS[name], se, free)
    low, high = found.low[0], found.high[0]
    assert (found.supported_p[0] < 0.05) == (low > start and high < end)
    reach = t.ppf(0.975, free) * se
    assert (found.contradicted_p[0] < 0.05) == (most + reach < start or least - reach > end)
    level = 0.9 if name in ("within", "not_greater") else 0.95
    assert interval_level(REGIONS[name]) == level
    assert high - low == pytest.approx(width + 2 * t.ppf((1 + level) / 2, free) * se)


def test_an_equivalence_is_tested_at_five_per_cent_as_by_two_t_tests() -> None:
    values = np.random.default_rng(5).normal(0.03, 0.15, 60)
    se = values.std(ddof=1) / np.sqrt(60)
    found = decided(values.mean(), values.mean(), REGIONS["within"], se, 59)
    margin = log(1.1)
    above = ttest_1samp(values, -margin, alternative="greater").pvalue
    below = ttest_1samp(values, margin, alternative="less").pvalue
    assert found.supported_p[0] == pytest.approx(max(above, below))
    single = decided(values.mean(), values.mean(), REGIONS["not_greater"], se, 59)
    assert single.supported_p[0] == pytest.approx(below)


@pytest.mark.parametrize(
    ("region", "effect", "supported", "contradicted"),
    [
        ("greater", 1.0, True, False),
        ("greater", 0.05, False, False),
        ("greater", -1.0, False, True),
        ("tenfold", 3.0, True, False),
        ("tenfold", 1.0, False, True),
        ("within", 1.0, False, True),
        ("within", -1.0, False, True),
        ("within", 0.0, False, False),
        ("not_greater", -1.0, True, False),
        ("not_greater", 0.1, False, False),
        ("not_greater", 1.0, False, True),
    ],
)
def test_a_claim_is_judged_by_where_its_effect_clearly_lies(
    region: str, effect: float, supported: bool, contradicted: bool
) -> None:
    found = decided(effect, effect, REGIONS[region])
    assert bool(found.supported_p[0] < 0.05) is supported
    assert bool(found.contradicted_p[0] < 0.05) is contradicted


def test_what_noise_leaves_open_widens_the_interval_and_weakens_both_ways() -> None:
    sharp, open_ = decided(0.3, 0.3, (0, inf)), decided(0.1, 0.5, (0, inf))
    assert open_.low[0] == pytest.approx(sharp.low[0] - 0.2)
    assert open_.high[0] == pytest.approx(sharp.high[0] + 0.2)
    assert open_.supported_p[0] > sharp.supported_p[0]
    assert decided(-inf, 0.5, (0, inf)).supported_p[0] == 1


def test_without_any_spread_a_side_is_certain_and_a_border_is_neither() -> None:
    for effect, p, against in ((0.5, 0.0, 1.0), (-0.5, 1.0, 0.0), (0.0, 1.0, 1.0)):
        found = decided(effect, effect, (0, inf), se=0.0)
        assert (found.supported_p[0], found.contradicted_p[0]) == (p, against)
    unknown = decided(0.5, 0.5, (0, inf), se=np.nan)
    assert np.isnan([unknown.low, unknown.high, unknown.supported_p, unknown.contradicted_p]).all()


def test_an_equivalence_needs_both_of_its_tests() -> None:
    middle = decided(0.0, 0.0, (-0.2, 0.2), se=0.05)
    side = decided(0.15, 0.15, (-0.2, 0.2), se=0.05)
    assert middle.supported_p[0] < 0.05 < side.supported_p[0]
    assert middle.contradicted_p[0] == side.contradicted_p[0] == 1


def by_hand(p: list[float | None]) -> list[float | None]:
    """Holm's step-down: the k-th smallest of n times n − k + 1, never below the one before."""
    given = sorted((value, place) for place, value in enumerate(p) if value is not None)
    found: list[float | None] = [None] * len(p)
    last = 0.0
    for rank, (value, place) in enumerate(given):
        last = max(last, min(1.0, value * (len(given) - rank)))
        found[place] = last
    return found


@given(st.lists(st.none() | st.floats(0, 1) | st.sampled_from([0.01, 0.02]), max_size=12))
@settings(max_examples=200, deadline=None)
def test_holms_correction_equals_the_one_by_hand(p: list[float | None]) -> None:
    found = pl.DataFrame({"p": p}, schema={"p": pl.Float64}).select(holm(pl.col("p")))["p"]
    for one, expected in zip(found.to_list(), by_hand(p), strict=True):
        assert one == (expected if expected is None else pytest.approx(expected))


def test_regions_are_open_intervals_that_do_not_overlap_with_what_contradicts_them() -> None:
    for effect, name in product(np.linspace(-3, 3, 25), REGIONS):
        found = decided(effect, effect, REGIONS[name])
        assert not (found.supported_p[0] < 0.05 and found.contradicted_p[0] < 0.05)
