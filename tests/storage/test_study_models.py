"""The workspace's list of models: added, refused, removed."""

import os
from pathlib import Path

import pytest

from gradpipe.errors import ModelError, StudyError
from gradpipe.studies.load import load_study, parse_study
from storage.study_models import add_model, remove_model
from storage.workspace import Workspace

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "home").mkdir()
    return Workspace(tmp_path / "home")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that looks like a model, as far as adding it looks."""
    folder = tmp_path / "models" / "tiny"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"")
    return folder


def names(workspace: Workspace) -> list[str]:
    return [model.name for model in workspace.study().models]


def test_a_local_folder_is_added_to_the_demo_study(workspace: Workspace, folder: Path) -> None:
    assert add_model(workspace, str(folder)) == str(folder)
    study = workspace.study()
    assert names(workspace) == ["demo", str(folder)]
    assert study.model(str(folder)).id == str(folder)
    assert study.benchmarks == load_study("demo").benchmarks
    assert study.protocol == load_study("demo").protocol


def test_a_relative_path_is_kept_as_an_absolute_one_under_the_name_that_was_typed(
    workspace: Workspace, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    assert add_model(workspace, "./tiny") == "./tiny"
    assert workspace.study().model("./tiny").id == str(folder)


def test_a_model_can_be_given_a_name(workspace: Workspace, folder: Path) -> None:
    assert add_model(workspace, str(folder), name="small one") == "small one"
    assert workspace.study().model("small one").id == str(folder)


def test_a_model_can_be_given_a_tokenizer(
    workspace: Workspace, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "words").mkdir()
    (tmp_path / "words" / "tokenizer.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    add_model(workspace, str(folder), name="tiny", tokenizer="words")
    assert workspace.study().model("tiny").tokenizer == str(tmp_path / "words")
    with pytest.raises(ModelError, match="nowhere"):
        add_model(workspace, str(folder), name="other", tokenizer="./nowhere")
    assert names(workspace) == ["demo", "tiny"]


def test_what_is_measured_is_of_adapters_only(workspace: Workspace, folder: Path) -> None:
    with pytest.raises(ModelError, match="adapter"):
        add_model(workspace, str(folder), adapter="factors")
    assert names(workspace) == ["demo"]


def test_two_revisions_of_a_hub_model_are_two_models(workspace: Workspace) -> None:
    # A whole commit needs no hub to be asked.
    other = COMMIT[::-1]
    assert add_model(workspace, "org/name", COMMIT) == f"org/name@{COMMIT}"
    assert add_model(workspace, "org/name", other) == f"org/name@{other}"
    assert workspace.study().model(f"org/name@{COMMIT}").revision == COMMIT
    assert workspace.study().model(f"org/name@{other}").id == "org/name"


def test_the_demo_is_the_demo_even_beside_a_folder_of_that_name(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo").mkdir()
    remove_model(workspace, "demo")
    add_model(workspace, "demo")
    assert workspace.study().model("demo").id == "demo"


def test_a_model_that_the_study_has_is_refused(workspace: Workspace, folder: Path) -> None:
    add_model(workspace, str(folder))
    before = workspace.study_path.read_bytes()
    for model, name in ((str(folder), ""), ("demo", ""), (str(folder), "demo")):
        with pytest.raises(StudyError, match="twice among its models.*`name`") as c:
            add_model(workspace, model, name=name)
        assert str(workspace.study_path) in str(c.value)
    assert workspace.study_path.read_bytes() == before


@pytest.mark.parametrize(
    "model", ["./nowhere", "/nowhere/at/all", "nowhere.gguf", "a/b/c", "", "empty", "file.txt"]
)
def test_a_model_that_is_not_there_leaves_the_study_as_it_was(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.txt").write_text("no model")
    with pytest.raises(ModelError):
        add_model(workspace, model)
    assert os.listdir(workspace.root) == []
    assert names(workspace) == ["demo"]


def test_a_folder_has_no_revision(workspace: Workspace, folder: Path) -> None:
    with pytest.raises(ModelError, match="has no revision 'v2'"):
        add_model(workspace, str(folder), "v2")
    assert os.listdir(workspace.root) == []


def test_a_model_is_removed_and_the_rest_stays(workspace: Workspace, folder: Path) -> None:
    add_model(workspace, str(folder), name="tiny")
    remove_model(workspace, "demo")
    assert names(workspace) == ["tiny"]
    remove_model(workspace, "tiny")
    assert names(workspace) == []
    add_model(workspace, str(folder), name="tiny")
    assert names(workspace) == ["tiny"]


def test_removing_a_model_that_is_not_in_the_study_names_the_nearest(workspace: Workspace) -> None:
    with pytest.raises(StudyError, match=r"has no model 'dmeo': did you mean 'demo'\?"):
        remove_model(workspace, "dmeo")
    with pytest.raises(StudyError, match=r"has no model 'gpt': known are demo\."):
        remove_model(workspace, "gpt")
    assert os.listdir(workspace.root) == []


def test_the_rest_of_the_study_survives_adding_and_removing(
    workspace: Workspace, folder: Path
) -> None:
    text = """
    name: mine
    models: [{id: org/base, chat: false}, demo]
    benchmarks: [{name: own, source: files, path: /data/own.csv, styles: [none]}]
    seed: 7
    protocol: {preset: paper, system: null}
    """
    study = parse_study(text, "mine.yaml")
    workspace.keep_study(study)
    add_model(workspace, str(folder), name="tiny")
    assert workspace.study() != study
    remove_model(workspace, "tiny")
    assert workspace.study() == study


def test_rows_of_an_earlier_version_are_found_under_the_new_name(workspace: Workspace) -> None:
    folder = Path(str(workspace.root)) / "gradient_spectra"
    part = folder / "gpt2=407" / "b" / "rows" / "part-1.parquet"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"rows")
    index = Path(str(workspace.spectra_index("gpt2@7", "b").path))
    assert index == folder / "gpt2@7" / "b" / "index.parquet"
    assert (index.parent / "rows" / "part-1.parquet").read_bytes() == b"rows"
    assert [path.name for path in folder.iterdir()] == ["gpt2@7"]
