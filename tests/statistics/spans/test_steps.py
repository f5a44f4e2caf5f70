"""Trends along steps are those of an ordinary regression with an intercept per response."""

import numpy as np
import polars as pl
import pytest
from scipy import stats

from gradpipe.statistics.spans.steps import STEP_TREND_SCHEMA, step_trends


def table(values: list[list[float]], tokens: list[list[int]]) -> pl.DataFrame:
    rows = [
        {
            "model": "m", "benchmark": "b", "style": "detailed", "relevance": "correct",
            "item_id": f"i{item:02}", "span": f"step_{number + 1}", "layer": 0, "projection": "q",
            "response_tokens": length, "loss": 1.0, "nuclear_norm": value,
        }
        for item, (own, lengths) in enumerate(zip(values, tokens, strict=True))
        for number, (value, length) in enumerate(zip(own, lengths, strict=True))
    ]  # fmt: skip
    return pl.DataFrame(rows)


def made_up(items: int, slope: float, seed: int = 0) -> tuple[list[list[float]], list[list[int]]]:
    """Steps whose log value falls by half their log length and rises by ``slope`` in all."""
    generator = np.random.default_rng(seed)
    values, tokens = [], []
    for _ in range(items):
        steps = int(generator.integers(3, 8))
        lengths = generator.integers(5, 50, steps)
        y = slope * np.linspace(0, 1, steps) - 0.5 * np.log(lengths)
        y += generator.normal(0, 1) + generator.normal(0, 0.2, steps)
        values.append(np.exp(y).tolist())
        tokens.append(lengths.tolist())
    return values, tokens


def dummies_twin(
    values: list[list[float]], tokens: list[list[int]], length: bool
) -> tuple[float, float, float]:
    """exp(slope) and its interval by least squares with a dummy per response; clusters by loops."""
    rows, y, item_of = [], [], []
    for item, (own, lengths) in enumerate(zip(values, tokens, strict=True)):
        for number, value in enumerate(own):
            dummies = [float(item == other) for other in range(len(values))]
            controls = [np.log(lengths[number])] if length else []
            rows.append([number / (len(own) - 1), *controls, *dummies])
            y.append(np.log(value))
            item_of.append(item)
    x, observed = np.array(rows), np.array(y)
    coefficients, *_ = np.linalg.lstsq(x, observed, rcond=None)
    residuals = observed - x @ coefficients
    meat = np.zeros((x.shape[1], x.shape[1]))
    for item in range(len(values)):
        score = x[np.array(item_of) == item].T @ residuals[np.array(item_of) == item]
        meat += np.outer(score, score)
    bread = np.linalg.inv(x.T @ x)
    variance = (bread @ meat @ bread)[0, 0] * len(values) / (len(values) - 1)
    reach = stats.t.ppf(0.975, len(values) - 1) * np.sqrt(variance)
    low, high = coefficients[0] - reach, coefficients[0] + reach
    return float(np.exp(coefficients[0])), float(np.exp(low)), float(np.exp(high))


def test_a_trend_is_the_regression_with_an_intercept_per_response() -> None:
    values, tokens = made_up(9, 0.7)
    found = step_trends(table(values, tokens))
    assert found.schema == STEP_TREND_SCHEMA
    for control in ("none", "length"):
        row = found.filter(projection="q", control=control, statistic="nuclear_norm")
        ends = row.select("ratio", "low", "high").row(0)
        assert ends == pytest.approx(dummies_twin(values, tokens, control == "length"), rel=1e-8)
        assert row["items"].item() == 9
        assert row["steps"].item() == pytest.approx(np.mean([len(own) for own in values]))


def test_intervals_hold_the_planted_trend() -> None:
    inside = 0
    for seed in range(60):
        row = step_trends(table(*made_up(20, 0.3, seed))).filter(projection="q", control="length")
        low, high = row.select("low", "high").row(0)
        inside += low <= np.exp(0.3) <= high
    # 95 % of 60 are 57, give or take 2.
    assert 52 <= inside <= 60


def test_the_curve_is_relative_to_the_responses_own_mean() -> None:
    found = step_trends(table([[1.0, 2.0, 4.0], [10.0, 20.0, 40.0]], [[5, 5, 5], [5, 5, 5]]))
    row = found.row(
        by_predicate=(pl.col("projection") == "q") & (pl.col("control") == "none"), named=True
    )
    fifths = [row[f"fifth_{number}"] for number in range(1, 6)]
    assert fifths == [pytest.approx(0.5), None, pytest.approx(1.0), None, pytest.approx(2.0)]
    assert row["ratio"] == pytest.approx(4.0)
    # Steps of equal lengths say nothing about length.
    assert found.filter(projection="q", control="length")["ratio"].to_list() == [None]


def test_responses_of_few_steps_have_no_trend() -> None:
    assert step_trends(table([[1.0, 2.0]], [[5, 6]])).is_empty()
