"""A fingerprint follows a model's content and nothing else; the hub is asked only where it must."""

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gradpipe.errors import ModelError
from gradpipe.models.fingerprint import file_digest, fingerprint, pin
from gradpipe.models.source import ModelSource, resolve_model
from gradpipe.system.user_folders import cache_folder

Hub = Callable[[Any], Path]
COMMIT, OTHER = "0123456789abcdef" * 2 + "01234567", "f" * 40


def of_folder(folder: Path) -> str:
    return fingerprint(resolve_model(str(folder)))


def change_a_byte(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize(
    "name", ["model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json"]
)
def test_one_byte_of_weights_tokenizer_or_configuration_changes_it(name: str, folder: Path) -> None:
    before = of_folder(folder)
    change_a_byte(folder / name)
    assert of_folder(folder) != before


@pytest.mark.parametrize("name", ["chat_template.jinja", "tokenizer.model", "vocab.txt"])
def test_a_file_that_decides_tokens_changes_it(name: str, folder: Path) -> None:
    before = of_folder(folder)
    (folder / name).write_text("new")
    assert of_folder(folder) != before


def test_another_name_for_a_file_changes_it(folder: Path) -> None:
    before = of_folder(folder)
    (folder / "tokenizer.json").rename(folder / "tokenizes.json")
    assert of_folder(folder) != before


def test_swapping_two_files_changes_it(folder: Path) -> None:
    (folder / "a.json").write_text("1")
    (folder / "b.json").write_text("2")
    before = of_folder(folder)
    (folder / "a.json").write_text("2")
    (folder / "b.json").write_text("1")
    assert of_folder(folder) != before


def test_where_when_and_beside_what_a_model_lies_does_not_change_it(
    folder: Path, tmp_path: Path
) -> None:
    before = of_folder(folder)
    os.utime(folder / "model.safetensors", (1, 1))
    (folder / "README.md").write_text("Read me.")
    (folder / ".cache").mkdir()
    assert of_folder(folder) == before
    assert of_folder(shutil.copytree(folder, tmp_path / "elsewhere" / "copy")) == before


def test_a_gguf_file_is_known_by_its_content(tmp_path: Path) -> None:
    for name, content in {"a": b"GGUF1", "b": b"GGUF1", "c": b"GGUF2"}.items():
        (tmp_path / f"{name}.gguf").write_bytes(content)
    a, b, c = (fingerprint(ModelSource("gguf", str(tmp_path / f"{n}.gguf"))) for n in "abc")
    assert a == b != c


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that were hashed, not remembered."""
    names: list[str] = []
    digest = hashlib.file_digest

    def file_digest(file: Any, kind: str) -> Any:
        names.append(Path(file.name).name)
        return digest(file, kind)

    monkeypatch.setattr(hashlib, "file_digest", file_digest)
    return names


def test_a_file_is_hashed_once_and_again_only_when_it_changed(
    folder: Path, hashed: list[str]
) -> None:
    before = of_folder(folder)
    assert "model.safetensors" in hashed
    hashed.clear()
    assert of_folder(folder) == before
    assert hashed == []
    change_a_byte(folder / "model.safetensors")
    assert of_folder(folder) != before
    assert hashed == ["model.safetensors"]


@pytest.mark.parametrize(
    "garbage", [b"", b"{", b"[]", b"null", b"3", b"{}", b"\xff\xfe", b'{"sha": "x"}'], ids=repr
)
def test_garbage_in_the_cache_costs_a_hash_and_no_more(
    garbage: bytes, folder: Path, cache: Path, hashed: list[str]
) -> None:
    before = of_folder(folder)
    notes = list((cache / "digests").iterdir())
    assert len(notes) == len(hashed)
    for note in notes:
        note.write_bytes(garbage)
    assert of_folder(folder) == before
    assert len(hashed) == 2 * len(notes)
    assert of_folder(folder) == before
    assert len(hashed) == 2 * len(notes)


def test_a_cache_that_cannot_be_written_costs_the_shortcut_only(folder: Path, cache: Path) -> None:
    cache.parent.mkdir()
    cache.write_text("a file where the folder would be")
    digest = hashlib.sha256((folder / "config.json").read_bytes()).hexdigest()
    assert file_digest(folder / "config.json") == digest
    assert of_folder(folder) == of_folder(folder)


def test_the_cache_lies_where_the_user_keeps_caches(cache: Path) -> None:
    assert cache_folder() == cache


def test_a_hub_model_is_known_by_the_commit_of_its_revision(hub: Hub) -> None:
    source = ModelSource("hub", "org/name")
    hub(COMMIT)
    first = fingerprint(source)
    assert pin(source) == ModelSource("hub", "org/name", COMMIT)
    assert fingerprint(pin(source)) == first
    assert fingerprint(ModelSource("hub", "org/other")) != first
    hub(OTHER)
    assert fingerprint(source) != first


def test_a_whole_commit_as_revision_asks_nobody() -> None:
    source = ModelSource("hub", "org/name", COMMIT)
    assert pin(source) == source
    assert fingerprint(source) == fingerprint(source)


def test_a_local_model_is_pinned_as_it_is(folder: Path) -> None:
    source = resolve_model(str(folder))
    assert pin(source) == source


@pytest.mark.parametrize("error", [ConnectionError("no route"), TimeoutError(), OSError("proxy")])
def test_without_the_hub_and_without_a_cache_the_model_is_refused(
    error: Exception, hub: Hub
) -> None:
    hub(error)
    for revision in (None, "v1"):
        with pytest.raises(ModelError, match=r"'org/name' is neither .* hub cannot be reached"):
            fingerprint(ModelSource("hub", "org/name", revision))


def remember(hub_cache: Path, revision: str, commit: str) -> None:
    reference = hub_cache / "models--org--name" / "refs" / revision
    reference.parent.mkdir(parents=True, exist_ok=True)
    reference.write_text(commit)


def test_without_the_hub_the_cached_commit_stands_in(hub: Hub) -> None:
    source = ModelSource("hub", "org/name")
    hub(COMMIT)
    online = fingerprint(source)
    hub_cache = hub(ConnectionError("no route"))
    remember(hub_cache, "main", COMMIT)
    remember(hub_cache, "v1", OTHER)
    assert pin(source).revision == COMMIT
    assert fingerprint(source) == online
    assert pin(ModelSource("hub", "org/name", "v1")).revision == OTHER


def test_offline_by_wish_asks_nobody(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    remember(tmp_path / "hub", "main", COMMIT)
    assert pin(ModelSource("hub", "org/name")).revision == COMMIT


def hub_error(kind: str) -> Exception:
    from huggingface_hub import errors

    error: type[Exception] = getattr(errors, kind)
    made = error.__new__(error)
    made.args = (kind,)
    return made


@pytest.mark.parametrize("kind", ["RepositoryNotFoundError", "GatedRepoError", "HFValidationError"])
def test_a_model_that_the_hub_does_not_give_is_refused_whatever_the_cache_holds(
    kind: str, hub: Hub
) -> None:
    remember(hub(hub_error(kind)), "main", COMMIT)
    with pytest.raises(ModelError, match=r"hub has no model 'org/name' .* `hf auth login`"):
        fingerprint(ModelSource("hub", "org/name"))


def test_a_revision_that_the_hub_does_not_know_is_refused(hub: Hub) -> None:
    hub(hub_error("RevisionNotFoundError"))
    with pytest.raises(ModelError, match="org/name has no revision 'v9'"):
        fingerprint(ModelSource("hub", "org/name", "v9"))
