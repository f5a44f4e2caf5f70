"""Compressed text files: read like others, and never unpacked beyond the limit of a file."""

import gzip
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradpipe.benchmarks.table_files import parse_table, read_table
from gradpipe.errors import DataError
from gradpipe.untrusted import limits
from gradpipe.untrusted.compressed import COMPRESSIONS, compress, decompress

TEXTS = {
    "csv": b"instruction,output\na,b\n",
    "tsv": b"instruction\toutput\na\tb\n",
    "json": b'[{"instruction": "a", "output": "b"}]',
    "jsonl": b'{"instruction": "a", "output": "b"}\n',
    "ndjson": b'{"instruction": "a", "output": "b"}\n',
}


@pytest.mark.parametrize("ending", COMPRESSIONS)
@pytest.mark.parametrize("kind", TEXTS)
def test_every_text_format_may_be_compressed(kind: str, ending: str, write: Any) -> None:
    path: Path = write(f"a.{kind.upper()}{ending}", compress(TEXTS[kind], ending))
    assert read_table(path).to_dicts() == [{"instruction": "a", "output": "b"}]
    utf16 = compress(TEXTS[kind].decode().encode("utf-16"), ending)
    assert parse_table(utf16, path.name).height == 1


@pytest.mark.parametrize("ending", COMPRESSIONS)
def test_equal_content_is_compressed_to_equal_bytes_and_members_follow_each_other(
    ending: str,
) -> None:
    packed = compress(b"a,b\n", ending)
    assert packed == compress(b"a,b\n", ending)
    assert decompress(packed + compress(b"1,2\n", ending), ending, "a") == b"a,b\n1,2\n"


@pytest.mark.parametrize("ending", COMPRESSIONS)
def test_a_small_file_that_unpacks_to_more_than_the_limit_is_refused_unread(
    ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = compress(bytes(2**28), ending)
    assert len(packed) < 2**20
    monkeypatch.setattr(limits, "LARGEST_FILE", 2**22)
    tracemalloc.start()
    with pytest.raises(DataError, match="a.csv.* unpacks to more than the limit of 4 MiB: split"):
        parse_table(packed, f"a.csv{ending}")
    assert tracemalloc.get_traced_memory()[1] < 2**25
    tracemalloc.stop()


@pytest.mark.parametrize("ending", COMPRESSIONS)
@pytest.mark.parametrize(
    "damage",
    [
        lambda packed: packed[:-5],
        lambda packed: b"instruction,output\na,b\n",
        lambda packed: b"\0" + packed[1:],
        lambda packed: b"",
    ],
    ids=["cut", "not compressed", "altered", "nothing"],
)
def test_a_damaged_file_is_refused(damage: Callable[[bytes], bytes], ending: str) -> None:
    with pytest.raises(DataError, match="a.csv.* is (not a complete|empty)"):
        parse_table(damage(compress(TEXTS["csv"] * 9, ending)), f"a.csv{ending}")


@pytest.mark.parametrize("pack", [gzip.compress, lambda d: pa.compress(d, "zstd", asbytes=True)])
def test_what_is_compressed_twice_is_not_unpacked_twice(pack: Callable[[bytes], bytes]) -> None:
    for ending in COMPRESSIONS:
        with pytest.raises(DataError, match="archive, which gradpipe does not unpack"):
            parse_table(compress(pack(TEXTS["csv"]), ending), f"a.csv{ending}")


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.binary(max_size=60), st.sampled_from(sorted(COMPRESSIONS)), st.integers(0, 40))
def test_any_bytes_are_a_table_or_refused(noise: bytes, ending: str, kept: int) -> None:
    try:
        table = parse_table(compress(TEXTS["csv"], ending)[:kept] + noise, f"a.csv{ending}")
    except DataError:
        return
    assert table.height
