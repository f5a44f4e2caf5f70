"""A GGUF file is converted from itself alone, whole, and once; what a kill leaves is cleared."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from gradpipe.errors import ModelError
from gradpipe.models.fingerprint import fingerprint
from gradpipe.models.gguf import converted_folder
from gradpipe.models.load import load_model
from gradpipe.models.source import resolve_model
from gradpipe.system.atomic_files import process_name
from tests.models.making import make_gguf

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def file(small_model: Path, tmp_path: Path) -> Path:
    return make_gguf(small_model, tmp_path / "small.gguf")


def test_the_converted_weights_are_those_of_the_file(small_model: Path, file: Path) -> None:
    # The reader undoes an interleaving of Q and K that the test's file does not have.
    before = load_file(small_model / "model.safetensors")
    after = load_file(converted_folder(file) / "model.safetensors")
    assert after.keys() == before.keys()
    for name, weight in before.items():
        assert torch.equal(after[name].sort(0).values, weight.sort(0).values), name


def test_a_file_that_lacks_weights_is_not_filled_with_noise(
    small_model: Path, tmp_path: Path, cache: Path
) -> None:
    path = make_gguf(small_model, tmp_path / "lacking.gguf", without=["blk.1.attn_q"])
    with pytest.raises(ModelError, match=r"missing 1 of the model's weights \(model\.layers\.1\."):
        load_model(str(path))
    assert list((cache / "models").iterdir()) == []


@pytest.mark.parametrize(
    ("sizes", "without"),
    [
        ({"layers": 2**31 - 1}, []),
        ({"vocabulary": 2**31 - 1}, []),
        ({"inner": 2**24}, [f"blk.{n}.ffn_{part}" for n in range(3) for part in ("gate", "up")]),
    ],
    ids=["layers", "vocabulary", "width that no tensor contradicts"],
)
def test_a_model_that_no_memory_holds_is_refused_before_room_is_made(
    sizes: dict[str, int], without: list[str], small_model: Path, tmp_path: Path, cache: Path
) -> None:
    path = make_gguf(small_model, tmp_path / "huge.gguf", without, **sizes)
    with pytest.raises(ModelError, match=r"claims 2147483647 layers|asks for \d+ numbers"):
        converted_folder(path)
    assert not list(cache.glob("models/*"))


def test_a_file_of_the_same_name_in_the_current_folder_is_not_taken_for_it(
    file: Path, small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    make_gguf(small_model, tmp_path / "here" / file.name, scale=2.0)
    monkeypatch.chdir(tmp_path / "here")
    norm = load_file(converted_folder(file) / "model.safetensors")["model.norm.weight"]
    assert torch.equal(norm, torch.ones(32))


def test_what_lies_beside_a_file_is_neither_read_nor_run(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    maps = {"AutoConfig": "evil.C", "AutoModelForCausalLM": "evil.M", "AutoTokenizer": ["evil.T"]}
    for name in ("config.json", "tokenizer_config.json", "generation_config.json"):
        (tmp_path / name).write_text(json.dumps({"auto_map": maps, "model_type": "evil"}))
    (tmp_path / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    (tmp_path / "chat_template.jinja").write_text("beside")
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    # Where nobody is asked, transformers asks the user whether it may run the code.
    monkeypatch.setattr("builtins.input", lambda _question: "yes")
    assert type(load_model(str(file)).model).__name__ == "LlamaForCausalLM"
    assert not (tmp_path / "ran").exists()
    assert load_model(str(file)).tokenizer.chat_template is None


@pytest.mark.parametrize("name", ["a b\nc", "é" * 100, "x" * 240, "..", "-rf", "=cmd"], ids=repr)
def test_a_files_name_does_not_decide_where_it_is_converted(
    name: str, file: Path, cache: Path
) -> None:
    file = file.rename(file.with_name(f"{name}.gguf"))
    folder = converted_folder(file)
    assert folder.parent == cache / "models"
    assert folder.name.isascii()
    assert folder.name.isprintable()
    assert len(folder.name) < 120


def test_a_cache_that_cannot_be_written_is_named(file: Path, cache: Path) -> None:
    cache.mkdir(parents=True)
    (cache / "models").write_text("no folder")
    with pytest.raises(ModelError, match=r"cannot be converted into .*XDG_CACHE_HOME"):
        converted_folder(file)


KILLED = """
import signal, sys
from pathlib import Path
from gradpipe.models import gguf
def convert(path, folder, *sizes):
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"half")
    print(folder, flush=True)
    signal.pause()
