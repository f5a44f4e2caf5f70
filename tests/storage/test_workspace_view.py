"""``gp.Workspace`` reads a finished workspace: its tables, verdicts and charts."""

import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import gradpipe as gp
from gradpipe.errors import DataError, GradpipeError, StudyError, WorkspaceError
from gradpipe.report.study_charts import STUDY_CHARTS
from storage.names import earlier_slug
from storage.workspace import Workspace
from tests.conftest import FirstRun
from tests.storage.finished import CLAIM, ITEMS, finished_workspace


@pytest.fixture(scope="module")
def folder(small_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished_workspace(tmp_path_factory.mktemp("finished") / "workspace", small_model)


@pytest.fixture(scope="module")
def ws(folder: Path) -> Any:
    return gp.Workspace(folder)


def state(folder: Path) -> dict[str, int]:
    """Every file and folder with the time of its last change."""
    return {str(path): path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]}


def test_the_tables_are_those_of_the_workspace(ws: Any, folder: Path) -> None:
    stored = Workspace(folder)
    assert ws.models == ["one", "other"]
    assert ws.benchmarks == ["mini_maths", "mini_obscure"]
    cells = [(model, benchmark) for model in ws.models for benchmark in ws.benchmarks]
    both = pl.concat(stored.statistics(*cell).read() for cell in cells)
    assert_frame_equal(ws.statistics(), both)
    assert_frame_equal(
        ws.statistics(model="other", style=["none", "article"], relevance="correct"),
        both.filter(model="other", relevance="correct").filter(
            pl.col("style").is_in(["none", "article"])
        ),
    )
    assert_frame_equal(
        ws.scan("alignments", benchmark="mini_obscure").collect(),
        pl.concat(stored.alignments(model, "mini_obscure").read() for model in ws.models),
    )
    responses = ws.responses(benchmark="mini_maths", style="none", relevance="correct")
    assert responses["item_id"].to_list() == [str(n) for n in range(ITEMS + 1)]


def test_unusable_examples_are_named(ws: Any) -> None:
    unusable = ws.examples(model="one", benchmark="mini_maths").drop_nulls("reason")
    assert unusable["item_id"].unique().to_list() == [str(ITEMS)]
    assert unusable["model"].unique().to_list() == ["one"]


def test_spectra_give_the_stored_statistics(ws: Any) -> None:
    chosen = {"model": "one", "benchmark": "mini_maths", "style": "detailed"}
    spectra, statistics = ws.spectra(**chosen), ws.statistics(**chosen)
    names = ["nuclear_norm", "effective_rank", "stable_rank"]
    labels = ["item_id", "relevance", "layer", "projection"]
    assert_frame_equal(
        gp.statistics_table(spectra, names).select(*labels, *names),
        statistics.select(*labels, *names),
        check_row_order=False,
    )
    assert spectra["singular_values"].list.max().is_close(spectra["spectral_norm"]).all()
    longest = ws.scan("spectra", **chosen).select(pl.col("singular_values").list.len().max())
    assert longest.collect().item() == spectra["singular_values"].list.len().max()


def test_verdicts_and_findings_are_those_of_the_report(first_run: FirstRun) -> None:
    ws = gp.Workspace(first_run.workspace)
    table = pl.read_csv(first_run.workspace / "report" / "tables" / "verdicts_overall.csv")
    verdicts = ws.verdicts().filter(level="overall").join(ws.claims(), on="claim")
    columns = ["statement", "verdict"]
    assert_frame_equal(verdicts.select(columns), table.select(columns), check_row_order=False)
    findings = ws.findings()
    assert findings.height
    assert set(findings["verdict"]) <= {"supported", "contradicted", "undecided"}


