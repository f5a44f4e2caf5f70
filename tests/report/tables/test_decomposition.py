"""The table of decompositions: the ratio of two norms beside the factors that give it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from gradpipe.report.page.render import render_page
from gradpipe.report.report_data import ReportInputs
from gradpipe.report.tables.decomposition import decomposition_table
from gradpipe.report.tables.write import write_tables
from gradpipe.statistics.decomposition import DECOMPOSITION_SCHEMA, token_decomposition
from gradpipe.statistics.reductions import TOKEN_STATISTICS


@pytest.fixture(scope="module")
def found() -> pl.DataFrame:
    """Five items in three styles, with two projections of two layers."""
    grid = pl.DataFrame({"item_id": [str(item) for item in range(5)]})
    for name, values in {
        "style": ("none", "simplified", "detailed"),
        "projection": ("q", "v"),
        "layer": (0, 1),
    }.items():
        grid = grid.join(pl.DataFrame({name: list(values)}), how="cross")
    random = np.random.default_rng(8).uniform(0.1, 1, (3, grid.height))
    return token_decomposition(
        grid.with_columns(
            *(pl.Series(n, values) for n, values in zip(TOKEN_STATISTICS, random, strict=True)),
            model=pl.lit("demo"),
            benchmark=pl.lit("mini_maths"),
            family=pl.lit("math"),
        )
    )


def test_a_row_has_the_norms_ratio_and_the_two_factors_that_multiply_to_it(
    found: pl.DataFrame,
) -> None:
    table = decomposition_table(found)
    assert table.frame.select("style", "against", "items").rows() == [
        ("none", "detailed", 5),
        ("none", "simplified", 5),
        ("simplified", "detailed", 5),
    ]
    for row in table.frame.iter_rows(named=True):
        for projection in "qv":
            norm, size, alignment = (
                row[f"{f}_{projection}"] for f in ("norm", "size", "alignment")
            )
            assert norm == pytest.approx(size * alignment, rel=1e-12)
            whole = found.filter(
                pl.col("layer").is_null(),
                projection=projection,
                **{name: row[name] for name in ("style", "against")},
            )
            assert whole["norm"].to_list() == [norm]
    assert len(table.headings) == table.heads + sum(width for _, width in table.groups)


def test_every_factor_and_layer_stands_in_a_csv(
    inputs: ReportInputs, found: pl.DataFrame, tmp_path: Path
) -> None:
    write_tables(replace(inputs, decomposition=found), tmp_path)
    read = pl.read_csv(tmp_path / "decomposition_in_full.csv", schema=DECOMPOSITION_SCHEMA)
    assert read.height == found.height == 3 * 2 * 3
    assert read.sort(found.columns[:7]).equals(found.sort(found.columns[:7]))
    assert (tmp_path / "decomposition.csv").exists()


def test_a_workspace_of_earlier_rows_has_no_such_table(
    inputs: ReportInputs, found: pl.DataFrame, tmp_path: Path
) -> None:
    write_tables(inputs, tmp_path)
    assert not list(tmp_path.glob("decomposition*"))
    assert "table-decomposition" not in render_page(inputs)
    page = render_page(replace(inputs, decomposition=found))
    places = [page.index(f'id="{name}"') for name in ("h-length", "table-decomposition")]
    assert places[0] < places[1] < page.index('id="h-alignment"')
