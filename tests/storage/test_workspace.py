"""The workspace: which folder it is, and that everything stays in it."""

import os
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradpipe.errors import StudyError, WorkspaceError
from gradpipe.studies.load import load_study, parse_study
from storage.workspace import SPECTRA_SCHEMA, Workspace

STUDY = """
name: mine
models: [demo, {id: org/base, chat: false, revision: v2}]
benchmarks: [mini_maths, {name: own, source: files, path: /data/own.csv, columns: {answer: A}}]
sample: 3
protocol: {preset: paper, max_length: 77}
"""
HOSTILE = st.lists(
    st.sampled_from(["..", ".", "/", "~", "\\", "\0", "a", "etc", "%2e", "=2e", "\ud800", "C:"]),
    min_size=1,
    max_size=6,
).map("".join)


def paths(workspace: Workspace, model: str, benchmark: str) -> list[Path]:
    return [
        workspace.items(benchmark).path,
        workspace.responses(benchmark).path,
        workspace.spectra(model, benchmark).folder,
        workspace.spectra_index(model, benchmark).path,
        workspace.statistics(model, benchmark).path,
    ]


def test_the_workspace_is_the_folder_that_gradpipe_home_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADPIPE_HOME", str(tmp_path / "deep" / "home"))
    assert Workspace.current().root == tmp_path / "deep" / "home"
    assert (tmp_path / "deep" / "home").is_dir()


@pytest.mark.parametrize("home", [None, ""])
def test_without_gradpipe_home_it_is_below_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str | None
) -> None:
    monkeypatch.chdir(tmp_path)
    if home is None:
        monkeypatch.delenv("GRADPIPE_HOME", raising=False)
    else:
        monkeypatch.setenv("GRADPIPE_HOME", home)
    assert Workspace.current().root == tmp_path / ".gradpipe"
    assert (tmp_path / ".gradpipe").is_dir()


def test_gradpipe_home_may_be_relative_or_below_the_users_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.setenv("GRADPIPE_HOME", "here")
    assert Workspace.current().root == tmp_path / "here"
    monkeypatch.setenv("GRADPIPE_HOME", "~/there")
    assert Workspace.current().root == tmp_path / "user" / "there"


def test_the_url_of_a_local_folder_is_that_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "with a space"
    monkeypatch.setenv("GRADPIPE_HOME", folder.as_uri())
    assert Workspace.current().root == folder
    assert folder.is_dir()


@pytest.mark.parametrize("home", ["sftp://host/folder", "http://host/x", "nothing://x"])
def test_a_url_that_cannot_hold_a_workspace_is_refused_and_nothing_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRADPIPE_HOME", home)
    with pytest.raises(WorkspaceError, match="cannot hold a workspace"):
        Workspace.current()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("home", ["file", "file/below", "~no-such-user-here/x"])
def test_a_folder_that_cannot_be_made_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine")
    monkeypatch.setenv("GRADPIPE_HOME", home)
    with pytest.raises(WorkspaceError, match=r"cannot be created \(.+\): set GRADPIPE_HOME"):
        Workspace.current()
    assert (tmp_path / "file").read_text() == "mine"


def test_a_new_workspace_is_about_the_demo(tmp_path: Path) -> None:
    assert Workspace(tmp_path).study() == load_study("demo")
    assert os.listdir(tmp_path) == []


def test_the_study_that_was_kept_is_the_study_that_is_read(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    for study in (parse_study(STUDY, "mine.yaml"), load_study("paper"), load_study("demo")):
        workspace.keep_study(study)
        assert Workspace(tmp_path).study() == study
    assert os.listdir(tmp_path) == ["study.yaml"]


def test_a_study_that_cannot_be_kept_leaves_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(WorkspaceError, match=r"study\.yaml cannot be written"):
        Workspace(tmp_path / "file").keep_study(load_study("demo"))
    assert os.listdir(tmp_path) == ["file"]
    workspace = Workspace(tmp_path / "home")
    workspace.study_path.mkdir(parents=True)
    with pytest.raises(WorkspaceError, match=r"study\.yaml cannot be written"):
        workspace.keep_study(load_study("demo"))
    assert os.listdir(workspace.root) == ["study.yaml"]


def test_a_kept_study_that_was_spoilt_is_said_to_be_so(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.study_path.write_bytes(b"name: \xff\xfe")
    with pytest.raises(WorkspaceError, match=r"study\.yaml cannot be read \(not UTF-8 text\)"):
        workspace.study()
    workspace.study_path.write_text("modles: [demo]\nbenchmarks: [mini_maths]\n")
    with pytest.raises(StudyError, match=r"study\.yaml has an unknown key 'modles'"):
        workspace.study()


@settings(deadline=None)
@given(HOSTILE, HOSTILE)
def test_every_path_stays_below_the_root(model: str, benchmark: str) -> None:
    workspace = Workspace(Path("/workspace"))
    folders = ("benchmark_items", "responses", "gradient_spectra", "spectral_statistics")
    for path in paths(workspace, model, benchmark):
        assert ".." not in path.parts
        inside = Path(os.path.normpath(path)).relative_to(workspace.root)
        assert inside.parts[0] in folders
        assert len(inside.parts) >= 2


@settings(deadline=None)
@given(HOSTILE, HOSTILE)
def test_other_names_have_other_paths(one: str, other: str) -> None:
    workspace = Workspace(Path("/workspace"))
    shared = set(paths(workspace, one, "b")) & set(paths(workspace, other, "b"))
    assert (len(shared) == 5) == (one == other)
    for kind in ("items", "responses"):
        same = getattr(workspace, kind)(one).path == getattr(workspace, kind)(other).path
        assert same == (one == other)


def test_hostile_names_can_be_written_and_read(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "home")
    row = {"key": "k", "tokens": 3, "matrices": []}
    rows = pl.DataFrame([row], schema=SPECTRA_SCHEMA)
    for model in ("../../escape", "/etc/passwd", ".", "a|b[c],d", "\ud800"):
        workspace.spectra(model, "..").append(rows)
        assert workspace.spectra(model, "..").keys().to_list() == ["k"]
        workspace.statistics(model, "..").write(rows, "v")
        assert workspace.statistics(model, "..").is_current("v")
    assert os.listdir(tmp_path) == ["home"]


def test_the_report_dagster_and_the_study_have_their_places(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    assert workspace.report_page == tmp_path / "report" / "index.html"
    assert workspace.report_page.parent == workspace.report_folder
    assert workspace.dagster_home == tmp_path / "dagster"
    assert workspace.study_path == tmp_path / "study.yaml"
    assert workspace.report_notes().path.parent == tmp_path


def test_a_row_of_the_store_is_an_extracted_row_under_its_key() -> None:
    assert next(iter(SPECTRA_SCHEMA)) == "key"
    assert "row" not in SPECTRA_SCHEMA
    assert {"loss", "tokens", "reason", "matrices"} <= set(SPECTRA_SCHEMA)