CHOICES: dict[str, dict[str, Any]] = {
    "curves_of_models": {"model": None, "style": "none"},
    "base_and_tuned": {"model": None},
    "mad": {"benchmark": None},
    "knowledge": {"benchmark": "mini_obscure"},
    "relative_difference": {"benchmark": None},
    "verdicts": {"benchmark": None, "claims": [CLAIM]},
    "over_steps": {"model": None, "steps": {"one": 0, "other": 10}},
    "claims_by_steps": {"model": None, "steps": {"one": 0, "other": 10}, "claims": [CLAIM]},
    "layers_by_steps": {"model": None, "steps": {"one": 0, "other": 10}, "style": "none"},
}
CHARTS = [(name, CHOICES.get(name, {})) for name in STUDY_CHARTS]
CHARTS += [("alignment", {"kind": kind}) for kind in ("next_layer", "responses")]


@pytest.mark.parametrize(("name", "choices"), CHARTS, ids=str)
def test_every_chart_of_the_page_is_drawn_in_one_call(
    name: str, choices: dict[str, Any], ws: Any
) -> None:
    every = {"model": "one", "benchmark": "mini_maths", **choices}
    chart = ws.chart(name, **{key: value for key, value in every.items() if value is not None})
    assert chart.data.values
    assert chart.to_dict()["facet"]


def test_the_charts_are_those_that_the_library_has(ws: Any) -> None:
    assert {*STUDY_CHARTS, "comparison"} == set(gp.charts.__all__)
    one, other = (ws.statistics(model=name, benchmark="mini_maths") for name in ws.models)
    comparison = gp.compare(one, other, ["nuclear_norm"])
    assert gp.charts.comparison(comparison).data.values


def test_a_chart_that_cannot_be_drawn_says_what_to_choose(ws: Any) -> None:
    with pytest.raises(DataError, match="'one', 'other'.*choose one"):
        ws.chart("curves", benchmark="mini_maths")
    with pytest.raises(DataError, match="steps="):
        ws.chart("over_steps")
    with pytest.raises(StudyError, match="did you mean 'curves'"):
        ws.chart("curve")
    with pytest.raises(StudyError, match="did you mean 'statistic'"):
        ws.chart("curves", statistics="nuclear_norm")


def test_reading_changes_nothing(ws: Any, folder: Path) -> None:
    before = state(folder)
    again = gp.Workspace(folder)
    again.spectra(model="one", benchmark="mini_maths", style="none")
    again.examples()
    again.chart("curves", model="one", benchmark="mini_maths")
    assert state(folder) == before


def test_rows_in_a_folder_of_an_earlier_version_are_read_where_they_are(
    folder: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    study, rows = copy / "study.yaml", copy / "gradient_spectra"
    study.write_text(study.read_text("utf-8").replace("name: other", "name: other@7"), "utf-8")
    (rows / "other").rename(rows / earlier_slug("other@7"))
    before = state(copy)
    assert gp.Workspace(copy).examples(model="other@7").height
    assert state(copy) == before


def test_what_is_not_there_is_said_with_what_makes_it(
    ws: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADPIPE_HOME", str(tmp_path / "nowhere"))
    with pytest.raises(WorkspaceError, match="nowhere.*`gradpipe run`"):
        gp.Workspace()
    assert not (tmp_path / "nowhere").exists()
    (tmp_path / ".gradpipe").mkdir()
    shutil.copy(folder / "study.yaml", tmp_path / ".gradpipe")
    with pytest.raises(WorkspaceError, match=r"no study\.yaml.*did you mean .*\.gradpipe"):
        gp.Workspace(tmp_path)
    empty = gp.Workspace(tmp_path / ".gradpipe")
    with pytest.raises(WorkspaceError, match="no statistics of one yet.*`gradpipe run`"):
        empty.statistics(model="one")
    cases: list[tuple[dict[str, Any], str]] = [
        ({"table": "statistic"}, "'statistics'"),
        ({"table": "statistics", "model": "two"}, "no model 'two'"),
        ({"table": "items", "style": "none"}, "no column 'style'"),
        ({"table": "responses", "model": "one"}, "no column 'model'"),
    ]
    for wanted, message in cases:
        with pytest.raises(GradpipeError, match=message):
            ws.scan(**wanted)
