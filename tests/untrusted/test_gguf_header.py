"""A GGUF header that claims what cannot be is refused at once, whatever it claims."""

import struct
import tracemalloc
from pathlib import Path

import gguf
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradpipe.errors import ModelError
from gradpipe.untrusted import gguf_header
from gradpipe.untrusted.gguf_header import check_header
from tests.models.making import array, key, make_gguf, start, tensor, text

U32, STRING = 4, 8
HUGE = 2**60
CLAIMS = {
    "nothing": (b"", "empty file"),
    "a word": (b"GGUF", "ends within its header"),
    "something else": (b"<html>" + bytes(94), "does not start with GGUF"),
    "an old version": (start(version=1), "of version 1"),
    "the other byte order": (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "of version 50331648"),
    "tensors": (start(tensors=HUGE) + bytes(76), f"claims {HUGE} tensors"),
    "keys": (start(keys=HUGE) + bytes(76), f"and {HUGE} keys"),
    "tensors that are not there": (start(tensors=1000) + bytes(76), "ends within its header|dimen"),
    "a key's name": (start(keys=1) + struct.pack("<Q", 2**64 - 1), "text of 18446744073709551615"),
    "a text": (start(keys=1) + key(b"a", STRING, struct.pack("<Q", HUGE)), "text of"),
    "a list": (start(keys=1) + array(b"a", U32, HUGE, b""), f"'a' has {HUGE} entries"),
    "a list of texts": (start(keys=1) + array(b"a", STRING, HUGE, b""), "entries"),
    "lists that are too long together": (
        start(keys=3) + array(b"a", 0, 2**21, bytes(2**21)) * 3,
        "'a' has 2097152 entries",
    ),
    "a list that is cut short": (start(keys=1) + array(b"a", U32, 9, bytes(35)), "ends within"),
    "lists of lists": (start(keys=1) + array(b"a", 9, 1, bytes(99)), "list of the unknown type 9"),
    "a type of key": (start(keys=1) + key(b"a", 77, b""), "unknown type 77"),
    "dimensions": (start(1) + text(b"t") + struct.pack("<I", 2**31), "'t' has 2147483648 dim"),
    "no dimensions": (start(1) + tensor([]), "'t' has 0 dimensions"),
    "sizes that overflow": (start(1) + tensor([2**32, 2**32]) + bytes(64), "cut short"),
    "sizes that overflow to nothing": (start(1) + tensor([2**63, 2]) + bytes(64), "cut short"),
    "a size of nothing": (start(1) + tensor([4, 0]) + bytes(64), "has 0 numbers"),
    "half a block": (start(1) + tensor([33], kind=2) + bytes(64), "33 numbers, in blocks of 32"),
    "a type of tensor": (start(1) + tensor([4], kind=999), "unknown type 999"),
    "a place beyond the end": (start(1) + tensor([4], place=HUGE) + bytes(64), "cut short"),
    "one place for all": (start(9) + tensor([16]) * 9 + bytes(128), "overlap"),
    "no alignment": (
        start(keys=1) + key(b"general.alignment", U32, bytes(4)),
        "aligns its tensors to 0 bytes",
    ),
    "an alignment that is a text": (
        start(keys=1) + key(b"general.alignment", STRING, text(b"32")),
        "aligns its tensors to None",
    ),
    "layers": (
        start(keys=1) + key(b"llama.block_count", U32, struct.pack("<I", 2**31)),
        "claims 2147483648 layers, and has 0 tensors",
    ),
}


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_header_that_claims_too_much_is_refused_without_room_being_made(
    claim: str, tmp_path: Path
) -> None:
    content, message = CLAIMS[claim]
    path = tmp_path / "claims.gguf"
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(ModelError, match=message) as refused:
            check_header(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 5e6
    assert "\n" not in str(refused.value)


def test_a_whole_file_is_counted_as_the_formats_own_library_does(
    small_model: Path, tmp_path: Path
) -> None:
    path = make_gguf(small_model, tmp_path / "small.gguf")
    tensors = gguf.GGUFReader(path).tensors
    numbers = sum(int(each.n_elements) for each in tensors)
    assert check_header(path) == (len(tensors), numbers) == (30, 39648)


@pytest.mark.parametrize("kind", ["Q4_1", "Q8_0", "Q6_K", "BF16", "F16"])
def test_a_tensor_of_blocks_takes_the_room_that_the_formats_own_library_gives_it(
    kind: str, tmp_path: Path
) -> None:
    path, weights = tmp_path / "one.gguf", np.ones((3, 256), np.float32)
    packed = gguf.GGMLQuantizationType[kind]
    size = int(np.prod(gguf.quant_shape_to_byte_shape((3, 256), packed)))
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tensor("t", np.zeros(size, np.uint8).reshape(3, -1), raw_dtype=packed)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    assert check_header(path) == (1, weights.size)
    path.write_bytes(path.read_bytes()[: -(-size % 32) - 1 or -1])
    with pytest.raises(ModelError, match="cut short"):
        check_header(path)


@pytest.fixture(scope="module")
def whole(small_model: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make_gguf(small_model, tmp_path_factory.mktemp("gguf") / "small.gguf").read_bytes()


def test_a_file_cut_short_anywhere_is_refused(whole: bytes, tmp_path: Path) -> None:
    path = tmp_path / "cut.gguf"
    for length in [*range(0, 200, 7), *range(200, len(whole), 4999), len(whole) - 33]:
        path.write_bytes(whole[:length])
        with pytest.raises(ModelError, match="cannot be read as a GGUF model"):
            check_header(path)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_header_with_any_bytes_changed_is_taken_or_refused(
    whole: bytes, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = bytearray(whole)
    places = st.integers(0, 9000)
    for place in data.draw(st.lists(places, min_size=1, max_size=8)):
        content[place] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "changed.gguf"
    path.write_bytes(content)
    try:
        tensors, numbers = check_header(path)
    except ModelError:
        return
    assert tensors <= gguf_header.MAX_TENSORS
    assert numbers <= len(content) * 8


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan"), 0.5])
@pytest.mark.parametrize(("kind", "layout"), [(6, "<f"), (12, "<d")])
def test_a_fraction_of_any_value_is_passed_over(
    tmp_path: Path, value: float, kind: int, layout: str
) -> None:
    file = tmp_path / "a.gguf"
    file.write_bytes(start(keys=1) + key(b"a", kind, struct.pack(layout, value)) + bytes(32))
    assert check_header(file) == (0, 0)