gguf._convert = convert
gguf.converted_folder(Path(sys.argv[1]))
"""


def test_what_killed_conversions_leave_is_swept_and_what_others_are_at_is_not(
    file: Path, small_model: Path, tmp_path: Path, cache: Path
) -> None:
    other = make_gguf(small_model, tmp_path / "other.gguf", scale=3.0)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    working = [
        subprocess.Popen(
            [sys.executable, "-c", KILLED, str(path)],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for path in (file, other)
    ]
    try:
        left = []
        for process in working:
            assert process.stdout is not None
            left.append(Path(process.stdout.readline().strip()))
        assert all(folder.is_dir() for folder in left)
        working[0].send_signal(signal.SIGKILL)
        working[0].wait()
        folder = converted_folder(file)
        assert not left[0].exists()
        assert left[1].is_dir()
        assert (folder / "config.json").is_file()
    finally:
        for process in working:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
    assert converted_folder(file) == folder
    assert [path for path in (cache / "models").iterdir() if path != folder] == []


def test_a_folder_that_is_no_process_of_this_machine_is_left_alone(file: Path, cache: Path) -> None:
    number, _, _ = process_name().partition("@")
    for name in ("x", f"{number}@00000000"):
        (cache / "models" / f"a-1.{name}.tmp").mkdir(parents=True)
    converted_folder(file)
    assert len(list((cache / "models").glob("*.tmp"))) == 2


@pytest.fixture
def parts(small_model: Path, tmp_path: Path) -> list[Path]:
    """The same model in three files, as the format's own library splits it."""
    (tmp_path / "parts").mkdir()
    make_gguf(small_model, tmp_path / "parts" / "small.gguf", split_max_tensors=12)
    return sorted((tmp_path / "parts").iterdir())


@pytest.mark.parametrize("given", [0, 2], ids=["the first part", "the last part"])
def test_a_model_in_parts_has_the_weights_and_the_tokenizer_of_the_whole_file(
    given: int, parts: list[Path], file: Path, cache: Path
) -> None:
    assert [part.name for part in parts] == [f"small-0000{n}-of-00003.gguf" for n in (1, 2, 3)]
    whole, merged = converted_folder(file), converted_folder(parts[given])
    names = {path.name for path in whole.iterdir()}
    assert {path.name for path in merged.iterdir()} == names
    for name in names:
        assert (merged / name).read_bytes() == (whole / name).read_bytes(), name
    assert sorted((cache / "models").iterdir()) == sorted([whole, merged])


def test_every_part_names_the_same_model_and_changes_its_fingerprint(parts: list[Path]) -> None:
    sources = {resolve_model(str(part)) for part in parts}
    assert [source.id for source in sources] == [str(parts[0])]
    before = fingerprint(*sources)
    weights = bytearray(parts[2].read_bytes())
    weights[-1] ^= 1
    parts[2].write_bytes(weights)
    assert fingerprint(*sources) != before


def test_a_part_that_is_missing_is_named(parts: list[Path]) -> None:
    parts[1].unlink()
    with pytest.raises(ModelError, match=r"small-00002-of-00003\.gguf is not beside it"):
        resolve_model(str(parts[0]))


def test_a_part_under_another_name_is_not_taken_for_a_whole_model(
    parts: list[Path], tmp_path: Path
) -> None:
    alone = parts[0].rename(tmp_path / "alone.gguf")
    with pytest.raises(ModelError, match=r"it is one of 3 parts, which are named as in x-00001"):
        converted_folder(alone)


def test_parts_of_two_models_are_not_mixed(
    parts: list[Path], small_model: Path, tmp_path: Path, cache: Path
) -> None:
    (tmp_path / "other").mkdir()
    make_gguf(small_model, tmp_path / "other" / "small.gguf", split_max_tensors=13)
    (tmp_path / "other" / parts[1].name).replace(parts[1])
    with pytest.raises(ModelError, match=r"cannot be read as a GGUF model"):
        converted_folder(parts[0])
    assert not list((cache / "models").glob("*"))


def test_a_file_without_a_tokenizer_takes_another(
    small_model: Path, tmp_path: Path, cache: Path
) -> None:
    path = make_gguf(small_model, tmp_path / "bare.gguf", tokenizer=False)
    with pytest.raises(ModelError, match=r"The tokenizer of .*bare\.gguf' is missing"):
        load_model(str(path))
    loaded = load_model(str(path), tokenizer=str(small_model))
    own = load_model(str(small_model)).tokenizer
    assert loaded.tokenizer("one two")["input_ids"] == own("one two")["input_ids"]
