"""A chat template is read as transformers reads it, without loading a tokenizer."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import pytest
from transformers import AutoTokenizer

from gradpipe.errors import ModelError
from gradpipe.models.source import ModelSource
from gradpipe.models.template_text import appends_tokens, template_text

COMMIT = "a" * 40
NAMED = [{"name": "tool_use", "template": "tools"}, {"name": "default", "template": "named"}]


@pytest.mark.parametrize(
    ("config", "file", "expected"),
    [
        ({}, None, None),
        ({"chat_template": "text"}, None, "text"),
        ({"chat_template": NAMED}, None, "named"),
        ({"chat_template": "text"}, "file", "file"),
        ({"chat_template": NAMED}, "file", "file"),
    ],
)
def test_a_folders_template_is_that_of_its_tokenizer(
    config: dict[str, Any], file: str | None, expected: str | None, folder: Path
) -> None:
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | config))
    if file:
        (folder / "chat_template.jinja").write_text(file)
    assert template_text(ModelSource("folder", str(folder))) == expected
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert (tokenizer.get_chat_template() if tokenizer.chat_template else None) == expected


@pytest.mark.parametrize(
    "garbage", [b"", b"{", b"[]", b"\xff", b"[" * 100_000, b'{"chat_template": 3}']
)
def test_a_damaged_configuration_has_no_template(garbage: bytes, folder: Path) -> None:
    for name in ("tokenizer_config.json", "tokenizer.json"):
        (folder / name).write_bytes(garbage)
    source = ModelSource("folder", str(folder))
    assert template_text(source) is None
    assert not appends_tokens(source)


def test_without_a_tokenizer_json_the_configuration_says_what_is_appended(folder: Path) -> None:
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps({"add_eos_token": True}))
    source = ModelSource("folder", str(folder))
    assert not appends_tokens(source)
    (folder / "tokenizer.json").unlink()
    assert appends_tokens(source)


def test_a_gguf_files_template_is_in_its_header(tmp_path: Path) -> None:
    for number, template in enumerate(("{{ messages }} é", None)):
        path = tmp_path / f"{number}.gguf"
        writer = gguf.GGUFWriter(path, "llama")
        writer.add_token_list(["a", "b"])
        if template:
            writer.add_chat_template(template)
        writer.add_block_count(0)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.close()
        assert template_text(ModelSource("gguf", str(path))) == template
    path.write_bytes(b"GGUF")
    assert template_text(ModelSource("gguf", str(path))) is None


def cached(hub: Callable[[Any], Path], **files: str) -> ModelSource:
    """A hub model with these files in the hub's own cache."""
    folder = hub(AssertionError("nobody should ask the hub")) / "models--org--name" / "snapshots"
    (folder / COMMIT).mkdir(parents=True)
    for name, content in files.items():
        (folder / COMMIT / name.replace("__", ".")).write_text(content)
    return ModelSource("hub", "org/name", COMMIT)


@pytest.fixture
def downloads(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the hub answers to requests for a file: an exception, or a path."""
    answers: list[Any] = []

    def download(_model: str, _file: str, **_settings: Any) -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    monkeypatch.setattr("gradpipe.models.hub.hf_hub_download", download)
    return answers


def test_a_hub_models_files_come_from_the_cache(
    hub: Callable[[Any], Path], downloads: list[Any]
) -> None:
    source = cached(hub, tokenizer_config__json="{}", chat_template__jinja="file")
    assert template_text(source) == "file"


def test_a_hub_models_files_are_downloaded(
    hub: Callable[[Any], Path], downloads: list[Any], tmp_path: Path
) -> None:
    from huggingface_hub.errors import EntryNotFoundError

    config = tmp_path / "config"
    config.write_text(json.dumps({"chat_template": NAMED}))
    missing = EntryNotFoundError.__new__(EntryNotFoundError)
    downloads += [config, missing]
    assert template_text(cached(hub)) == "named"


def test_a_file_that_is_missing_beside_a_cached_tokenizer_does_not_need_the_hub(
    hub: Callable[[Any], Path], downloads: list[Any]
) -> None:
    downloads.append(ConnectionError("no route"))
    source = cached(hub, tokenizer_config__json=json.dumps({"chat_template": "text"}))
    assert template_text(source) == "text"


def test_files_that_are_not_to_be_had_are_a_transient_error(
    hub: Callable[[Any], Path], downloads: list[Any]
) -> None:
    downloads.append(ConnectionError("no route"))
    with pytest.raises(ModelError, match=r"tokenizer_config.json of 'org/name'") as caught:
        template_text(cached(hub))
    assert caught.value.transient
