"""Random effects over benchmarks and models."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import binom, t, ttest_1samp

from gradpipe.claims.contrasts import Claim, Term
from gradpipe.claims.inference.random_effects import MIN_GROUPS, random_effects
from gradpipe.claims.values import CellValues
from gradpipe.claims.verdicts import judge_claims

Make = Callable[..., CellValues]
Tabled = Callable[..., pl.DataFrame]

CURVE = 10 + np.random.default_rng(7).normal(size=6)
CLAIM = Claim(
    claim="c",
    group="c",
    title="",
    statement="",
    source="",
    terms=(Term(1, "none"), Term(-1, "detailed")),
)
EFFECTS = np.array([0.1, 0.5, 0.3, 0.9, 0.2, 0.65])
VARIANCES = np.array([0.01, 0.02, 0.04, 0.01, 0.03, 0.02])


def test_it_is_the_slow_estimate_of_paule_and_mandel_with_hartung_and_knapps_interval() -> None:
    def distance(tau2: float) -> float:
        weights = 1 / (VARIANCES + tau2)
        mean = np.average(EFFECTS, weights=weights)
        return float(abs((weights * (EFFECTS - mean) ** 2).sum() - 5))

    tau2 = minimize_scalar(distance, bounds=(0, 1), method="bounded", options={"xatol": 1e-12}).x
    weights = 1 / (VARIANCES + tau2)
    mean = np.average(EFFECTS, weights=weights)
    spread = (weights * (EFFECTS - mean) ** 2).sum() / (5 * weights.sum())
    found = random_effects(EFFECTS, VARIANCES)
    assert found.tau == pytest.approx(np.sqrt(tau2), rel=1e-4)
    assert found.effect == pytest.approx(mean, rel=1e-4)
    assert found.high - mean == pytest.approx(t.ppf(0.975, 5) * np.sqrt(spread), rel=1e-4)


def test_with_equal_errors_it_is_the_t_test_of_the_effects() -> None:
    found = random_effects(EFFECTS, np.full(6, 0.001))
    interval = ttest_1samp(EFFECTS, 0).confidence_interval()
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    total = EFFECTS.var(ddof=1)
    assert (found.tau**2, found.i2) == pytest.approx((total - 0.001, 1 - 0.001 / total))


def test_equal_effects_have_no_spread_and_the_interval_of_their_errors() -> None:
    found = random_effects(np.full(5, 0.3), np.full(5, 0.05))
    assert (found.tau, found.i2) == (0, 0)
    assert found.high - 0.3 == pytest.approx(t.ppf(0.975, 4) * np.sqrt(0.05 / 5))
    certain = random_effects(np.full(5, 0.3), np.zeros(5))
    assert certain.high == pytest.approx(0.3)


@pytest.mark.parametrize("tau", [0.0, 0.2])
@pytest.mark.parametrize("shared", [0.0, 0.15])
def test_the_interval_covers_the_mean_of_the_population_where_errors_are_shared(
    tau: float, shared: float
) -> None:
    draw, tries, k = np.random.default_rng(3), 500, 6
    errors = np.array([0.05, 0.1, 0.2, 0.1, 0.3, 0.15])
    covered = 0
    for _ in range(tries):
        values = (
            0.4 + tau * draw.normal(size=k) + shared * draw.normal() + errors * draw.normal(size=k)
        )
        found = random_effects(values, errors**2 + shared**2, shared**2)
        covered += found.low <= 0.4 <= found.high
    assert covered >= binom.ppf(0.001, tries, 0.95)


def test_a_table_has_rows_over_five_benchmarks_and_five_models_only(
    cell: Make, table_of: Tabled
) -> None:
    def judged(benchmarks: int, models: int) -> pl.DataFrame:
        tables = [
            table_of(
                cell(
                    [b, m],
                    20,
                    {("none", "correct"): (1.5 + 0.3 * b) * CURVE, ("detailed", "correct"): CURVE},
                    benchmark=f"b{b}",
                    model=f"m{m}",
                    spread=0.1,
                )
            )
            for b in range(benchmarks)
            for m in range(models)
        ]
        return judge_claims(tables, [CLAIM], resamples=200).random_effects

    few = MIN_GROUPS - 1
    assert judged(few, few).is_empty()
    both = judged(MIN_GROUPS, MIN_GROUPS)
    assert both.select("over", "k").rows() == [("benchmark", 5), ("model", 5)]
    benchmark, model = both.to_dicts()
    # The planted ratios of benchmarks are 1.5 to 2.7, those of models are equal.
    true = np.log(1.5 + 0.3 * np.arange(5))
    assert benchmark["effect"] == pytest.approx(np.exp(true.mean()), rel=0.05)
    assert benchmark["tau"] == pytest.approx(true.std(ddof=1), rel=0.15)
    assert benchmark["i2"] > 0.9 > model["i2"]
    assert model["high"] / model["low"] < benchmark["high"] / benchmark["low"]
