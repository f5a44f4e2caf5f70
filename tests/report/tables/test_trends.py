"""The tables of claims along training, and their files."""

from pathlib import Path

import polars as pl
import pytest

from gradpipe.report.report_data import ReportInputs
from gradpipe.report.tables.trends import claims_by_step, trends_table
from gradpipe.report.tables.write import write_tables
from tests.report.made_up_series import series_inputs


@pytest.fixture(scope="module")
def runs() -> ReportInputs:
    return series_inputs(6, ("sft", "lora"), layers=2, statistics=("nuclear_norm",))


@pytest.fixture(scope="module")
def files(runs: ReportInputs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tables")
    write_tables(runs, folder)
    return folder


def test_a_trend_has_a_row_per_claim_and_series(runs: ReportInputs) -> None:
    table = trends_table(runs)
    assert table.frame.height == runs.trends.height
    assert table.frame["series"].to_list() == sorted(table.frame["series"])
    assert len(table.headings) == table.heads + sum(width for _, width in table.groups)
    # The study's own claim comes first.
    assert table.frame["statement"][0] == "none > simplified on effective_rank"


def test_the_files_have_every_step(runs: ReportInputs, files: Path) -> None:
    values = pl.read_csv(files / "statistics_by_step.csv")
    assert values["step"].n_unique() == 7
    assert set(values["quantity"]) == {"mean", "mad", "rd"}
    by_step = pl.read_csv(files / "claims_by_step.csv")
    assert by_step.height == runs.claim_steps.height == claims_by_step(runs).height
    assert pl.read_csv(files / "trends.csv").height == runs.trends.height
    assert pl.read_csv(files / "curves.csv")["model"].n_unique() == 13


def test_trends_are_printed_for_a_paper(files: Path) -> None:
    text = (files / "trends.tex").read_text()
    assert "sft" in text
    assert "emerges at step" in text


def test_without_series_there_is_an_empty_table_and_no_files_of_steps(
    inputs: ReportInputs, tmp_path: Path
) -> None:
    names = {path.name for path in write_tables(inputs, tmp_path)}
    assert pl.read_csv(tmp_path / "trends.csv").is_empty()
    assert not {"statistics_by_step.csv", "claims_by_step.csv", "trends.tex"} & names
