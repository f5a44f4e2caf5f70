"""MAD and geometric mean of many curves at once, and what noise does to a MAD."""

import numpy as np
import polars as pl
import pytest

from gradpipe.claims.contrasts import Quantity, Segment
from gradpipe.claims.measures import NOISE_BOUNDS, CurveQuantity
from gradpipe.claims.values import Array
from gradpipe.statistics.differences import mad

LEAST, LIKELY, MOST = range(3)


def values(curve: Array, items: int, noise: float, seed: int) -> Array:
    """[item, 1, layer]: a curve with normal noise."""
    draw = np.random.default_rng(seed)
    found: Array = curve + noise * draw.normal(size=(items, 1, len(curve)))
    return found


def of_mean(items: Array, segment: Segment = "all") -> Array:
    """NOISE_BOUNDS of the MAD of the items' mean curve."""
    found: Array = CurveQuantity(items, "mad", segment)(items.mean(0)[None])[0, :, 0]
    return found


@pytest.mark.parametrize("depth", [5, 26, 28, 32, 42])
@pytest.mark.parametrize("segment", ["all", "early", "mid", "last"])
def test_the_most_is_the_mad_as_tables_have_it(depth: int, segment: Segment) -> None:
    true = np.random.default_rng(depth).normal(size=depth)
    names = ("model", "benchmark", "family", "style", "relevance", "projection", "statistic")
    curve = pl.DataFrame({"mean": true, "layer": range(depth)}).with_columns(
        pl.lit("x").alias(name) for name in names
    )
    expected = mad(curve).filter(segment=segment)["mad"].item()
    found = of_mean(values(true, 3, 0.0, 0), segment)
    if expected is None:
        assert np.isnan(found).all()
    else:
        np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("name", ["relative_mad", "log_mad"])
@pytest.mark.parametrize("segment", ["all", "early", "mid", "last"])
def test_measures_apart_from_size_are_those_of_the_tables(name: Quantity, segment: Segment) -> None:
    true = np.random.default_rng(28).lognormal(size=28)
    labels = ("model", "benchmark", "family", "style", "relevance", "projection", "statistic")
    curve = pl.DataFrame({"mean": true, "layer": range(28)}).with_columns(
        pl.lit("x").alias(label) for label in labels
    )
    expected = mad(curve).filter(segment=segment)[name].item()
    for size in (1.0, 1e6):
        items = size * values(true, 3, 0.0, 0)
        found = CurveQuantity(items, name, segment)(items.mean(0)[None])[0, :, 0]
        np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("name", ["relative_mad", "log_mad"])
@pytest.mark.parametrize("true", [0.3, 1.0, 3.0])
def test_the_true_value_apart_from_size_lies_between_the_bounds_on_average(
    name: Quantity, true: float
) -> None:
    curve = 20 + true * (np.arange(40) % 2)
    expected = true / curve.mean() if name == "relative_mad" else np.log(curve[1] / curve[0])
    found = np.array(
        [
            CurveQuantity(items, name, "all")(items.mean(0)[None])[0, :, 0]
            for items in (values(curve, 32, 2.0, seed) for seed in range(400))
        ]
    )
    lower, likely, upper = found.mean(0)
    error = found.std(0) / np.sqrt(len(found))
    assert lower - 3 * error[LEAST] <= expected <= upper + 3 * error[MOST]
    assert lower < likely < upper


def test_a_measure_apart_from_size_is_undefined_below_zero() -> None:
    below, crossing = np.full((4, 1, 3), -1.0), np.array([[[-1.0, 2.0, 5.0]]] * 4)
    for items, name, defined in (
        (below, "relative_mad", False),
        (crossing, "relative_mad", True),
        (crossing, "log_mad", False),
    ):
        found = CurveQuantity(items, name, "all")(items.mean(0)[None])  # type: ignore[arg-type]
        assert np.isfinite(found).all() == defined


def test_layers_without_the_projection_are_passed_over() -> None:
    items = np.full((4, 2, 5), np.nan)
    items[:, 0] = [1.0, 2.0, 4.0, 8.0, 16.0]
    items[:, 1, ::2] = [1.0, 4.0, 16.0]
    for name, expected in (("mad", [15 / 4, 15 / 2]), ("mean", [4.0, 4.0])):
        found = CurveQuantity(items, name, "all")(items.mean(0)[None])  # type: ignore[arg-type]
        np.testing.assert_allclose(found[0, MOST], expected)


def test_the_mean_over_layers_is_geometric_and_tells_no_noise() -> None:
    items = values(np.array([1.0, 10.0, 100.0]), 5, 0.1, 0)
    found = CurveQuantity(items, "mean", "all")(items.mean(0)[None])[0, :, 0]
    assert found[LEAST] == found[LIKELY] == found[MOST]
    assert found[MOST] == pytest.approx(10, rel=0.1)
    assert np.isnan(CurveQuantity(-items, "mean", "all")(-items.mean(0)[None])).all()


@pytest.mark.parametrize("true", [0.0, 0.3, 1.0, 3.0])
def test_the_true_mad_lies_between_the_least_and_the_most_on_average(true: float) -> None:
    # Each layer up or down by `true`; a mean curve's differences have a standard error of 0.5.
    curve = true * (np.arange(40) % 2)
    samples = [values(curve, 32, 2.0, seed) for seed in range(400)]
    found = np.array([of_mean(sample) for sample in samples])
    least, likely, most = found.mean(0)
    error = found.std(0) / np.sqrt(len(found))
    assert least - 3 * error[LEAST] <= true <= most + 3 * error[MOST]
    assert least < likely < most
    if true == 0:
        assert abs(least) < 3 * error[LEAST] + 0.01
        assert most == pytest.approx(0.5 * np.sqrt(2 / np.pi), rel=0.03)


def test_without_noise_nothing_is_taken() -> None:
    found = of_mean(values(np.array([1.0, 1.0, 4.0]), 5, 0.0, 0))
    np.testing.assert_array_equal(found, 1.5)
    one = of_mean(values(np.array([1.0, 1.0, 4.0]), 1, 1.0, 0))
    assert one[LEAST] == one[MOST]


def test_the_estimates_have_these_names() -> None:
    assert NOISE_BOUNDS == ("lower", "likely", "upper")
