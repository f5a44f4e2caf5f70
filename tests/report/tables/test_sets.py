"""The tables of sets, their section of the page and the sentences about them."""

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from gradpipe.report.page.render import render_page
from gradpipe.report.prose.sets_note import sets_note
from gradpipe.report.report_data import ReportInputs
from gradpipe.report.tables.sets import matched_diversity, set_cosine_table, set_diversity_table
from gradpipe.report.tables.write import write_tables
from gradpipe.statistics.sets.tables import SetTables
from tests.report.made_up import BENCHMARKS
from tests.report.made_up_sets import sets_of

EXAMPLES = 12


@pytest.fixture(scope="module")
def sets() -> SetTables:
    return sets_of(["demo"], BENCHMARKS, EXAMPLES)


@pytest.fixture(scope="module")
def reported(inputs: ReportInputs, sets: SetTables) -> ReportInputs:
    return replace(
        inputs,
        set_diversity=sets.diversity,
        set_consensus=sets.consensus,
        set_cosines=sets.cosines,
    )


def test_sets_are_shown_at_the_largest_size_that_all_of_them_have(sets: SetTables) -> None:
    assert matched_diversity(sets.diversity)["size"].unique().to_list() == [8]
    is_small = (pl.col("benchmark") == "mini_maths") & (pl.col("style") == "none")
    for examples, size in ((5, 8), (8, 6)):
        fewer = pl.when(is_small).then(examples).otherwise("examples").alias("examples")
        found = matched_diversity(sets.diversity.with_columns(fewer))
        assert found["size"].unique().to_list() == [size]
        assert found.filter(is_small).is_empty() is (examples < 8)


def test_a_whole_set_without_an_interval_is_not_the_size_of_comparison(sets: SetTables) -> None:
    whole = pl.when(pl.col("size") == 8).then(None).otherwise("diversity_low")
    found = matched_diversity(sets.diversity.with_columns(diversity_low=whole))
    assert found["size"].unique().to_list() == [6]


def test_a_row_has_the_diversity_of_each_projection_and_the_agreement(sets: SetTables) -> None:
    frame = set_diversity_table(sets.diversity, sets.consensus).frame
    keys = {"benchmark": "mini_maths", "style": "detailed", "relevance": "irrelevant"}
    row = frame.filter(**keys).row(0, named=True)
    for projection in ("q", "all"):
        given = sets.diversity.filter(projection=projection, size=8, **keys)
        assert row[f"diversity_{projection}"] == given["diversity"].item()
    assert row["diversity_high_all"] > row["diversity_all"]
    agreed = sets.consensus.filter(projection="all", **keys)
    assert row["mean_share"] == agreed["mean_share"].item()


def test_cosines_of_all_projections_and_correct_responses_are_shown(sets: SetTables) -> None:
    frame = set_cosine_table(sets.cosines).frame
    shown = sets.cosines.filter(projection="all", relevance="correct")
    assert frame["cosine"].sort().to_list() == shown["cosine"].sort().to_list()
    # Two sets of three styles each, four of a style in one family.
    assert frame.height < sets.cosines.height / 9


def test_every_number_stands_in_a_csv(
    reported: ReportInputs, inputs: ReportInputs, tmp_path: Path
) -> None:
    write_tables(reported, tmp_path)
    for name, table in (
        ("set_diversity_in_full", reported.set_diversity),
        ("set_consensus", reported.set_consensus),
        ("set_cosines_in_full", reported.set_cosines),
    ):
        assert pl.read_csv(tmp_path / f"{name}.csv", schema=table.schema).equals(table)
    write_tables(inputs, tmp_path / "without")
    assert not list((tmp_path / "without").glob("set_*"))


def test_only_a_report_with_sets_has_the_section(
    reported: ReportInputs, inputs: ReportInputs
) -> None:
    assert '<section id="sets"' in render_page(reported)
    assert '<section id="sets"' not in render_page(inputs)


def test_the_note_has_the_diversity_by_style_and_the_range_of_the_cosines(
    reported: ReportInputs,
) -> None:
    of_note = {"projection": "all", "relevance": "correct"}
    maths = {"benchmark": "mini_maths", **of_note}
    given = reported.set_diversity.filter(size=8, **maths).with_columns(diversity=pl.lit(5.25))
    cosines = reported.set_cosines.filter(kind="styles", **maths).with_columns(
        cosine=pl.Series([0.125, 0.5, None])
    )
    note = sets_note(replace(reported, set_diversity=given, set_cosines=cosines))
    assert note == (
        "The gradients of 8 correct responses of one set point in 5.2 (none), 5.2 (simplified) "
        "and 5.2 (detailed) different directions. "
        "The mean gradients of two styles on one benchmark have cosines of 0.12 to 0.50."
    )


def test_there_is_no_note_without_sets(inputs: ReportInputs) -> None:
    assert sets_note(inputs) is None
