"""Seals: whatever is changed of a sealed file is noticed, and files without one are still read."""

import io

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.checksums import fault_in, read_part, sealed_parquet

SCHEMA = pl.Schema({"key": pl.String, "value": pl.Float64})
FRAME = pl.DataFrame({"key": ["a", "b", "ü"], "value": [1.5, None, -0.0]}, schema=SCHEMA)
SEALED = sealed_parquet(FRAME, {"notes": "mine"})


def unsealed(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


def test_a_sealed_file_is_parquet_with_its_own_metadata() -> None:
    assert pl.read_parquet(SEALED).equals(FRAME)
    assert pl.read_parquet_metadata(SEALED)["notes"] == "mine"
    assert fault_in(SEALED) is None
    assert read_part(SEALED, SCHEMA).equals(FRAME)


def test_the_same_rows_are_the_same_bytes() -> None:
    assert sealed_parquet(FRAME, {"notes": "mine"}) == SEALED


@pytest.mark.parametrize("bit", range(8))
def test_no_flipped_bit_anywhere_goes_unnoticed(bit: int) -> None:
    for place in range(len(SEALED)):
        changed = bytearray(SEALED)
        changed[place] ^= 1 << bit
        assert fault_in(bytes(changed)) is not None, place


def test_no_shorter_file_is_taken_for_whole() -> None:
    assert fault_in(b"") == "is empty"
    for length in range(1, len(SEALED)):
        assert fault_in(SEALED[:length]) == "is truncated or not a Parquet file"


@given(st.data())
@settings(max_examples=80, deadline=None)
def test_whatever_else_becomes_of_a_file_is_noticed(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(SEALED)))
    end = data.draw(st.integers(start, len(SEALED)))
    other = data.draw(st.binary(max_size=40))
    changed = SEALED[:start] + other + SEALED[end:]
    assert (fault_in(changed) is None) == (changed == SEALED)


def test_a_file_of_before_there_were_seals_is_whole_where_it_can_be_read() -> None:
    older = unsealed(FRAME)
    assert fault_in(older, SCHEMA) is None
    assert read_part(older, SCHEMA).equals(FRAME)
    assert fault_in(older[:-1] + b"?") == "is truncated or not a Parquet file"
    spoilt = bytearray(older)
    spoilt[4:60] = bytes(56)
    assert str(fault_in(bytes(spoilt))).startswith("cannot be read: ")


def test_what_an_older_file_lacks_is_no_fault_and_null() -> None:
    wider = pl.Schema({**SCHEMA, "new": pl.List(pl.Struct({"x": pl.Int64}))})
    assert fault_in(SEALED, wider) is None
    assert read_part(SEALED, wider)["new"].null_count() == FRAME.height


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"extra": [1, 2, 3], "more": [1, 2, 3]}, "columns that this version .* (extra, more)"),
        ({"value": ["x", "y", "z"]}, "a column 'value' of another kind"),
        ({"value": [{"x": 1}] * 3}, "a column 'value' of another kind"),
    ],
)
def test_columns_of_a_newer_gradpipe_are_named(columns: dict[str, list[object]], said: str) -> None:
    newer = sealed_parquet(FRAME.with_columns(**{n: pl.Series(v) for n, v in columns.items()}))
    assert fault_in(newer) is None
    found = fault_in(newer, SCHEMA)
    assert found is not None
    assert found.startswith("has ")
    assert said.partition(" .*")[0] in found


def test_a_text_that_looks_like_a_seal_is_none() -> None:
    frame = pl.DataFrame({"text": ["gradpipe-sha256:" + "0" * 64, "gradpipe.seal"]})
    assert fault_in(sealed_parquet(frame)) is None
    named = frame.rename({"text": "gradpipe-sha256:" + "0" * 64})
    assert fault_in(sealed_parquet(named)) is None
    assert fault_in(sealed_parquet(named.clear())) is None
