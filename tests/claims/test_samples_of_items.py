"""Several samples of an item are one item: they add no certainty by being counted twice."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from gradpipe.claims.contrasts import Claim, Term
from gradpipe.claims.values import CellValues, cell_values
from gradpipe.claims.verdicts import judge

Make = Callable[..., CellValues]
Tabled = Callable[..., pl.DataFrame]

NONE, DETAILED, IRRELEVANT = (
    ("none", "correct"),
    ("detailed", "correct"),
    ("detailed", "irrelevant"),
)
CURVE = 10 + np.random.default_rng(7).normal(size=6)
CURVES = {NONE: 1.1 * CURVE, DETAILED: CURVE, IRRELEVANT: 1.1 * CURVE}


def claim(*terms: Term) -> Claim:
    return Claim(claim="c", group="c", title="", statement="", source="", terms=terms)


CLAIMS = [
    claim(Term(1, "none"), Term(-1, "detailed")),
    replace(claim(Term(1, *IRRELEVANT), Term(-1, *DETAILED)), claim="r"),
]


def named(cell: CellValues) -> CellValues:
    """With ids as studies have them."""
    return replace(cell, items=tuple(f"{place:020x}" for place in range(len(cell.items))))


def sampled(table: pl.DataFrame, copies: int, noise: float = 0.0) -> pl.DataFrame:
    """Each written response and ``copies`` - 1 further samples of it; bare answers have none."""
    draw = np.random.default_rng(1)
    written = table.filter(pl.col("style") != "none")
    parts = [table]
    for number in range(2, copies + 1):
        suffix = f"#{number}"
        changed = written.with_columns(pl.col("item_id") + suffix)
        if "donor_item_id" in table.columns:
            changed = changed.with_columns(pl.col("donor_item_id") + suffix)
        factor = pl.Series(np.exp(noise * draw.normal(size=changed.height)))
        parts.append(changed.with_columns(pl.col("nuclear_norm") * factor))
    return pl.concat(parts)


def judged(table: pl.DataFrame) -> pl.DataFrame:
    return judge([table], CLAIMS, resamples=300)


def with_donors(table: pl.DataFrame, items: int) -> pl.DataFrame:
    """Each item's irrelevant response is the text of the next item."""
    donor = pl.format("{}", "item_id").str.to_integer(base=16)
    following = pl.Series([f"{(place + 1) % items:020x}" for place in range(items)])
    index = pl.when(pl.col("relevance") == "irrelevant").then(donor)
    names = index.map_elements(lambda place: following[place], return_dtype=pl.String)
    return table.with_columns(donor_item_id=names)


@pytest.mark.parametrize("donors", [False, True])
def test_copies_of_responses_do_not_shrink_an_interval(
    cell: Make, table_of: Tabled, donors: bool
) -> None:
    table = table_of(named(cell(3, 24, CURVES)))
    table = with_donors(table, 24) if donors else table
    once, four_times = judged(table), judged(sampled(table, 4))
    widths = pl.col("high") - pl.col("low")
    assert once.select(widths.alias("width"))["width"].drop_nulls().min() > 0  # type: ignore[operator]
    assert_frame_equal(once, four_times)


def test_the_values_of_an_item_are_the_means_of_its_samples(cell: Make, table_of: Tabled) -> None:
    table = sampled(table_of(named(cell(3, 12, CURVES))), 3, noise=0.5)
    values = cell_values(table, "nuclear_norm")
    assert values.items == tuple(f"{place:020x}" for place in range(12))
    expected = (
        table.filter(style="detailed", relevance="correct", projection="q", layer=2)
        .with_columns(pl.col("item_id").str.head(20))
        .group_by("item_id")
        .agg(pl.col("nuclear_norm").mean())
        .sort("item_id")
    )
    curve, layer = values.curves.index(DETAILED), values.layers.index(2)
    found = values.values[:, curve, values.projections.index("q"), layer]
    assert np.allclose(found, expected["nuclear_norm"])


def test_an_unusable_sample_leaves_its_item_to_the_others(cell: Make, table_of: Tabled) -> None:
    table = table_of(named(cell(3, 12, CURVES)))
    copied = sampled(table, 2)
    spoiled = pl.col("item_id").str.ends_with("#2") & (pl.col("layer") == 1)
    broken = copied.with_columns(
        nuclear_norm=pl.when(spoiled).then(float("nan")).otherwise("nuclear_norm")
    )
    expected = cell_values(table, "nuclear_norm").values
    assert np.array_equal(cell_values(broken, "nuclear_norm").values, expected, equal_nan=True)


def test_samples_of_different_donors_are_not_paired_by_response(
    cell: Make, table_of: Tabled
) -> None:
    table = with_donors(table_of(named(cell(3, 12, CURVES))), 12)
    mixed = sampled(table, 2).with_columns(
        donor_item_id=pl.when(pl.col("item_id") == f"{3:020x}#2")
        .then(pl.when(pl.col("donor_item_id").is_not_null()).then(pl.lit(f"{9:020x}#2")))
        .otherwise("donor_item_id")
    )
    donors = cell_values(mixed, "nuclear_norm").donors["detailed"]
    assert donors[f"{3:020x}"] is None
    assert donors[f"{4:020x}"] == f"{5:020x}"
