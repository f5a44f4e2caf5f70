"""GGUF files are read once per conversion, and as the package reads them."""

from pathlib import Path

import gguf
import numpy as np
import pytest

from gradpipe.models.gguf import converted_folder
from gradpipe.models.gguf_reading import fast_gguf_reading
from tests.models.making import make_gguf


@pytest.fixture
def file(small_model: Path, tmp_path: Path) -> Path:
    return make_gguf(small_model, tmp_path / "small.gguf")


def test_a_conversion_reads_its_file_once(
    file: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    init = gguf.GGUFReader.__init__

    def reading(reader: gguf.GGUFReader, path: str, *arguments: str) -> None:
        read.append(str(path))
        init(reader, path, *arguments)

    monkeypatch.setattr(gguf.GGUFReader, "__init__", reading)
    assert converted_folder(file).parent == cache / "models"
    assert read == [str(file)]


def test_fast_reading_gives_the_fields_and_tensors_of_the_package(file: Path) -> None:
    plain = gguf.GGUFReader(file)
    with fast_gguf_reading():
        fast = gguf.GGUFReader(file)
    assert type(fast) is not gguf.GGUFReader
    assert {name: field.contents() for name, field in fast.fields.items()} == {
        name: field.contents() for name, field in plain.fields.items()
    }
    assert len(fast.tensors) == len(plain.tensors) > 0
    for one, other in zip(fast.tensors, plain.tensors, strict=True):
        assert one.name == other.name
        assert np.array_equal(one.data, other.data)


def test_the_package_is_as_before_even_if_the_conversion_fails(tmp_path: Path) -> None:
    before = gguf.GGUFReader, gguf.get_tensor_name_map
    with pytest.raises(FileNotFoundError), fast_gguf_reading():
        gguf.GGUFReader(tmp_path / "none.gguf")
    assert (gguf.GGUFReader, gguf.get_tensor_name_map) == before
