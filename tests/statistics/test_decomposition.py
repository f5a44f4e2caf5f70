"""The factors of a ratio of norms against scipy, and against gradients made to have them."""

import math

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from scipy import stats

from gradpipe.statistics.decomposition import (
    DECOMPOSITION_SCHEMA,
    FACTORS,
    STYLE_PAIRS,
    token_decomposition,
)
from gradpipe.statistics.reductions import TOKEN_STATISTICS
from gradpipe.styles import STYLES

LAYERS, ITEMS = 3, 8


def statistics(styles: tuple[str, ...] = ("none", "detailed", "simplified")) -> pl.DataFrame:
    """Random statistics of tokens for two projections, correct and irrelevant."""
    grid = pl.DataFrame({"item_id": [f"item{n}" for n in range(ITEMS)]})
    for name, values in {
        "style": styles,
        "relevance": ("correct", "irrelevant"),
        "projection": ("q", "v"),
        "layer": range(LAYERS),
    }.items():
        grid = grid.join(pl.DataFrame({name: list(values)}), how="cross")
    draw = np.random.default_rng(4)
    return grid.with_columns(
        model=pl.lit("m"),
        benchmark=pl.lit("b"),
        family=pl.lit("math"),
        token_gradient_norm=draw.lognormal(size=grid.height),
        token_alignment=draw.uniform(0.1, 1, grid.height),
        effective_tokens=draw.uniform(1, 50, grid.height),
    )


def log_factors(table: pl.DataFrame) -> dict[str, np.ndarray]:
    """Each factor by its definition, per row."""
    norms, alignment, tokens = (table[name].to_numpy() for name in TOKEN_STATISTICS)
    whole, energy = norms * alignment, norms**2 / tokens
    return {
        "norm": np.log(whole),
        "size": np.log(norms),
        "alignment": np.log(whole / norms),
        "spread": np.log(np.sqrt(energy) / norms),
        "coherence": np.log(whole / np.sqrt(energy)),
    }


@pytest.mark.parametrize("layer", [None, 1])
def test_ratios_and_intervals_are_those_of_a_paired_t_test(layer: int | None) -> None:
    table = statistics()
    found = token_decomposition(table)
    assert found.schema == DECOMPOSITION_SCHEMA
    assert found.height == 3 * 2 * (LAYERS + 1)
    for style, against in (("none", "detailed"), ("simplified", "detailed")):
        for projection in "qv":
            logs = []
            for name in (style, against):
                rows = table.filter(relevance="correct", style=name, projection=projection)
                rows = rows.sort("item_id", "layer")
                shaped = {f: v.reshape(ITEMS, LAYERS) for f, v in log_factors(rows).items()}
                logs.append({f: v.mean(1) if layer is None else v[:, 1] for f, v in shaped.items()})
            key = {"style": style, "against": against, "projection": projection}
            (row,) = found.filter(pl.col("layer").eq_missing(layer), **key).to_dicts()
            assert row["items"] == ITEMS
            for factor in FACTORS:
                test = stats.ttest_rel(logs[0][factor], logs[1][factor])
                low, high = test.confidence_interval(0.95)
                effect = np.mean(logs[0][factor] - logs[1][factor])
                expected = [math.exp(value) for value in (effect, low, high)]
                ends = [row[f"{factor}{end}"] for end in ("", "_low", "_high")]
                assert ends == pytest.approx(expected, rel=1e-9), factor


def test_the_factors_multiply_to_the_ratio_of_the_norms() -> None:
    found = token_decomposition(statistics())
    size, alignment, norm = (found[name].to_numpy() for name in ("size", "alignment", "norm"))
    np.testing.assert_allclose(size * alignment, norm, rtol=1e-12)
    np.testing.assert_allclose(found["spread"] * found["coherence"], alignment, rtol=1e-12)
    assert np.abs(np.log(alignment)).min() > 1e-3


def test_a_norm_is_smaller_where_orthogonal_tokens_share_it_and_not_where_equal_ones_do() -> None:
    one, two = np.eye(2)
    tokens = {
        "none": [one],
        # The mean of four equal tokens: nothing changes but the spread, which coherence undoes.
        "simplified": [one / 4] * 4,
        "detailed": [one / 2, two / 2],
    }
    rows = []
    for style, terms in tokens.items():
        norms = np.linalg.norm(terms, axis=1)
        whole = np.linalg.norm(np.sum(terms, axis=0))
        numbers = (norms.sum(), whole / norms.sum(), norms.sum() ** 2 / (norms**2).sum())
        for item in range(2):
            labels = {"item_id": str(item), "style": style, "layer": 0, "projection": "q"}
            rows.append(labels | dict(zip(TOKEN_STATISTICS, numbers, strict=True)))
    found = token_decomposition(pl.DataFrame(rows)).filter(pl.col("layer").is_null())
    ratios = {(s, a): tuple(r) for s, a, *r in found.select("style", "against", *FACTORS).rows()}
    assert ratios["none", "simplified"] == pytest.approx((1, 1, 1, 2, 0.5))
    assert ratios["none", "detailed"] == pytest.approx((2**0.5, 1, 2**0.5, 2**0.5, 1))
    assert found["size_low"].to_list() == pytest.approx([1.0] * 3)


def test_an_item_without_a_number_at_some_layer_is_left_out_of_that_projection() -> None:
    table = statistics()
    broken = (pl.col("item_id") == "item3") & (pl.col("layer") == 2) & (pl.col("projection") == "q")
    broken = broken & (pl.col("style") == "detailed") & (pl.col("relevance") == "correct")
    holes = [
        pl.when(broken).then(value).otherwise("token_alignment").alias("token_alignment")
        for value in (pl.lit(None, pl.Float64), pl.lit(0.0))
    ]
    for hole in holes:
        found = token_decomposition(table.with_columns(hole))
        counts = (
            found.filter(against="detailed").group_by("projection").agg(pl.col("items").unique())
        )
        assert dict(counts.rows()) == {"q": [ITEMS - 1], "v": [ITEMS]}
        others = table.filter(pl.col("item_id") != "item3")
        chosen = pl.col("against").eq("detailed") & pl.col("projection").eq("q")
        assert_frame_equal(
            found.filter(chosen), token_decomposition(others).filter(chosen), rel_tol=1e-12
        )


def test_one_item_has_a_ratio_without_an_interval() -> None:
    found = token_decomposition(statistics().filter(item_id="item0"))
    assert found["items"].unique().to_list() == [1]
    assert found.select(FACTORS).null_count().row(0) == (0,) * len(FACTORS)
    assert found["norm_low"].null_count() == found["size_high"].null_count() == found.height


def test_tables_of_earlier_versions_have_no_decomposition() -> None:
    table = statistics()
    for older in (
        table.drop("token_alignment"),
        table.with_columns(pl.lit(None, pl.Float64).alias("token_gradient_norm")),
        table.filter(relevance="irrelevant"),
        table.filter(style="none"),
    ):
        assert_frame_equal(token_decomposition(older), DECOMPOSITION_SCHEMA.to_frame())


def test_pairs_are_of_styles_that_exist() -> None:
    assert {style for pair in STYLE_PAIRS for style in pair} <= set(STYLES)
    assert len(set(STYLE_PAIRS)) == len(STYLE_PAIRS)
