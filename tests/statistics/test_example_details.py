"""The details of single examples: which ones are chosen, their curves and token losses."""

from itertools import pairwise

import polars as pl
import pytest

from gradpipe.gradients.rows import ROW_SCHEMA
from gradpipe.statistics.example_details import DETAIL_SCHEMA, example_details, spread_ranks
from gradpipe.statistics.examples import EXCERPT_CHARACTERS, example_scores

ROWS = pl.Schema({"key": pl.String} | {n: t for n, t in ROW_SCHEMA.items() if n != "row"})


def statistics_of(norms: list[float]) -> pl.DataFrame:
    """One example per norm, at two layers and two projections, without other statistics."""
    examples = pl.DataFrame(
        {"item_id": [f"item{n}" for n in range(len(norms))], "norm": norms}
    ).with_columns(
        index=pl.int_range(pl.len(), dtype=pl.Int64),
        model=pl.lit("m"),
        benchmark=pl.lit("b"),
        family=pl.lit("math"),
        style=pl.lit("none"),
        relevance=pl.lit("correct"),
        loss=pl.lit(1.0),
        tokens=pl.lit(9, pl.Int64),
        response_tokens=pl.lit(3, pl.Int64),
    )
    places = pl.DataFrame({"projection": list("qqvv"), "layer": [0, 1, 0, 1]})
    table = examples.join(places, how="cross")
    return table.with_columns(nuclear_norm=pl.col("norm") * (1 + pl.col("layer"))).drop("norm")


def details_of(norms: list[float], most: int) -> tuple[pl.DataFrame, list[str]]:
    """The details, and the keys whose rows were read; the first item's has no token losses."""
    statistics = statistics_of(norms)
    examples = statistics.unique("item_id", maintain_order=True).select(
        *("item_id", "benchmark", "family", "index", "style", "relevance"),
        key=pl.col("item_id"),
        instruction=pl.lit("?"),
        response=pl.lit("x" * 2 * EXCERPT_CHARACTERS),
    )
    read: list[str] = []

    def rows_of(keys: pl.Series) -> pl.LazyFrame:
        read.extend(keys)
        losses = [None if key == "item0" else [0.5, 1.0, 1.5] for key in keys]
        rows = pl.DataFrame({"key": keys, "token_losses": losses})
        absent = [pl.lit(None, t).alias(n) for n, t in ROWS.items() if n not in rows.columns]
        return rows.with_columns(absent).select(list(ROWS)).cast(ROWS).lazy()

    scores = example_scores(statistics.lazy())
    return example_details(scores, examples, statistics, rows_of, most), read


@pytest.mark.parametrize(("count", "most"), [(0, 3), (5, 9), (100, 1), (100, 10), (7, 6)])
def test_ranks_are_spread_from_end_to_end(count: int, most: int) -> None:
    ranks = spread_ranks(count, most)
    assert ranks == sorted(set(ranks))
    assert len(ranks) == min(count, most)
    assert all(0 <= rank < count for rank in ranks)
    if most > 1 and count:
        assert (ranks[0], ranks[-1]) == (0, count - 1)
    gaps = [after - before for before, after in pairwise(ranks)]
    assert max(gaps, default=0) <= -(-2 * count // most)


def test_an_example_has_its_curves_its_texts_and_the_losses_of_its_tokens() -> None:
    details, read = details_of([3.0, 1.0, 2.0], most=9)
    assert details.schema == DETAIL_SCHEMA
    assert details["item_id"].to_list() == ["item0", "item2", "item1"]
    assert set(read) == set(details["item_id"])
    assert details["token_losses"].to_list() == [None, [0.5, 1.0, 1.5], [0.5, 1.0, 1.5]]
    assert details["response"].str.len_chars().to_list() == [EXCERPT_CHARACTERS] * 3
    points = [
        (point["projection"], point["layer"], point["nuclear_norm"], point["effective_rank"])
        for point in details["curves"][1]
    ]
    assert points == [
        ("q", 0, 2.0, None),
        ("q", 1, 4.0, None),
        ("v", 0, 2.0, None),
        ("v", 1, 4.0, None),
    ]


def test_of_many_examples_some_of_all_sizes_are_read() -> None:
    details, read = details_of([float(n + 1) for n in range(40)], most=8)
    assert len(read) == details.height == 8
    indices = details["index"].to_list()
    assert {39, 38, 37, 2, 1, 0} < set(indices)
    assert indices == sorted(indices, reverse=True)
