"""Tables: what stands in the CSV files is what stands in the frames."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from gradpipe.claims.schemas import LENGTH_SCHEMA
from gradpipe.errors import DataError
from gradpipe.report.report_data import ReportInputs
from gradpipe.report.style import in_order, number
from gradpipe.report.tables import write as tables
from gradpipe.report.tables.curves import base_and_tuned_table, cosine_table, mad_table
from gradpipe.report.tables.examples import reasons_table, unusable_table
from gradpipe.report.tables.verdicts import length_table, overall_table, verdict_table
from tests.report.made_up_series import steps_of_runs, trends_of


def test_a_missing_column_is_named_with_its_table(inputs: ReportInputs) -> None:
    with pytest.raises(DataError, match="'curves'.*'sd'"):
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


def test_unevenness_apart_from_size_is_in_a_table_and_in_full(
    inputs: ReportInputs, tmp_path: Path
) -> None:
    tables.write_tables(inputs, tmp_path)
    keys = ["model", "benchmark", "style", "relevance", "statistic"]
    row = pl.read_csv(tmp_path / "mad_scale_free.csv").row(3, named=True)
    row["relevance"] = "correct"
    of_row = inputs.mad.filter(
        *(pl.col(key) == row[key] for key in keys), projection="k", segment="all"
    )
    assert row["relative_mad_k"] == of_row["relative_mad"].item()
    assert row["log_mad_k"] == of_row["log_mad"].item()
    assert row["log_mad_k"] != row["relative_mad_k"]
    full = pl.read_csv(tmp_path / "mad_in_full.csv")
    assert full.height == inputs.mad.height
    both = full.join(inputs.mad, on=[*keys, "projection", "segment"], suffix="_given")
    assert both.height == full.height
    for name in ("mad", "relative_mad", "log_mad"):
        assert (both[name] == both[f"{name}_given"]).all()


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
    table = mad_table(inputs.mad)
    shown = table.cells("nuclear_norm")
    assert len(shown) == table.frame.height / len(table.statistics)
    assert [row[2] for row in shown if row[1] == "mini_popular"][:1] == ["100 tokens"]
    assert table.headings == ["model", "benchmark", "style", "relevance", "q", "k", "v", "o"]


def test_unusable_rows_are_counted_by_reason_and_listed(inputs: ReportInputs) -> None:
    reasons, every = reasons_table(inputs.unusable), unusable_table(inputs.unusable)
    assert reasons.frame["examples"].sum() == every.frame.height == inputs.unusable.height


@pytest.fixture(scope="module")
def twins(make_inputs: Callable[..., ReportInputs]) -> ReportInputs:
    """A model and what is tuned from it, and a run."""
    inputs = make_inputs(models=("demo-base", "demo"))
    return replace(inputs, **trends_of(steps_of_runs(4, ("sft",))))


def test_headings_and_their_groups_cover_every_column(twins: ReportInputs) -> None:
    for table in tables.all_tables(twins).values():
        assert not table.frame.is_empty() or table.name == "quality", table.name
        assert len(table.headings) == len(
            table.cells(most=1)[0] if table.frame.height else table.headings
        )
        assert table.sections <= table.heads < len(table.columns)
        widths = sum(width for _, width in table.groups)
        assert widths in (0, len(table.columns) - table.heads), table.name


def test_every_verdict_of_a_cell_stands_in_the_csv_as_it_is(
    twins: ReportInputs, tmp_path: Path
) -> None:
    tables.write_tables(twins, tmp_path)
    read = pl.read_csv(tmp_path / "verdicts.csv")
    cells = twins.verdicts.filter(pl.col("level") == "cell")
    keys = ["statement", "model", "benchmark", "projection"]
    values = ["verdict", "effect", "low", "high", "p", "p_adjusted", "items", "reason"]
    expected = cells.join(twins.claims, on="claim").select(*keys, *values).sort(keys)
    assert read.select(*keys, *values).sort(keys).equals(expected)


def test_verdicts_over_all_count_those_of_the_cells(twins: ReportInputs) -> None:
    for row in overall_table(twins).frame.iter_rows(named=True):
        name = twins.claims.filter(pl.col("statement") == row["statement"])["claim"].item()
        of_claim = twins.verdicts.filter(pl.col("claim") == name, pl.col("level") == "cell")
        counts = {v: (of_claim["verdict"] == v).sum() for v in set(of_claim["verdict"])}
        assert row["cells"] == of_claim.height
        assert {v: row[v] for v in counts} == counts


def test_verdicts_follow_the_order_of_the_claims_the_studys_own_first(
    twins: ReportInputs,
) -> None:
    order = twins.claims.sort(pl.col("source") != "the study", maintain_order=True)["statement"]
    shown = verdict_table(twins).frame["statement"].unique(maintain_order=True)
    assert shown.to_list() == order.to_list()


def test_the_verdicts_side_by_side_are_those_of_the_cells(twins: ReportInputs) -> None:
    side_by_side = tables.all_tables(twins)["verdicts_by_projection"].frame
    row = side_by_side.filter(pl.col("benchmark") == "mini_maths").row(-1, named=True)
    name = twins.claims.filter(pl.col("statement") == row["statement"])["claim"].item()
    cell = twins.verdicts.filter(
        pl.col("claim") == name,
        pl.col("model") == row["model"],
        pl.col("benchmark") == "mini_maths",
        pl.col("projection") == "v",
    ).row(0, named=True)
    assert (row["effect_v"], row["verdict_v"]) == (cell["effect"], cell["verdict"])


def test_a_base_and_what_is_tuned_from_it_stand_in_one_row(twins: ReportInputs) -> None:
    frame = base_and_tuned_table(twins).frame
    row = frame.filter(style="detailed", benchmark="mini_maths", statistic="nuclear_norm")
    (values,) = row.rows(named=True)
    assert (values["base"], values["tuned"]) == ("demo-base", "demo")
    for model, end in (("demo-base", ""), ("demo", "_tuned")):
        of_model = {
            "model": model,
            "style": "detailed",
            "benchmark": "mini_maths",
            "statistic": "nuclear_norm",
            "projection": "k",
        }
        mad = twins.mad.filter(segment="all", relevance="correct", **of_model)["mad"].item()
        means = {
            r: twins.curves.filter(relevance=r, **of_model)["mean"].log().mean()
            for r in ("correct", "irrelevant")
        }
        assert values[f"mad_k{end}"] == mad
        assert values[f"ratio_k{end}"] == pytest.approx(
            np.exp(means["irrelevant"] - means["correct"])
        )


def test_knowledge_is_shown_by_length_and_holds_no_reasoning(
    inputs: ReportInputs, tmp_path: Path
) -> None:
    tables.write_tables(inputs, tmp_path)
    read = pl.read_csv(tmp_path / "knowledge.csv")
    assert set(read["benchmark"]) == {"mini_popular", "mini_unpopular"}
    popular = read.filter(benchmark="mini_popular", relevance="correct", statistic="nuclear_norm")
    expected = inputs.mad.filter(
        benchmark="mini_popular",
        relevance="correct",
        statistic="nuclear_norm",
        projection="o",
        style="length_1000",
        segment="all",
    )
    assert popular["o_length_1000"].item() == expected["mad"].item()
    unpopular = read.filter(benchmark="mini_unpopular")
    assert unpopular["q_length_100"].null_count() == unpopular.height


def test_cosines_are_shown_as_means_over_layers(inputs: ReportInputs) -> None:
    frame = cosine_table(inputs.alignment).frame
    row = frame.filter(kind="same_layer", pair="k_v", relevance="correct").row(0, named=True)
    cosines = inputs.alignment.filter(
        **{c: row[c] for c in ("model", "benchmark", "kind", "pair", "style", "relevance")}
    )["mean"]
    assert row["mean"] == pytest.approx(cosines.mean())
    assert (row["least"], row["largest"], row["layers"]) == (cosines.min(), cosines.max(), 30)


def test_every_control_of_length_stands_beside_what_was_measured(inputs: ReportInputs) -> None:
    frame = length_table(inputs.length).frame
    keys = ["model", "benchmark", "style", "against", "projection"]
    assert frame.height * inputs.length["control"].n_unique() == inputs.length.height
    row = frame.filter(quantity="MAD").row(3, named=True)
    for control in inputs.length["control"].unique():
        of_control = inputs.length.filter(
            pl.col("control") == control,
            pl.col("quantity") == "mad",
            *(pl.col(key) == row[key] for key in keys),
        )
        assert row[f"{control}_effect"] == of_control["effect"].item()
        assert row[f"{control}_high"] == of_control["high"].item()


def test_what_each_control_of_length_rests_on_stands_in_a_csv(
    inputs: ReportInputs, tmp_path: Path
) -> None:
    tables.write_tables(inputs, tmp_path)
    read = pl.read_csv(tmp_path / "length_in_full.csv", schema=LENGTH_SCHEMA)
    assert read.sort(pl.all()).equals(inputs.length.sort(pl.all()))


def test_the_word_on_length_control_stands_beside_the_verdict(
    inputs: ReportInputs, tmp_path: Path
) -> None:
    tables.write_tables(inputs, tmp_path)
    columns = ["statement", "verdict", "survives_length"]
    overall = inputs.verdicts.filter(pl.col("level") == "overall").join(inputs.claims, on="claim")
    read = pl.read_csv(tmp_path / "verdicts_overall.csv")
    assert read.select(columns).sort("statement").equals(overall.select(columns).sort("statement"))
    assert "cannot be told" in (tmp_path / "verdicts_overall.tex").read_text()
    controls = pl.read_csv(tmp_path / "length_control.csv", schema_overrides={"effect": pl.Float64})
    assert controls.select("control", "effect").equals(
        inputs.length_control.select("control", "effect")
    )


def test_every_example_stands_in_the_csv(inputs: ReportInputs, tmp_path: Path) -> None:
    tables.write_tables(inputs, tmp_path)
    read = pl.read_csv(tmp_path / "examples.csv")
    assert read.height == inputs.examples.height
    assert read["nuclear_norm"].sum() == pytest.approx(inputs.examples["nuclear_norm"].sum())


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
        # What is written is decided by the rounded number.
        (999.7, "1000"),
        (99_960.0, "99960"),
        (99_999.7, "1.00e+05"),
        (0.0009999, "0.00100"),
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


def test_a_tiny_p_value_is_shown_as_below_a_thousandth_and_written_in_full(
    inputs: ReportInputs, tmp_path: Path
) -> None:
    verdicts = inputs.verdicts.with_columns(p_adjusted=pl.lit(1e-30))
    tiny = replace(inputs, verdicts=verdicts)
    table = overall_table(tiny)
    place = table.columns.index("p_adjusted")
    assert {row[place] for row in table.cells()} == {"< 0.001"}
    tables.write_tables(tiny, tmp_path)
    assert set(pl.read_csv(tmp_path / "verdicts.csv")["p_adjusted"]) == {1e-30}
