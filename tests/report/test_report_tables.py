"""Tables: what stands in the CSV files is what stands in the frames."""

from pathlib import Path

import polars as pl
import pytest

from gradpipe.errors import DataError
from gradpipe.report import tables
from gradpipe.report.inputs import ReportInputs
from gradpipe.report.look import in_order, number


def test_a_missing_column_is_named_with_its_table(inputs: ReportInputs) -> None:
    with pytest.raises(DataError, match="'curves' lacks the column 'sd'"):
        ReportInputs(
            inputs.curves.drop("sd"), inputs.mad, inputs.rd, inputs.rows, inputs.unusable, {}
        )


def test_the_mad_csv_holds_every_mad_at_full_precision(
    inputs: ReportInputs, tmp_path: Path
) -> None:
    tables.write_tables(inputs, tmp_path)
    wide = pl.read_csv(tmp_path / "mad.csv")
    long = wide.unpivot(
        ["q", "k", "v", "o"],
        index=["model", "benchmark", "style", "relevance", "statistic"],
        variable_name="projection",
        value_name="read",
    )
    whole = inputs.mad.filter(pl.col("segment") == "all")
    both = whole.join(
        long, on=["model", "benchmark", "style", "relevance", "statistic", "projection"]
    )
    assert both.height == whole.height == long.height
    assert both.filter(pl.col("mad") != pl.col("read")).is_empty()


def test_the_segment_csv_has_a_column_for_each_segment_and_projection(
    inputs: ReportInputs, tmp_path: Path
) -> None:
    tables.write_tables(inputs, tmp_path)
    row = pl.read_csv(tmp_path / "mad_segments.csv").row(0, named=True)
    expected = inputs.mad.filter(
        *(pl.col(key) == row[key] for key in ("model", "benchmark", "style", "relevance")),
        pl.col("statistic") == row["statistic"],
        pl.col("projection") == "v",
        pl.col("segment") == "mid",
    )
    assert row["mid_v"] == expected["mad"].item()


def test_the_rd_csv_keeps_the_largest_layers_in_their_order(
    inputs: ReportInputs, tmp_path: Path
) -> None:
    tables.write_tables(inputs, tmp_path)
    row = pl.read_csv(tmp_path / "rd.csv").row(0, named=True)
    expected = inputs.rd.filter(
        *(pl.col(key) == row[key] for key in ("model", "benchmark", "style", "statistic")),
        pl.col("projection") == "k",
    ).row(0, named=True)
    assert row["k"] == expected["rd"]
    assert row["largest_layers_k"] == " ".join(map(str, expected["largest_layers"]))


def test_the_curves_csv_is_the_curves(inputs: ReportInputs, tmp_path: Path) -> None:
    tables.write_tables(inputs, tmp_path)
    read = pl.read_csv(tmp_path / "curves.csv", schema=inputs.curves.schema)
    assert read.sort(pl.all()).equals(inputs.curves.sort(pl.all()))


def test_a_table_is_shown_one_statistic_at_a_time_with_readable_styles(
    inputs: ReportInputs,
) -> None:
    table = tables.mad_table(inputs.mad)
    shown = table.cells("nuclear_norm")
    assert len(shown) == table.frame.height / len(table.statistics)
    assert [row[2] for row in shown if row[1] == "mini_popular"][:1] == ["100 tokens"]
    assert table.headings == ["model", "benchmark", "style", "relevance", "q", "k", "v", "o"]


def test_unusable_rows_are_counted_by_reason_and_listed(inputs: ReportInputs) -> None:
    reasons, every = tables.reasons_table(inputs.unusable), tables.unusable_table(inputs.unusable)
    assert reasons.frame["examples"].sum() == every.frame.height == inputs.unusable.height


def test_empty_results_make_tables_with_headings_and_no_rows(
    empty_inputs: ReportInputs, tmp_path: Path
) -> None:
    tables.write_tables(empty_inputs, tmp_path)
    assert (tmp_path / "mad.csv").read_text().startswith("model,benchmark,style,relevance,")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.482, "1.48"),
        (0.2338, "0.234"),
        (119.0, "119"),
        (0.000123, "1.23e-04"),
        (12345.6, "12346"),
        (0.0, "0"),
        (12, "12"),
        (None, "–"),
        (float("nan"), "–"),
    ],
)
def test_numbers_are_written_to_three_digits(value: float | None, text: str) -> None:
    assert number(value) == text


def test_styles_come_in_the_order_of_thought_and_unknown_ones_last() -> None:
    assert in_order("style", ["zebra", "detailed", "none"]) == ["none", "detailed", "zebra"]
