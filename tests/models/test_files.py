"""Weight files are plain safetensors beside each other, or the model is refused unread."""

import json
import os
import pickle
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from gradpipe.errors import ModelError
from gradpipe.models.fingerprint import fingerprint
from gradpipe.models.load import load_model
from gradpipe.models.source import resolve_model
from tests.models.conftest import configure

OUTSIDE = ["../../etc/passwd", "../outside.safetensors", "/etc/passwd", "..", ""]
UNREADABLE = ["evil.bin", "sub/part.safetensors", "a\0b.safetensors", "x.safetensors.bin", 5, None]


class Running:
    """What writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that a pickle writes when it is read; reading one any other way fails the test."""

    def load(*_: Any, **__: Any) -> None:
        raise AssertionError("a pickle was opened")

    monkeypatch.setattr(torch, "load", load)
    return tmp_path / "ran"


def indexed(folder: Path, **parts: Any) -> None:
    """The small model in two parts with an index, which names other parts where told."""
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    head = {"lm_head.weight": weights.pop("lm_head.weight")}
    save_file(head, folder / "head.safetensors", {"format": "pt"})
    save_file(weights, folder / "rest.safetensors", {"format": "pt"})
    index = dict.fromkeys(weights, "rest.safetensors") | {"lm_head.weight": "head.safetensors"}
    named = {"metadata": {}, "weight_map": index | parts}
    (folder / "model.safetensors.index.json").write_text(json.dumps(named))


def refused(folder: Path, message: str) -> None:
    with pytest.raises(ModelError, match=message) as error:
        load_model(str(folder))
    assert "\n" not in str(error.value)


def test_a_model_in_parts_is_loaded(folder: Path) -> None:
    whole = load_model(str(folder)).model.state_dict()
    indexed(folder)
    parts = load_model(str(folder)).model.state_dict()
    assert all(torch.equal(parts[name], weight) for name, weight in whole.items())


@pytest.mark.parametrize("part", [*OUTSIDE, *UNREADABLE], ids=repr)
def test_an_index_that_names_anything_but_parts_beside_it_is_refused_and_nothing_is_opened(
    part: Any, folder: Path, ran: Path
) -> None:
    for place in (folder / "evil.bin", folder / "x.safetensors.bin"):
        place.write_bytes(pickle.dumps(Running(ran)))
    shutil.copy(folder / "model.safetensors", folder.parent / "outside.safetensors")
    (folder / "sub").mkdir()
    shutil.copy(folder / "model.safetensors", folder / "sub" / "part.safetensors")
    indexed(folder, **{"lm_head.weight": part})
    refused(folder, r"names .* as a part, and gradpipe only reads \*\.safetensors")
    assert not ran.exists()


def test_a_part_that_is_not_there_is_named(folder: Path) -> None:
    indexed(folder, **{"lm_head.weight": "gone.safetensors"})
    refused(folder, r"^gone\.safetensors, a part of .*, is missing: download the model again")


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"{}", b"[" * 99999, b"\xff\xfe"], ids=len)
def test_an_index_that_cannot_be_read_is_refused(content: bytes, folder: Path) -> None:
    indexed(folder)
    (folder / "model.safetensors.index.json").write_bytes(content)
    refused(folder, "index .* cannot be read")


def test_pickles_beside_safetensors_are_never_opened(folder: Path, ran: Path) -> None:
    names = ("pytorch_model.bin", "model.pt", "consolidated.00.pth", "last.ckpt", "vocab.pkl")
    for name in (*names, "training_args.bin", "optimizer.pt", "scheduler.pt"):
        (folder / name).write_bytes(pickle.dumps(Running(ran)))
    assert load_model(str(folder)).window == 4096
    assert not ran.exists()


