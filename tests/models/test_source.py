"""What a user calls a model is resolved to where it is, or refused with cause and cure."""

import importlib.machinery
import importlib.util
from pathlib import Path
from typing import Any

import pytest

from gradpipe.errors import ModelError
from gradpipe.models.source import DEMO_HUB_ID, DEMO_PACKAGE, ModelSource, resolve_model


@pytest.mark.parametrize("name", ["org/name", "gpt2", "Org-1/na.me_2"])
def test_a_name_that_is_no_path_is_a_hub_id(name: str) -> None:
    assert resolve_model(name) == ModelSource("hub", name)
    assert resolve_model(name, "v2") == ModelSource("hub", name, "v2")


def test_a_model_folder_is_known_by_its_absolute_path(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = ModelSource("folder", str(folder))
    monkeypatch.chdir(folder.parent)
    monkeypatch.setenv("HOME", str(folder.parent))
    for name in (str(folder), f"{folder}/", "./model", "model", "~/model"):
        assert resolve_model(name) == expected


def test_a_gguf_file_is_known_by_its_absolute_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    monkeypatch.chdir(tmp_path)
    for name in ("m.gguf", str(tmp_path / "m.gguf")):
        assert resolve_model(name) == ModelSource("gguf", str(tmp_path / "m.gguf"))


@pytest.mark.parametrize(
    "name",
    ["./nowhere", "/no/where", "~/no/where", "~nobody-at-all/model", "nowhere.gguf", "../x.gguf"],
)
def test_a_path_that_does_not_exist_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=r"There is no model at .*: check the path"):
        resolve_model(name)


@pytest.mark.parametrize("name", ["a/b/c", " "])
def test_a_name_that_is_neither_path_nor_hub_id_is_refused(name: str) -> None:
    with pytest.raises(ModelError, match=r"There is no model at .*hub id"):
        resolve_model(name)


NOWHERE = [
    "..",
    "../..",
    "/../../etc",
    "a/../../etc",
    "%2e%2e/%2e%2e",
    "%2e%2e",
    "..%2f..",
    "a..b",
    "org/--name",
    "org\\name",
    "a\0b",
    "/a\0b",
    "a\nb",
    "org/na me",
    "x" * 10_000,
    "/" + "x" * 10_000,
    "./" + "x/" * 5_000,
    "é/ü",
    "\u202eorg/name",
    "./\ud800",
    "$HOME",
    "-rf",
    "hf://org/model",
    "https://example.org/model",
]


@pytest.mark.parametrize("name", NOWHERE, ids=lambda name: ascii(name)[:20])
def test_a_name_that_leads_elsewhere_is_refused_in_one_short_line(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError) as refused:
        resolve_model(name)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 250 or len(name) > 80


REVISIONS = ["..", "../../../etc/passwd", "/etc", "a/../b", "a//b", "-x", "", "a b", "x" * 300]


@pytest.mark.parametrize("revision", [*REVISIONS, "a\0", "a\n", "%2e%2e"], ids=ascii)
def test_a_revision_that_could_be_a_way_elsewhere_is_refused(revision: str) -> None:
    with pytest.raises(ModelError, match="is not a valid revision of org/name: give a branch, tag"):
        resolve_model("org/name", revision)


@pytest.mark.parametrize("revision", ["main", "v1.0", "refs/pr/7", "feature/x+y", "c" * 40])
def test_a_branch_a_tag_and_a_commit_are_revisions(revision: str) -> None:
    assert resolve_model("org/name", revision) == ModelSource("hub", "org/name", revision)


def test_a_file_that_is_no_gguf_is_refused(folder: Path) -> None:
    with pytest.raises(ModelError, match=r"is not a .gguf file"):
        resolve_model(str(folder / "config.json"))


def test_a_folder_without_a_configuration_is_refused(folder: Path) -> None:
    (folder / "config.json").unlink()
    with pytest.raises(ModelError, match=r"not the folder of a model: it has no config.json"):
        resolve_model(str(folder))


def test_a_folder_of_pickled_weights_only_is_refused(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="pickled weights are not loaded"):
        resolve_model(str(folder))


def test_a_local_path_has_no_revision(folder: Path) -> None:
    with pytest.raises(ModelError, match="local path and has no revision 'main'"):
        resolve_model(str(folder), "main")


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The demo model's package, as a folder that may hold the file or not."""
    place = tmp_path / "site-packages" / DEMO_PACKAGE
    place.mkdir(parents=True)
    find = importlib.util.find_spec

    def find_spec(name: str, *rest: Any) -> Any:
        if name != DEMO_PACKAGE:
            return find(name, *rest)
        if not place.is_dir():
            return None
        spec = importlib.machinery.ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = [str(place)]
        return spec

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    return place


def test_demo_is_the_file_in_the_package_where_it_is_installed(package: Path) -> None:
    (package / "SmolLM2.gguf").write_bytes(b"GGUF")
    assert resolve_model("demo") == ModelSource("gguf", str(package / "SmolLM2.gguf"))
    with pytest.raises(ModelError, match="has no revision 'main'"):
        resolve_model("demo", "main")


def test_demo_is_on_the_hub_where_the_package_is_not_installed(package: Path) -> None:
    assert resolve_model("demo") == ModelSource("hub", DEMO_HUB_ID)
    package.rmdir()
    assert resolve_model("demo") == ModelSource("hub", DEMO_HUB_ID)
    assert resolve_model("demo", "main") == ModelSource("hub", DEMO_HUB_ID, "main")
