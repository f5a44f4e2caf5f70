"""A partition's statistics against examples, rows and matrices reduced in loops."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from gradpipe.errors import StudyError
from gradpipe.gradients.rows import ROW_SCHEMA
from gradpipe.statistics.curves import curves
from gradpipe.statistics.partition import partition_tables
from gradpipe.statistics.reductions import REDUCTIONS, TOKEN_STATISTICS
from gradpipe.statistics.table import EXAMPLE_COLUMNS, ROW_COLUMNS

SCHEMA = pl.Schema({"key": pl.String} | {n: t for n, t in ROW_SCHEMA.items() if n != "row"})
NAMES = ("nuclear_norm", "effective_rank")


def reduce(
    asked: pl.DataFrame, parts: Iterable[pl.DataFrame], names: Sequence[str]
) -> pl.DataFrame:
    return partition_tables(asked, parts, names, "m").statistics


def spectra(keys: list[str], unusable: str = "") -> pl.DataFrame:
    """Random rows of two layers × three projections, with fewer singular values than usual in o."""
    draw = np.random.default_rng(len(keys))
    return pl.DataFrame(
        [
            {
                "key": key,
                "loss": None if key in unusable else float(draw.uniform(0.1, 3)),
                "tokens": int(draw.integers(5, 50)),
                "response_tokens": 5,
                "truncated": False,
                "reason": "too long" if key in unusable else None,
                "seconds": 0.5,
                "matrices": []
                if key in unusable
                else [
                    {
                        "layer": layer,
                        "projection": projection,
                        "frobenius_norm": 1.0,
                        "singular_values": draw.lognormal(size=20 if projection == "o" else 24),
                        "token_norms": 4.0 + layer,
                        "token_energy": 2.0,
                    }
                    for layer in (0, 1)
                    for projection in ("k", "o", "q")
                ],
            }
            for key in keys
        ],
        schema=SCHEMA,
    )


def examples(keys: list[str]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "key": keys,
            "item_id": [f"item{number}" for number in range(len(keys))],
            "benchmark": "b",
            "family": "math",
            "index": [10 - number for number in range(len(keys))],
            "style": "none",
            "relevance": "correct",
            "response": "text that the table leaves out",
            "loss": -1.0,
        }
    )


def twin(asked: pl.DataFrame, rows: pl.DataFrame, model: str) -> list[dict[str, Any]]:
    """The table by loops, with the two statistics of NAMES."""
    found = []
    for example in asked.iter_rows(named=True):
        for row in rows.iter_rows(named=True):
            if row["key"] != example["key"] or row["reason"] is not None:
                continue
            for matrix in row["matrices"]:
                sigma = np.asarray(matrix["singular_values"], dtype=np.float64)
                p = sigma / sigma.sum()
                found.append(
                    {"model": model}
                    | {column: example[column] for column in EXAMPLE_COLUMNS}
                    | {column: row[column] for column in ROW_COLUMNS if column in row}
                    | {column: matrix[column] for column in ("layer", "projection")}
                    | {
                        "nuclear_norm": sigma.sum(),
                        "effective_rank": np.exp(-(p * np.log(p)).sum()),
                        "token_gradient_norm": 4.0 + matrix["layer"],
                        "token_alignment": 1 / (4 + matrix["layer"]),
                        "effective_tokens": (4 + matrix["layer"]) ** 2 / 2,
                    }
                )
    order = ("index", "item_id", "style", "relevance", "layer", "projection")
    return sorted(found, key=lambda row: tuple(row[column] for column in order))


@pytest.mark.parametrize("chunk", [1, 2, 5])
def test_the_table_equals_a_slow_twin_however_the_spectra_come(
    chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gradpipe.statistics.partition.ROWS_AT_ONCE", 2)
    asked, rows = examples(list("dabc")), spectra(list("abcde"), unusable="c")
    parts = [rows.slice(start, chunk) for start in range(0, rows.height, chunk)]
    table = reduce(asked, parts, NAMES)
    expected = twin(asked, rows, "m")
    assert table.columns == ["model", *EXAMPLE_COLUMNS, *ROW_COLUMNS, *NAMES, *TOKEN_STATISTICS]
    assert table.height == len(expected) == 3 * 6
    assert_frame_equal(table, pl.DataFrame(expected, schema=table.schema), rel_tol=1e-12, abs_tol=0)


def test_an_example_that_cannot_be_used_is_absent() -> None:
    table = reduce(examples(["a", "b"]), [spectra(["a", "b"], unusable="b")], NAMES)
    assert table["item_id"].unique().to_list() == ["item0"]


def test_rows_of_earlier_versions_have_no_statistics_of_tokens() -> None:
    rows = spectra(["a"])
    field = pl.element().struct.with_fields
    nulls = [pl.lit(None, pl.Float64).alias(name) for name in ("token_norms", "token_energy")]
    table = reduce(
        examples(["a"]), [rows.with_columns(pl.col("matrices").list.eval(field(*nulls)))], NAMES
    )
    assert table.select(TOKEN_STATISTICS).null_count().row(0) == (6,) * len(TOKEN_STATISTICS)
    expected = reduce(examples(["a"]), [rows], NAMES).drop(TOKEN_STATISTICS)
    assert_frame_equal(table.drop(TOKEN_STATISTICS), expected)


def test_two_examples_that_share_a_key_are_both_there() -> None:
    table = reduce(examples(["a", "b", "a"]), [spectra(["a", "b"])], NAMES)
    assert table.height == 3 * 6
    one, other = (
        table.filter(item_id=item).drop("item_id", "index") for item in ("item0", "item2")
    )
    assert one.equals(other)
    assert curves(table.lazy(), NAMES)["examples"].unique().to_list() == [3]


def test_the_loss_and_tokens_are_those_that_were_measured() -> None:
    rows = spectra(["a"])
    table = reduce(examples(["a"]), [rows], NAMES)
    assert table["loss"].unique().to_list() == rows["loss"].to_list()
    assert table["tokens"].unique().to_list() == rows["tokens"].to_list()


def test_every_statistic_can_be_in_the_table() -> None:
    table = reduce(examples(["a"]), [spectra(["a"])], tuple(REDUCTIONS))
    assert table.columns[-len(REDUCTIONS) :] == list(REDUCTIONS)
    assert table.select(pl.col(list(REDUCTIONS)).is_finite().all()).row(0) == (True,) * len(
        REDUCTIONS
    )


def test_a_table_without_usable_examples_has_the_types_of_any_other() -> None:
    full = reduce(examples(["a"]), [spectra(["a"])], NAMES)
    for asked, parts in (
        (examples(["a"]), []),
        (examples(["a"]).clear(), []),
        (examples(["b"]), [spectra(["b"], unusable="b")]),
        (examples(["a"]), [spectra(["z"])]),
    ):
        table = reduce(asked, parts, NAMES)
        assert table.height == 0
        assert table.schema == full.schema
        assert curves(table.lazy(), NAMES).schema == curves(full.lazy(), NAMES).schema


def test_the_spectra_are_read_once() -> None:
    parts = iter([spectra(["a"])])
    tables = partition_tables(examples(["a"]), parts, NAMES, "m")
    assert tables.statistics.height == 6
    assert next(parts, None) is None


def test_a_statistic_that_is_not_known_is_refused() -> None:
    with pytest.raises(StudyError, match="There is no statistic 'trace'"):
        reduce(examples(["a"]), [spectra(["a"])], ["trace"])
