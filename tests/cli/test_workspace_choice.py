"""`gradpipe run --study` in a workspace that holds another study."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gradpipe.cli import main
from gradpipe.studies.study import Study
from storage.workspace import Workspace


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, str]]:
    """(workspace, study) of each run, which computes nothing and keeps the study."""
    made: list[tuple[Path, str]] = []

    def run(workspace: Workspace, study: Study) -> dict[str, Any]:
        workspace.keep_study(study)
        made.append((Path(workspace.root), study.name))
        return {}

    monkeypatch.setattr("gradpipe.cli.pipeline.bring_up_to_date", run)
    return made


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody sits at the terminal."""
    monkeypatch.setattr("gradpipe.cli.workspace_choice._can_ask", lambda: True)


def run(name: str, folder: Path, *words: str, answer: str = "") -> Result:
    study = folder / f"{name.replace('/', '-')}.yaml"
    study.write_text(f"name: {name}\nmodels: [demo]\nbenchmarks: [mini_maths]\n")
    command = ["run", "--study", str(study), *words]
    return CliRunner().invoke(main, command, input=answer, catch_exceptions=False)


def test_a_study_of_another_name_gets_a_workspace_of_its_own(
    home: Path, tmp_path: Path, runs: list[tuple[Path, str]]
) -> None:
    run("one", tmp_path)
    second = run("two", tmp_path)
    run("one", tmp_path)
    run("two", tmp_path)
    assert runs == [(home, "one"), (home / "two", "two")] * 2
    assert str(home / "two") in second.stderr
    assert "'one'" in second.stderr
    assert Workspace(home).written_study().name == "one"


def test_a_study_of_the_same_name_is_changed_in_place(
    home: Path, tmp_path: Path, runs: list[tuple[Path, str]]
) -> None:
    run("one", tmp_path)
    assert run("one", tmp_path).stderr == ""
    assert runs == [(home, "one")] * 2


def written(path: Path, text: str) -> str:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return str(path)


UNNAMED = "models: [demo]\nbenchmarks: [mini_maths]\n"


def test_studies_without_a_name_are_named_by_their_files(
    home: Path, tmp_path: Path, runs: list[tuple[Path, str]]
) -> None:
    files = [tmp_path / "one.yaml", tmp_path / "two.yaml", tmp_path / "three" / "study.yaml"]
    studies = [written(file, UNNAMED) for file in files]
    for study in [*studies, *studies]:
        assert CliRunner().invoke(main, ["run", "--study", study]).exit_code == 0
    assert runs == [(home, "one"), (home / "two", "two"), (home / "three", "three")] * 2


@pytest.mark.parametrize("folder", [".", "study"])
def test_the_workspace_of_an_earlier_version_still_belongs_to_its_unnamed_study(
    folder: str, home: Path, tmp_path: Path, runs: list[tuple[Path, str]]
) -> None:
    """It was called `study`, in the workspace or in a folder of that name."""
    if folder == "study":
        run("first", tmp_path)
    (home / folder).mkdir(parents=True, exist_ok=True)
    (home / folder / "study.yaml").write_text(UNNAMED)
    mine = written(tmp_path / "mine.yaml", UNNAMED + "sample: 3\n")
    result = CliRunner().invoke(main, ["run", "--study", mine])
    assert result.exit_code == 0
    assert runs[-1] == ((home / folder).resolve(), "mine")
    # Another one does not take its place, neither before it is named nor after.
    other = written(tmp_path / "other.yaml", UNNAMED.replace("demo", "m/n"))
    CliRunner().invoke(main, ["run", "--study", other])
    assert runs[-1] == (home / "other", "other")


def test_another_study_does_not_take_the_workspace_of_an_unnamed_one(
    home: Path, tmp_path: Path, runs: list[tuple[Path, str]]
) -> None:
    home.mkdir()
    (home / "study.yaml").write_text(UNNAMED)
    run("named", tmp_path)
    other = written(tmp_path / "other.yaml", UNNAMED.replace("demo", "m/n"))
    CliRunner().invoke(main, ["run", "--study", other])
    assert runs == [(home / "named", "named"), (home / "other", "other")]


def test_replacing_has_to_be_asked_for(
    home: Path, tmp_path: Path, runs: list[tuple[Path, str]]
) -> None:
    run("one", tmp_path)
    assert "'one'" in run("two", tmp_path, "--replace").stderr
    assert runs[1:] == [(home, "two")]


@pytest.mark.usefixtures("answered")
@pytest.mark.parametrize(("answer", "folder"), [("y\n", ""), ("n\n", "two"), ("\n", "two")])
def test_a_person_is_asked(
    answer: str, folder: str, home: Path, tmp_path: Path, runs: list[tuple[Path, str]]
) -> None:
    run("one", tmp_path)
    asked = run("two", tmp_path, answer=answer)
    assert str(home) in asked.stderr
    assert runs[1:] == [(home / folder, "two")]


def test_a_workspace_whose_study_is_damaged_takes_any_study(
    home: Path, tmp_path: Path, runs: list[tuple[Path, str]]
) -> None:
    home.mkdir()
    (home / "study.yaml").write_text("modles: [demo]\n")
    run("two", tmp_path)
    assert runs == [(home, "two")]


@pytest.mark.parametrize("name", ["report", "Gradient_Spectra", "dagster"])
def test_no_study_takes_a_folder_of_the_workspace(
    name: str, home: Path, tmp_path: Path, runs: list[tuple[Path, str]]
) -> None:
    run("one", tmp_path)
    refused = run(name, tmp_path)
    assert refused.exit_code == 2
    assert name in refused.stderr
    assert runs == [(home, "one")]


def test_a_folder_that_another_study_took_is_not_used(
    home: Path, tmp_path: Path, runs: list[tuple[Path, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    run("one", tmp_path)
    with monkeypatch.context() as within:
        within.setenv("GRADPIPE_HOME", str(home / "two"))
        run("three", tmp_path)
    refused = run("two", tmp_path)
    assert refused.exit_code == 2
    assert "'three'" in refused.stderr
    assert len(runs) == 2


def test_two_workspaces_never_share_a_database(
    home: Path, tmp_path: Path, runs: list[tuple[Path, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    run("one", tmp_path)
    monkeypatch.setenv("GRADPIPE_POSTGRES_URL", "postgresql://user@localhost/db")
    refused = run("two", tmp_path)
    assert refused.exit_code == 2
    assert "GRADPIPE_POSTGRES_URL" in refused.stderr
    assert runs == [(home, "one")]
