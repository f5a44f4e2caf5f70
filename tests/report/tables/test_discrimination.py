"""The table of discrimination: AUROCs of the gradient beside those of loss and length."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from gradpipe.report.charts.kinds import auroc_by_layer
from gradpipe.report.charts.kinds.auroc_by_layer import (
    auroc_rows,
    beside_the_loss,
    heatmap_statistics,
)
from gradpipe.report.page.render import render_page
from gradpipe.report.report_data import REPORT_ADDED_SCHEMA, ReportInputs
from gradpipe.report.tables.discrimination import discrimination_table
from gradpipe.report.tables.write import write_tables
from gradpipe.statistics.detection.discrimination import discrimination

STYLES = ("none", "detailed")
MEASURES = ("nuclear_norm", "stable_rank")


@pytest.fixture(scope="module")
def found() -> pl.DataFrame:
    """Six items in two styles, correct and irrelevant, with two projections of two layers."""
    grid = pl.DataFrame({"item": range(6)})
    for name, values in {
        "style": STYLES,
        "relevance": ("correct", "irrelevant"),
        "projection": ("q", "v"),
        "layer": (0, 1),
    }.items():
        grid = grid.join(pl.DataFrame({name: values}), how="cross")
    random = np.random.default_rng(8).random((2, grid.height))
    return discrimination(
        grid.with_columns(
            *(pl.Series(name, values) for name, values in zip(MEASURES, random, strict=True)),
            model=pl.lit("demo"),
            benchmark=pl.lit("gsm8k"),
            family=pl.lit("math"),
            loss=pl.col("item") + 10.0 * (pl.col("relevance") == "irrelevant"),
            response_tokens=pl.col("item") + 3,
        )
    )


def test_a_row_has_a_measure_with_the_baselines_beside_it(found: pl.DataFrame) -> None:
    table = discrimination_table(found)
    assert table.frame.select("style", "relevance", "measure", "items").rows() == [
        (style, "irrelevant", "nuclear norm", 6) for style in STYLES
    ]
    row = table.frame.row(1, named=True)
    whole = found.filter(pl.col("layer").is_null(), style="detailed", statistic="nuclear_norm")
    for projection in "qv":
        measured = whole.row(by_predicate=pl.col("projection") == projection, named=True)
        for end in ("auroc", "auroc_low", "auroc_high"):
            assert row[f"{end}_{projection}"] == measured[end]
    assert (row["auroc_loss"], row["auroc_response_tokens"]) == (1.0, 0.5)
    assert len(table.headings) == table.heads + sum(width for _, width in table.groups)


def test_every_measure_and_layer_stands_in_a_csv(
    inputs: ReportInputs, found: pl.DataFrame, tmp_path: Path
) -> None:
    write_tables(replace(inputs, discrimination=found), tmp_path)
    read = pl.read_csv(tmp_path / "discrimination_in_full.csv", schema=found.schema)
    assert read.equals(found)
    assert set(read["statistic"]) == {*MEASURES, "loss", "response_tokens"}
    assert (tmp_path / "discrimination.csv").exists()


def test_only_a_report_with_irrelevant_responses_has_the_section(
    inputs: ReportInputs, found: pl.DataFrame, tmp_path: Path
) -> None:
    write_tables(inputs, tmp_path)
    assert not list(tmp_path.glob("discrimination*"))
    assert '<section id="discrimination"' not in render_page(inputs)
    page = render_page(replace(inputs, discrimination=found))
    sections = ["relevance", "discrimination", "mad"]
    places = [page.index(f'<section id="{section}"') for section in sections]
    assert places == sorted(places)


def test_the_page_draws_as_many_statistics_as_it_has_room_for(
    found: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert heatmap_statistics(found) == list(MEASURES)
    monkeypatch.setattr(auroc_by_layer, "MOST_AUROCS", 10)
    assert heatmap_statistics(found) == ["nuclear_norm"]
    assert heatmap_statistics(found.clear()) == []


def test_the_heatmap_has_every_layer_beside_the_loss(found: pl.DataFrame) -> None:
    rows = auroc_rows(beside_the_loss(found).filter(statistic="nuclear_norm"))
    layers = found.filter(statistic="nuclear_norm").drop_nulls("layer")
    assert sorted(rows["auroc"]) == sorted(layers["auroc"])
    assert rows["part"].unique(maintain_order=True).to_list() == [
        f"{style}, irrelevant against correct · loss: 1.00" for style in STYLES
    ]


def test_what_the_gradient_adds_stands_in_the_tables(
    inputs: ReportInputs, found: pl.DataFrame, tmp_path: Path
) -> None:
    estimates = {name: number / 100 for number, name in enumerate(REPORT_ADDED_SCHEMA)}
    row = {
        name: estimates[name] if kind == pl.Float64 else 20 if kind == pl.Int64 else name
        for name, kind in REPORT_ADDED_SCHEMA.items()
    }
    added = pl.DataFrame([row], schema=REPORT_ADDED_SCHEMA)
    filled = replace(inputs, discrimination=found, added=added)
    write_tables(filled, tmp_path)
    read = pl.read_csv(tmp_path / "added_discrimination_in_full.csv", schema=added.schema)
    assert read.equals(added)
    shown = pl.read_csv(tmp_path / "added_discrimination.csv").row(0, named=True)
    assert shown["added_low"] == estimates["added_low"]
    page = render_page(filled)
    assert 'id="table-added_discrimination"' in page
    assert 'id="figure-aurocs"' in page
