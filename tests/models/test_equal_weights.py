"""Models with the same weights are found whatever they are called, without reading all of them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from huggingface_hub import HfApi

import gradpipe.models.equal_weights as module
from gradpipe.models.equal_weights import equal_weights, equal_weights_note, weights_digest
from gradpipe.models.source import ModelSource, resolve_model
from gradpipe.studies.equal_models import find_equal_models
from gradpipe.studies.study import Study
from tests.conftest import study_of
from tests.models.conftest import configure
from tests.models.making import in_parts, make_gguf


def sources(**folders: Path) -> dict[str, ModelSource]:
    return {name: resolve_model(str(folder)) for name, folder in folders.items()}


def test_a_copy_with_another_tokenizer_and_configuration_has_the_same_weights(
    folder: Path, other_model: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    configure(copy, "tokenizer_config.json", model_max_length=5)
    configure(copy, max_position_embeddings=99)
    models = sources(a=folder, b=other_model, c=copy)
    assert equal_weights(models) == [["a", "c"]]


def test_weights_that_differ_in_one_byte_anywhere_are_not_equal(
    folder: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    content = bytearray((copy / "model.safetensors").read_bytes())
    content[len(content) // 3 + 2000] ^= 1
    (copy / "model.safetensors").write_bytes(content)
    assert equal_weights(sources(a=folder, b=copy)) == []


def test_files_whose_blocks_differ_are_not_read_whole(
    folder: Path, other_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(path: Path) -> str:
        raise AssertionError(f"{path} was read whole")

    monkeypatch.setattr(module, "digest_of_file", read)
    assert equal_weights(sources(a=folder, b=other_model)) == []


def test_parts_and_gguf_files_are_compared_with_their_like(
    folder: Path, small_model: Path, tmp_path: Path
) -> None:
    in_parts(folder)
    copy = shutil.copytree(folder, tmp_path / "copy")
    one = make_gguf(small_model, tmp_path / "one.gguf")
    two = shutil.copy(one, tmp_path / "two.gguf")
    models = sources(parts=folder, one=one, copy=copy, two=two, whole=small_model)
    assert equal_weights(models) == [["parts", "copy"], ["one", "two"]]


COMMITS = {"early": "a" * 40, "late": "b" * 40, "final": "c" * 40}
SHA = {"early": "1" * 64, "late": "2" * 64, "final": "2" * 64}


@pytest.fixture
def listed(hub: Callable[[Any], Path], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A hub whose commits have weights of the checksums in SHA; the requests that it got."""
    by_commit = {commit: SHA[name] for name, commit in COMMITS.items()}
    requests: list[str] = []

    def model_info(_: HfApi, model: str, revision: str, **settings: Any) -> Any:
        requests.append(revision)
        assert settings["files_metadata"]
        files = [("model.safetensors", by_commit[revision]), ("README.md", None)]
        return SimpleNamespace(
            siblings=[
                SimpleNamespace(rfilename=name, lfs=sha and SimpleNamespace(sha256=sha))
                for name, sha in files
            ]
        )

    monkeypatch.setattr(HfApi, "model_info", model_info)
    return requests


def test_revisions_that_serve_the_same_weights_are_found_by_the_hubs_checksums(
    listed: list[str],
) -> None:
    models = {name: ModelSource("hub", "org/m", commit) for name, commit in COMMITS.items()}
    for _ in range(2):
        assert equal_weights(models) == [["late", "final"]]
    # A commit never changes.
    assert sorted(listed) == sorted(COMMITS.values())


def test_a_single_model_of_the_hub_is_not_asked_for(listed: list[str], folder: Path) -> None:
    models = {"hub": ModelSource("hub", "org/m", "a" * 40), "local": resolve_model(str(folder))}
    assert equal_weights(models) == []
    assert listed == []


def test_downloaded_weights_are_compared_without_the_hub(hub: Callable[[Any], Path]) -> None:
    cache = hub(AssertionError("nobody should ask the hub"))
    for name, commit in COMMITS.items():
        snapshot = cache / "models--org--m" / "snapshots" / commit
        snapshot.mkdir(parents=True)
        blob = cache / "models--org--m" / "blobs" / SHA[name]
        blob.parent.mkdir(exist_ok=True)
        blob.write_bytes(b"")
        (snapshot / "model-00001-of-00001.safetensors").symlink_to(blob)
        index = {"weight_map": {"t": "model-00001-of-00001.safetensors"}}
        (snapshot / "model.safetensors.index.json").write_text(json.dumps(index))
    models = {name: ModelSource("hub", "org/m", commit) for name, commit in COMMITS.items()}
    assert equal_weights(models) == [["late", "final"]]


def test_what_the_hub_does_not_say_is_no_failure(hub: Callable[[Any], Path]) -> None:
    hub(ConnectionError("no network"))
    models = {name: ModelSource("hub", "org/m", commit) for name, commit in COMMITS.items()}
    assert equal_weights(models) == []
    assert weights_digest(models["late"]) is None


def test_a_note_names_ten_models_and_counts_the_rest() -> None:
    assert equal_weights_note(["a", "b"]).startswith("a and b have the same weights, ")
    assert " and 76 more have" in equal_weights_note([f"step{n}" for n in range(86)])


def study(*models: dict[str, Any]) -> Study:
    return study_of(Path("demo"), "mini_maths", models=list(models))


def test_a_model_that_a_study_has_twice_on_purpose_is_not_named(
    folder: Path, tmp_path: Path
) -> None:
    copy = str(shutil.copytree(folder, tmp_path / "copy"))
    plain = {"id": str(folder), "name": "plain"}
    raw = {"id": str(folder), "name": "raw", "chat": False}
    assert find_equal_models(study(plain, raw)) == []
    again = {"id": str(folder), "name": "again"}
    assert find_equal_models(study(plain, again)) == [["plain", "again"]]
    other = {"id": copy, "name": "copy", "chat": False}
    gone = {"id": str(tmp_path / "gone"), "name": "gone"}
    assert find_equal_models(study(plain, raw, other, gone)) == [["plain", "copy"]]


def test_an_answer_is_given_again_only_as_long_as_it_may_be(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    two = study({"id": str(folder), "name": "a"}, {"id": str(copy), "name": "b"})
    assert find_equal_models(two) == [["a", "b"]]
    shutil.rmtree(copy)
    assert find_equal_models(two, max_age=600.0) == [["a", "b"]]
    assert find_equal_models(two) == []
    assert find_equal_models(two, max_age=600.0) == []
