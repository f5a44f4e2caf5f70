"""Made-up statistics of a few examples, with missing values, and made-up curves."""

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl
import pytest

DEPTHS = {"small": 5, "deep": 28}
NAMES = ("nuclear_norm", "stable_rank")


@pytest.fixture(scope="session")
def statistics() -> pl.DataFrame:
    """Two models of different depth; some values null, NaN or infinite, one example all null."""
    draw = np.random.default_rng(7)
    rows = []
    for model, depth in DEPTHS.items():
        for benchmark, family, style in (
            ("a", "math", "none"),
            ("a", "math", "detailed"),
            ("b", "knowledge", "article"),
        ):
            for relevance in ("correct", "irrelevant"):
                for item in range(4 if benchmark == "a" else 1):
                    for projection in "qo":
                        for layer in range(depth):
                            values = draw.lognormal(size=2).tolist()
                            for place in range(2):
                                if draw.random() < 0.01 or (item == 3 and place == 1):
                                    values[place] = draw.choice([None, np.nan, np.inf, -np.inf])
                            rows.append(
                                (
                                    model,
                                    benchmark,
                                    family,
                                    style,
                                    relevance,
                                    f"item{item}",
                                    projection,
                                    layer,
                                    *values,
                                )
                            )
    columns = [
        "model",
        "benchmark",
        "family",
        "style",
        "relevance",
        "item_id",
        "projection",
        "layer",
    ]
    frame = pl.DataFrame(rows, schema=[*columns, *NAMES], orient="row", infer_schema_length=None)
    return frame.sample(fraction=1.0, shuffle=True, seed=3)


@pytest.fixture
def curve() -> Callable[..., pl.DataFrame]:
    """A curve by its values: one row per layer, as ``curves()`` returns it."""

    def build(
        values: Sequence[float | None], layers: Sequence[int] | None = None, **of: str
    ) -> pl.DataFrame:
        names = {
            "model": "m",
            "benchmark": "b",
            "family": "math",
            "style": "none",
            "relevance": "correct",
            "projection": "q",
            "statistic": "nuclear_norm",
        } | of
        frame = pl.DataFrame(
            {"layer": list(layers or range(len(values))), "mean": list(values)},
            schema={"layer": pl.Int64, "mean": pl.Float64},
        )
        literals = [pl.lit(value).alias(name) for name, value in names.items()]
        return frame.select(
            *literals,
            "layer",
            "mean",
            pl.lit(None, pl.Float64).alias("sd"),
            pl.lit(1, pl.Int64).alias("examples"),
        )

    return build
