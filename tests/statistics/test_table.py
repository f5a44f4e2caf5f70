"""The public statistics table: labels that a user adds, and default labels."""

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from gradpipe.errors import DataError, StudyError
from gradpipe.gradients.rows import ROW_SCHEMA
from gradpipe.statistics.curves import curves
from gradpipe.statistics.differences import mad, relative_difference
from gradpipe.statistics.partition import partition_tables
from gradpipe.statistics.reductions import REDUCTIONS, TOKEN_STATISTICS
from gradpipe.statistics.table import EXAMPLE_COLUMNS, ROW_COLUMNS, statistics_table

NAMES = ["nuclear_norm", "effective_rank"]


@pytest.fixture
def spectra() -> pl.DataFrame:
    """Two examples, two layers and two projections, with the columns of ``extract_spectra``."""
    return pl.DataFrame(
        [
            {
                "example": example,
                "loss": 1.5,
                "tokens": 20,
                "response_tokens": 5,
                "layer": layer,
                "projection": projection,
                "nuclear_norm": float(example + 3 + layer),
                "frobenius_norm": float((5 + (example + layer) * 2) ** 0.5),
                "singular_values": [2.0, 1.0 + example + layer],
                "token_norms": 9.0,
                "token_energy": 20.0,
            }
            for example in (0, 1)
            for layer in (0, 1)
            for projection in ("q", "k")
        ]
    )


def test_a_table_without_labels_gets_default_ones(spectra: pl.DataFrame) -> None:
    table = statistics_table(spectra)
    assert table.columns == ["model", *EXAMPLE_COLUMNS, *ROW_COLUMNS, *REDUCTIONS]
    assert table.select("model", "benchmark", "family", "style", "relevance").unique().rows() == [
        ("", "", "", "", "correct")
    ]
    assert table.select("item_id", "index").unique().sort("index").rows() == [("0", 0), ("1", 1)]
    assert table.schema["item_id"] == pl.String


def test_labels_of_the_user_are_kept(spectra: pl.DataFrame) -> None:
    labels = {"model": "m", "benchmark": "b", "family": "math", "style": "none"}
    labeled = spectra.with_columns(
        *(pl.lit(value).alias(name) for name, value in labels.items()),
        item=pl.col("example") + 7,
        relevance=pl.lit("irrelevant"),
        note=pl.lit("left out"),
    )
    table = statistics_table(labeled.lazy(), NAMES)
    assert table.columns == ["model", *EXAMPLE_COLUMNS, *ROW_COLUMNS, *NAMES]
    assert table["item_id"].unique().sort().to_list() == ["7", "8"]
    assert table["relevance"].unique().to_list() == ["irrelevant"]
    assert table.select(pl.col(list(labels)).n_unique()).row(0) == (1,) * len(labels)
    assert table["nuclear_norm"].to_list() == [3.0, 3.0, 4.0, 4.0, 4.0, 4.0, 5.0, 5.0]


def test_rows_of_a_row_store_become_the_table_of_the_pipeline() -> None:
    matrices = [
        {"layer": layer, "projection": "q", "frobenius_norm": 5.0, "singular_values": [4.0, 3.0]}
        for layer in (0, 1)
    ]
    stored = {
        "key": ["a"],
        "loss": [1.0],
        "tokens": [9],
        "response_tokens": [3],
        "truncated": [False],
        "reason": [None],
        "seconds": [0.1],
        "hardware": ["cpu"],
        "matrices": [matrices],
        "layers": [[]],
        "spans": [[]],
        "gaps": [None],
        "token_losses": [[1.5, 0.5]],
    }
    schema = {"key": pl.String()} | {n: t for n, t in ROW_SCHEMA.items() if n != "row"}
    rows = pl.DataFrame(stored, schema=schema)
    examples = pl.DataFrame(
        {"key": "a", "item_id": "i", "benchmark": "b", "family": "math", "index": 4}
        | {"style": "none", "relevance": "correct"}
    )
    piped = partition_tables(examples, [rows], NAMES, "m").statistics
    joined = examples.join(rows, on="key").with_columns(model=pl.lit("m"))
    assert_frame_equal(statistics_table(joined, (*NAMES, *TOKEN_STATISTICS)), piped)


def test_a_statistic_that_cannot_be_recomputed_is_kept(spectra: pl.DataFrame) -> None:
    small = spectra.drop("singular_values", "token_norms", "token_energy")
    table = statistics_table(small)
    assert table.columns[-2:] == ["nuclear_norm", "frobenius_norm"]
    assert_frame_equal(table.select("nuclear_norm"), small.sort("example").select("nuclear_norm"))
    with pytest.raises(StudyError, match="effective_rank"):
        statistics_table(small, ["effective_rank"])


@pytest.mark.parametrize("column", ["example", "layer", "projection"])
def test_another_kind_of_table_is_refused(spectra: pl.DataFrame, column: str) -> None:
    for function in (statistics_table, curves):
        with pytest.raises(DataError, match=f"'{column}'"):
            function(spectra.drop(column))


def test_spectra_can_be_averaged_as_they_are(spectra: pl.DataFrame) -> None:
    found = curves(spectra)
    assert set(found["statistic"]) == {"nuclear_norm", "frobenius_norm"}
    assert found.filter(projection="k", statistic="nuclear_norm")["mean"].to_list() == [3.5, 4.5]
    wanted = curves(statistics_table(spectra), ["nuclear_norm"])
    assert_frame_equal(found.filter(statistic="nuclear_norm"), wanted)
    with pytest.raises(StudyError, match="stable_rank"):
        curves(spectra, ["stable_rank"])


def test_differences_of_other_tables_are_refused(spectra: pl.DataFrame) -> None:
    for function in (mad, relative_difference):
        with pytest.raises(DataError, match="'model'"):
            function(spectra)
