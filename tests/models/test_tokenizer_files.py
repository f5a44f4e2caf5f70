"""A checkpoint without a tokenizer takes another, which becomes part of its identity."""

import json
import shutil
from pathlib import Path

import pytest

from gradpipe.errors import ModelError
from gradpipe.gradients.protocol import STANDARD
from gradpipe.gradients.row_identity import row_identity
from gradpipe.gradients.template_notes import notes_of_model
from gradpipe.models.find import find_model
from gradpipe.models.fingerprint import fingerprint
from gradpipe.models.load import load_model, load_tokenizer
from gradpipe.models.source import ModelSource
from gradpipe.models.template_text import template_text
from gradpipe.models.tokenizer_files import has_tokenizer, resolve_tokenizer, tokenizer_note
from tests.models.conftest import configure


def without_tokenizer(folder: Path) -> Path:
    for file in folder.glob("tokenizer*"):
        file.unlink()
    return folder


@pytest.fixture
def base(small_model: Path, tmp_path: Path) -> Path:
    """A folder with a tokenizer of its own, with a chat template, and with other weights."""
    folder = tmp_path / "base"
    shutil.copytree(small_model, folder)
    (folder / "chat_template.jinja").write_text("{{ messages[0].content }}")
    return folder


def test_the_tokenizer_that_is_named_is_loaded_and_said(folder: Path, base: Path) -> None:
    without_tokenizer(folder)
    loaded = load_model(str(folder), tokenizer=str(base))
    assert loaded.tokenizer.chat_template == "{{ messages[0].content }}"
    assert len(loaded.notes) == 1
    assert str(base) in loaded.notes[0]
    assert "comes without a tokenizer" in loaded.notes[0]


def test_a_named_tokenizer_replaces_the_models_own(folder: Path, base: Path) -> None:
    source = find_model(str(folder), tokenizer=str(base))
    assert source.tokenizer == ModelSource("folder", str(base))
    assert "instead of its own" in str(tokenizer_note(source, "mine"))
    assert template_text(source) == "{{ messages[0].content }}"
    assert template_text(find_model(str(folder))) is None
    assert load_tokenizer(str(folder), tokenizer=str(base)).chat_template


def test_a_model_with_its_own_tokenizer_keeps_its_fingerprint_and_has_no_note(folder: Path) -> None:
    source = find_model(str(folder), bases=["./nothing"])
    assert source == ModelSource("folder", str(folder))
    assert tokenizer_note(source, "mine") is None
    assert notes_of_model(source, "mine", STANDARD) == []


def test_the_tokenizers_files_are_part_of_the_key_of_rows_but_not_its_models_weights(
    folder: Path, base: Path, other_model: Path
) -> None:
    def identity(tokenizer: Path | None) -> str:
        source = find_model(str(folder), tokenizer=None if tokenizer is None else str(tokenizer))
        return row_identity(source, fingerprint(source), STANDARD)

    own, first = identity(None), identity(base)
    shutil.copy(other_model / "model.safetensors", base)
    assert identity(base) == first != own
    configure(base, "tokenizer_config.json", model_max_length=77)
    assert identity(base) not in {own, first}


def test_a_checkpoint_takes_the_tokenizer_of_its_runs_folder(folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    checkpoint = shutil.copytree(folder, run / "checkpoint-100")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (checkpoint / name).rename(run / name)
    source = find_model(str(checkpoint))
    assert source.tokenizer == ModelSource("folder", str(run))
    own = load_tokenizer(str(folder))("ab")["input_ids"]
    assert load_model(str(checkpoint)).tokenizer("ab")["input_ids"] == own
    other = checkpoint.rename(run / "final")
    with pytest.raises(ModelError, match=r"The tokenizer of .* is missing"):
        find_model(str(other))


def test_the_bases_are_tried_in_their_order_and_those_without_one_are_passed_over(
    folder: Path, base: Path, small_model: Path, tmp_path: Path
) -> None:
    bare = without_tokenizer(shutil.copytree(folder, tmp_path / "bare"))
    without_tokenizer(folder)
    bases = [str(tmp_path / "gone"), str(bare), str(base), str(small_model)]
    assert find_model(str(folder), bases=bases).tokenizer == ModelSource("folder", str(base))


def test_the_local_folder_that_the_configuration_names_is_the_last_resort(
    folder: Path, base: Path
) -> None:
    without_tokenizer(folder)
    configure(folder, _name_or_path=str(base))
    assert find_model(str(folder)).tokenizer == ModelSource("folder", str(base))
    configure(folder, _name_or_path="org/base")
    with pytest.raises(ModelError, match=r"names 'org/base'.*`tokenizer:`.*--tokenizer"):
        find_model(str(folder))


@pytest.mark.parametrize("name", ["relative/base", "../base", "", 5, None, "a\0b", "/\0"])
def test_a_configuration_that_names_no_absolute_folder_names_none(
    name: object, folder: Path
) -> None:
    without_tokenizer(folder)
    configure(folder, _name_or_path=name)
    with pytest.raises(ModelError, match="The tokenizer of"):
        find_model(str(folder))


def test_a_tokenizer_without_a_vocabulary_needs_no_file_of_one(tmp_path: Path) -> None:
    source = ModelSource("folder", str(tmp_path))
    assert not has_tokenizer(source)
    settings = tmp_path / "tokenizer_config.json"
    settings.write_text(json.dumps({"tokenizer_class": "LlamaTokenizer"}))
    assert not has_tokenizer(source)
    settings.write_text(json.dumps({"tokenizer_class": "ByT5Tokenizer"}))
    assert has_tokenizer(source)


def test_a_sentencepiece_file_alone_says_what_is_missing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_tokenizer(folder)
    (folder / "tokenizer.model").write_bytes(b"\x0a\x0e\x0a\x05<unk>")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"tokenizer\.model alone.*`pip install sentencepiece`"):
        load_tokenizer(str(folder))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("./gone", "does not exist"),
        ("{empty}", r"has no tokenizer\.json"),
        ("{folder}/tokenizer.json", "is a file: give the folder"),
        ("not a name", "There is no model at"),
        ("org/name@-x", "is not a valid revision"),
    ],
)
def test_a_tokenizer_that_does_not_exist_is_refused(
    name: str, message: str, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match=message):
        resolve_tokenizer(name.format(empty=tmp_path / "empty", folder=folder))


def test_a_tokenizer_of_the_hub_may_have_a_revision() -> None:
    assert resolve_tokenizer("org/name@v2") == ModelSource("hub", "org/name", "v2")
    assert resolve_tokenizer("org/name") == ModelSource("hub", "org/name")
