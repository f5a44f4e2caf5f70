"""Cosines of mean gradients: a planted truth under noise, and what is compared."""

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from gradpipe.statistics.sets.cosines import SET_COSINE_SCHEMA, set_cosines
from gradpipe.statistics.sets.example_sets import example_sets

Array = NDArray[np.float64]
WIDTH = 48
FIRST = np.eye(WIDTH)[0] * 2.0
#: At a cosine of 0.6 with FIRST.
SECOND = np.eye(WIDTH)[0] * 0.6 + np.eye(WIDTH)[1] * 0.8


def sets_of(
    gradients: dict[tuple[str, str], Array], model: str = "m", relevance: str = "correct"
) -> pl.DataFrame:
    """The sets of gradients [items, WIDTH] by benchmark and style: one layer, one projection."""
    examples, sketches = [], []
    for (benchmark, style), values in gradients.items():
        norms = np.linalg.norm(values, axis=1)
        keys = [f"{benchmark}-{style}-{item}" for item in range(len(values))]
        places = pl.Series("index", range(len(values)), dtype=pl.Int64)
        examples.append(
            pl.DataFrame({"key": keys, "index": places}).with_columns(
                item_id=pl.format("{}", "index"),
                benchmark=pl.lit(benchmark),
                family=pl.lit("math"),
                style=pl.lit(style),
                relevance=pl.lit(relevance),
            )
        )
        sketches.append(
            pl.DataFrame(
                {
                    "key": keys,
                    "layer": 0,
                    "projection": "q",
                    "frobenius_norm": norms,
                    "sketch": (values / norms[:, None]).tolist(),
                },
                schema_overrides={"sketch": pl.List(pl.Float32)},
            )
        )
    return example_sets(pl.concat(examples), pl.concat(sketches), model)


def noisy(mean: Array, items: int, seed: int, shared: Array | float = 0.0) -> Array:
    noise: Array = 0.5 * np.random.default_rng(seed).normal(size=(items, WIDTH))
    return mean + noise + shared


def test_a_planted_cosine_is_recovered_under_noise_that_the_items_share() -> None:
    sets = []
    for number in range(30):
        shared = noisy(np.zeros(WIDTH), 40, seed=1000 + number)
        sets.append(
            sets_of(
                {
                    ("b", "none"): noisy(FIRST, 40, number, shared),
                    ("b", "detailed"): noisy(SECOND, 40, 500 + number, shared),
                },
                model=f"m{number}",
            )
        )
    found = set_cosines(pl.concat(sets)).filter(projection="q")
    assert found.height == 30
    assert found["cosine"].mean() == pytest.approx(0.6, abs=0.03)
    held = pl.lit(0.6).is_between(pl.col("cosine_low"), pl.col("cosine_high"))
    assert 0.83 <= found.select(held.mean()).item() <= 1
    doubled = pl.lit(2.0).is_between(pl.col("norm_ratio_low"), pl.col("norm_ratio_high"))
    assert 0.83 <= found.select(doubled.mean()).item() <= 1
    # The plain cosine of the same means misses by more than three times as much.
    assert abs(found["plain_cosine"].mean() - 0.6) > 3 * abs(found["cosine"].mean() - 0.6)


def test_inner_products_leave_out_pairs_of_one_block() -> None:
    """Without noise between blocks the sums of pairs are known exactly."""
    one, other = noisy(FIRST, 12, seed=1), noisy(SECOND, 12, seed=2)
    found = set_cosines(sets_of({("b", "none"): one, ("b", "detailed"): other}))
    block = np.arange(12) % 10
    apart = block[:, None] != block

    def mean(left: Array, right: Array) -> float:
        return float((left @ right.T)[apart].mean())

    expected = mean(one, other) / np.sqrt(mean(one, one) * mean(other, other))
    row = found.filter(projection="q").row(0, named=True)
    assert row["cosine"] == pytest.approx(expected, rel=1e-5)
    assert row["norm_ratio"] == pytest.approx(
        np.sqrt(mean(one, one) / mean(other, other)), rel=1e-5
    )
    plain = (
        one.mean(0) @ other.mean(0) / np.linalg.norm(one.mean(0)) / np.linalg.norm(other.mean(0))
    )
    assert row["plain_cosine"] == pytest.approx(plain, rel=1e-5)


def test_styles_of_a_benchmark_and_benchmarks_in_a_style_are_compared() -> None:
    values = noisy(FIRST, 20, seed=3)
    gradients = {(b, s): values for b in ("x", "y") for s in ("detailed", "none")}
    found = set_cosines(sets_of(gradients)).filter(projection="all")
    keys = ("kind", "benchmark", "style", "against_benchmark", "against_style")
    assert sorted(found.select(keys).rows()) == [
        ("benchmarks", "x", "detailed", "y", "detailed"),
        ("benchmarks", "x", "none", "y", "none"),
        ("styles", "x", "none", "x", "detailed"),
        ("styles", "y", "none", "y", "detailed"),
    ]
    assert found["cosine"].to_list() == pytest.approx([1.0] * 4)
    assert found["norm_ratio"].to_list() == pytest.approx([1.0] * 4)


def test_means_that_are_noise_have_no_cosine() -> None:
    nothing = np.zeros(WIDTH)
    gradients = {("b", "none"): noisy(nothing, 30, 5), ("b", "detailed"): noisy(FIRST, 30, 6)}
    row = set_cosines(sets_of(gradients)).row(0, named=True)
    assert row["cosine"] is None
    assert row["norm_ratio_high"] is None
    assert row["plain_cosine"] is not None
    few = {key: values[:3] for key, values in gradients.items()}
    assert set_cosines(sets_of(few))["cosine"].null_count() == 2


def test_one_set_alone_is_compared_with_nothing() -> None:
    alone = sets_of({("b", "none"): noisy(FIRST, 20, seed=3)})
    for sets in (alone, alone.clear()):
        assert set_cosines(sets).is_empty()
        assert set_cosines(sets).schema == SET_COSINE_SCHEMA