@pytest.mark.parametrize("name", ["model.pt", "model.pth", "model.ckpt", "pytorch_model.bin"])
def test_a_folder_or_file_of_pickles_is_refused_with_the_reason(
    name: str, folder: Path, ran: Path
) -> None:
    (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(pickle.dumps(Running(ran)))
    refused(folder, "pickled weights are not loaded, since reading one can run any code")
    refused(folder / name, "pickled weights are not loaded")
    assert not ran.exists()


def torch_archive(path: Path) -> None:
    torch.save({"a": torch.zeros(2)}, path)


def plain_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps(Running(path.parent.parent / "ran")))


@pytest.mark.parametrize("write", [torch_archive, plain_pickle])
def test_a_pickle_that_is_called_safetensors_is_refused_as_one(
    write: Callable[[Path], None], folder: Path, ran: Path
) -> None:
    write(folder / "model.safetensors")
    refused(folder, r"model\.safetensors of .* is a pickle under another name")
    assert not ran.exists()


def header(shape: list[int], end: int) -> bytes:
    text = json.dumps({"t": {"dtype": "F32", "shape": shape, "data_offsets": [0, end]}}).encode()
    return struct.pack("<Q", len(text)) + text


@pytest.mark.parametrize(
    "content",
    [
        b"",
        struct.pack("<Q", 2**62) + b"{}",
        struct.pack("<Q", 10**8) + b"{" * 99,
        header([2**60], 2**62),
        header([4], 16),
        header([2**63, 2], 0),
    ],
    ids=["empty", "a long header", "a cut one", "a huge tensor", "no data", "an overflow"],
)
def test_a_safetensors_file_that_claims_what_it_does_not_hold_is_refused(
    content: bytes, folder: Path
) -> None:
    (folder / "model.safetensors").write_bytes(content)
    refused(folder, r"cannot be loaded \(model\.safetensors: ")


@pytest.mark.parametrize("given", ["../model.safetensors", "x.pt", "/etc/passwd", "adapter.bin", 5])
def test_a_configuration_that_names_other_weights_is_refused(given: Any, folder: Path) -> None:
    shutil.copy(folder / "model.safetensors", folder.parent / "model.safetensors")
    configure(folder, transformers_weights=given)
    refused(folder, "pickled weights are not loaded")


@pytest.mark.parametrize("setting", ["attn_implementation", "_attn_implementation"])
def test_a_configuration_that_asks_for_compiled_code_from_the_hub_is_refused(
    setting: str, folder: Path
) -> None:
    configure(folder, **{setting: "somebody/fast-attention"})
    refused(folder, r"asks for code of another repository \(somebody/fast-attention\)")


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"num_hidden_layers": 10**6}, "asks for 1000000 layers, and its files hold 30 tensors"),
        ({"vocab_size": 10**10}, "asks for 640000023272 numbers, and its files hold 39648"),
        ({"intermediate_size": 10**9}, "asks for .* numbers"),
    ],
)
def test_a_configuration_that_no_memory_holds_is_refused_before_room_is_made(
    sizes: dict[str, int], message: str, folder: Path
) -> None:
    configure(folder, **sizes)
    refused(folder, message)


def test_a_model_whose_folder_and_weights_are_links_is_the_same_model(
    folder: Path, tmp_path: Path
) -> None:
    before = fingerprint(resolve_model(str(folder)))
    (folder / "model.safetensors").rename(tmp_path / "blob")
    (folder / "model.safetensors").symlink_to(tmp_path / "blob")
    (tmp_path / "link").symlink_to(folder)
    assert fingerprint(resolve_model(str(tmp_path / "link"))) == before
    assert load_model(str(tmp_path / "link")).window == 4096


def link_to_a_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def link_to_nowhere(path: Path) -> None:
    path.symlink_to("/nowhere")


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "vocab.txt"])
@pytest.mark.parametrize("make", [link_to_a_device, link_to_nowhere, os.mkfifo, Path.mkdir])
def test_what_is_no_file_is_refused_and_never_waited_for(
    name: str, make: Callable[[Path], None], folder: Path
) -> None:
    (folder / name).unlink(missing_ok=True)
    make(folder / name)
    with pytest.raises(ModelError, match=f"{name} is not a regular file"):
        fingerprint(resolve_model(str(folder)))
