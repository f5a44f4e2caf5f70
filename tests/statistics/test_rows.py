"""What was run: usable and unusable examples, counted and named."""

import polars as pl
import pytest

from gradpipe.statistics.rows import EXAMPLE_KIND, count_rows, unusable_rows

COLUMNS = [
    "index",
    "example_id",
    "style",
    "relevance",
    "tokens",
    "response_tokens",
    "truncated",
    "loss",
    "reason",
]


@pytest.fixture
def examples() -> pl.DataFrame:
    rows = [
        (0, "e0", "none", "correct", 10, 4, False, 1.0, None),
        (1, "e1", "none", "correct", 20, 6, True, 3.0, None),
        (2, "e2", "none", "correct", 90, 0, True, None, "response cut away"),
        (2, "e3", "none", "irrelevant", 50, 9, False, float("nan"), "loss not finite"),
        (1, "e4", "detailed", "correct", 30, 3, False, 2.0, None),
        (1, "e4", "detailed", "correct", 30, 3, False, 2.0, None),
        (0, "e5", "none", "irrelevant", 50, 9, False, float("inf"), "loss not finite"),
    ]
    frame = pl.DataFrame(rows, schema=COLUMNS, orient="row", infer_schema_length=None)
    of = {"model": "m", "benchmark": "b", "family": "math"}
    return frame.with_columns(pl.lit(value).alias(name) for name, value in of.items())


def test_usable_and_unusable_examples_are_counted_apart(examples: pl.DataFrame) -> None:
    found = count_rows(examples)
    assert found.columns == [
        *EXAMPLE_KIND,
        "examples",
        "unusable",
        "truncated",
        "mean_tokens",
        "mean_response_tokens",
        "mean_loss",
    ]
    assert found.select("style", "relevance", "examples", "unusable", "truncated").rows() == [
        ("detailed", "correct", 2, 0, 0),
        ("none", "correct", 2, 1, 2),
        ("none", "irrelevant", 0, 2, 0),
    ]
    assert found["examples"].sum() + found["unusable"].sum() == examples.height


def test_means_are_over_the_usable_examples_only(examples: pl.DataFrame) -> None:
    found = count_rows(examples).select("mean_tokens", "mean_response_tokens", "mean_loss")
    assert found.rows() == [(30.0, 3.0, 2.0), (15.0, 5.0, 2.0), (None, None, None)]


def test_models_and_benchmarks_are_counted_apart(examples: pl.DataFrame) -> None:
    other = examples.with_columns(model=pl.lit("other"))
    third = examples.with_columns(benchmark=pl.lit("c"), family=pl.lit("knowledge"))
    found = count_rows(pl.concat([examples, other, third]))
    assert found.height == 3 * count_rows(examples).height
    assert found.equals(found.sort(EXAMPLE_KIND))


def test_no_examples_make_an_empty_count(examples: pl.DataFrame) -> None:
    assert count_rows(examples.clear()).height == 0
    assert unusable_rows(examples.clear()).height == 0


def test_every_unusable_example_is_named_with_its_reason(examples: pl.DataFrame) -> None:
    found = unusable_rows(examples)
    assert found.columns == [
        "model",
        "benchmark",
        "index",
        "style",
        "relevance",
        "example_id",
        "reason",
    ]
    assert found.select("index", "example_id", "reason").rows() == [
        (0, "e5", "loss not finite"),
        (2, "e2", "response cut away"),
        (2, "e3", "loss not finite"),
    ]
