"""A workspace behind a URL: what is in it, what is refused, and a whole study."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from assets.resources import Accelerator
from assets.running.runner import Runner
from gradpipe.errors import WorkspaceError
from gradpipe.studies.load import load_study
from storage.locations import filesystem_of, open_location
from storage.object_store import ObjectStore
from storage.workspace import SPECTRA_SCHEMA, Workspace
from tests.conftest import study_of

if TYPE_CHECKING:
    from storage.filesystem import Location


def fill(workspace: Workspace, model: str) -> None:
    row = pl.DataFrame([{"key": model, "matrices": []}], schema=SPECTRA_SCHEMA)
    for benchmark in ("one", "two"):
        workspace.spectra(model, benchmark).append(row)
        workspace.spectra_index(model, benchmark).write(row, "v")
        workspace.statistics(model, benchmark).write(row, "v")


def test_the_study_that_was_kept_is_the_study_that_is_read(root: "Location") -> None:
    workspace = Workspace(root)
    assert workspace.study() == load_study("demo")
    workspace.keep_study(load_study("paper"))
    assert Workspace(root).study() == load_study("paper")
    workspace.files.write(workspace.study_path, b"\xff")
    with pytest.raises(WorkspaceError, match=r"study\.yaml cannot be read \(not UTF-8 text\)"):
        workspace.study()


def test_a_deleted_model_is_gone_and_its_neighbors_are_not(root: "Location") -> None:
    workspace = Workspace(root)
    workspace.delete_model("org/never there")
    for model in ("org/base", "org", "org/base-chat", "[a-z]*", "a"):
        fill(workspace, model)
    for model in ("org/base", "[a-z]*"):
        workspace.delete_model(model)
        assert workspace.spectra(model, "one").parts() == []
        assert workspace.spectra_index(model, "two").notes() is None
        assert workspace.statistics(model, "two").notes() is None
    for model in ("org", "org/base-chat", "a"):
        assert workspace.spectra(model, "one").keys().to_list() == [model]
        assert workspace.spectra_index(model, "two").notes() is not None
        assert workspace.statistics(model, "two").notes() is not None
    fill(workspace, "org/base")
    assert workspace.spectra("org/base", "one").keys().to_list() == ["org/base"]


def test_rows_that_cannot_be_used_are_taken_out_with_what_was_made_of_them(
    root: "Location",
) -> None:
    workspace = Workspace(root)
    assert workspace.discard_unusable("m", "one") == 0
    fill(workspace, "m")
    assert workspace.discard_unusable("m", "one") == 0
    rows = workspace.spectra("m", "one")
    unusable = {"key": "long", "matrices": [], "reason": "it does not fit"}
    rows.append(pl.DataFrame([unusable], schema=SPECTRA_SCHEMA))
    assert workspace.discard_unusable("m", "one") == 1
    assert rows.keys().to_list() == ["m"]
    for table in (workspace.spectra_index, workspace.statistics):
        assert table("m", "one").notes() is None
        assert table("m", "two").notes() is not None


def test_a_deletion_that_is_cut_short_leaves_rows_that_nothing_takes_for_whole(
    s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace(open_location(s3))
    fill(workspace, "m")
    root: Any = workspace.root
    remove = root.fs.rm_file

    def failing(path: str) -> None:
        if "/rows/" in path:
            raise PermissionError("no")
        remove(path)

    monkeypatch.setattr(root.fs, "rm_file", failing)
    with pytest.raises(WorkspaceError, match=r"cannot be deleted \(access is denied\)"):
        workspace.delete_model("m")
    for benchmark in ("one", "two"):
        assert workspace.spectra("m", benchmark).keys().to_list() == ["m"]
        assert workspace.spectra_index("m", benchmark).notes() is None
        assert workspace.statistics("m", benchmark).notes() is None


def build(folder: Path, *charts: str) -> None:
    for name in ("index.html", *(f"charts/{chart}.svg" for chart in charts), "tables/mad.csv"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"{name} {charts}")


@pytest.mark.parametrize("root", ["memory", "s3"], indirect=True)
def test_the_report_is_sent_whole_its_page_last_and_replaces_the_old_one(
    root: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace(root)
    assert not workspace.report_page.is_file()
    with workspace.report_files() as folder:
        build(folder, "old", "both")
    assert workspace.report_page.is_file()
    assert str(workspace.report_page) == f"{root}/report/index.html"
    workspace.files.write(root / "report" / "mine.txt", b"mine")

    sent: list[str] = []
    write = ObjectStore.write

    def recording(store: ObjectStore, address: Any, content: bytes) -> None:
        sent.append(address.name)
        write(store, address, content)

    monkeypatch.setattr(ObjectStore, "write", recording)
    with workspace.report_files() as folder:
        build(folder, "both", "new")
    assert sorted(sent) == ["both.svg", "index.html", "mad.csv", "new.svg"]
    assert sent[-1] == "index.html"
    left = {path.rpartition("/report/")[2] for path in root.fs.find((root / "report").path)}
    assert left == {"index.html", "mine.txt", "tables/mad.csv", "charts/both.svg", "charts/new.svg"}
    assert b"new" in (workspace.files.read(workspace.report_page) or b"")


def test_a_report_that_fails_leaves_the_old_one(s3: str) -> None:
    workspace = Workspace(open_location(s3))

    def fail() -> None:
        with workspace.report_files() as folder:
            build(folder, "half")
            raise KeyboardInterrupt

    with workspace.report_files() as folder:
        build(folder, "old")
    with pytest.raises(KeyboardInterrupt):
        fail()
    assert b"old" in (workspace.files.read(workspace.report_page) or b"")


def test_a_browser_is_told_that_the_page_is_one(s3: str) -> None:
    page: Any = open_location(s3) / "report" / "index.html"
    filesystem_of(page).write(page, b"<p>")
    assert page.fs.info(page.path)["ContentType"] == "text/html"


def test_dagsters_records_stay_on_this_machine(
    s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("DAGSTER_HOME", "")
    one, other = Workspace(open_location(s3)), Workspace(open_location(f"{s3}/other"))
    assert one.dagster_home.is_relative_to(tmp_path)
    assert one.dagster_home == Workspace(open_location(f"{s3}/")).dagster_home
    assert one.dagster_home != other.dagster_home
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "named"))
    assert one.dagster_home == tmp_path / "named"
    assert Workspace(tmp_path).dagster_home == tmp_path / "dagster"


def bring_up(model: Path) -> dict[str, int]:
    study = study_of(model, "mini_obscure", statistics=["nuclear_norm", "effective_rank"])
    counts = Runner(Workspace.current(), study, Accelerator()).bring_up_to_date()
    return {stage: count.computed for stage, count in counts.items()}


def test_a_study_in_a_bucket_computes_what_a_local_one_does_and_only_once(
    s3: str, home: Path, small_model: Path, no_images: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(home.parent / "data"))
    local = bring_up(small_model)
    here = Workspace.current().statistics("small", "mini_obscure").read()

    monkeypatch.setenv("GRADPIPE_HOME", s3)
    monkeypatch.setenv("DAGSTER_HOME", "")
    before = set(os.listdir(home))
    workspace = Workspace.current()
    assert bring_up(small_model) == local
    assert set(bring_up(small_model).values()) == {0}
    assert_frame_equal(workspace.statistics("small", "mini_obscure").read(), here)
    assert workspace.report_page.is_file()
    assert b"mini_obscure" in (workspace.files.read(workspace.report_page) or b"")
    assert workspace.study().name == "small"
    assert workspace.dagster_home.is_dir()
    assert set(os.listdir(home)) == before, "nothing else was written to the local workspace"
