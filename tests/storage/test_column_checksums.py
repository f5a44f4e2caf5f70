"""Checksums of columns: what a query reads is verified each time, and nothing else is read."""

from __future__ import annotations

import itertools
import os
import random
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from gradpipe.errors import DamagedError
from storage import local_reads
from storage.checksums import BLANK, MARK, fault_in, read_part, sealed_parquet
from storage.column_checksums import part_seal, schema_digest, sealed_part
from storage.locations import filesystem_of
from storage.parts import unique_part_name
from storage.row_store import RowStore

if TYPE_CHECKING:
    from storage.filesystem import Location

SCHEMA = pl.Schema(
    {
        "key": pl.String(),
        "loss": pl.Float64(),
        "matrices": pl.List(
            pl.Struct({"values": pl.List(pl.Float32), "sketch": pl.List(pl.Float16)})
        ),
        "gaps": pl.List(pl.Int64),
    }
)


def rows(names: list[str], values: int = 3, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    records = [
        {
            "key": name,
            "loss": None if name == "b" else rng.random(),
            "matrices": [
                {"values": rng.random(values).astype("f4"), "sketch": [1.5, -0.25]},
                {"values": [float("nan"), float("inf")], "sketch": None},
            ],
            "gaps": None if name == "a" else [number],
        }
        for number, name in enumerate(names)
    ]
    return pl.DataFrame(records, schema=SCHEMA)


FRAME = rows(["a", "b", "ü"])
SEALED = sealed_part(FRAME)


def columns_at(content: bytes, place: int) -> list[str]:
    """The columns whose bytes are at a place."""
    seal = part_seal(content)
    assert seal is not None
    return [name for name, column in seal.columns.items() if column.start <= place < column.end]


def test_a_part_is_a_sealed_parquet_file_with_the_same_rows() -> None:
    assert fault_in(SEALED, SCHEMA) is None
    assert_frame_equal(read_part(SEALED, SCHEMA), FRAME)
    assert_frame_equal(pl.read_parquet(SEALED), FRAME)
    assert sealed_part(FRAME) == SEALED
    seal = part_seal(SEALED)
    assert seal is not None
    assert seal.schema == schema_digest(SCHEMA)
    assert list(seal.columns) == list(SCHEMA)
    assert all(column.covers(SEALED, 0) for column in seal.columns.values())


def test_a_part_without_rows_has_its_columns() -> None:
    content = sealed_part(FRAME.clear())
    assert fault_in(content, SCHEMA) is None
    assert_frame_equal(read_part(content, SCHEMA), FRAME.clear())
    assert part_seal(content) is not None


def test_the_end_of_a_file_is_enough_and_other_files_have_no_such_seal() -> None:
    footer = int.from_bytes(SEALED[-8:-4], "little") + 8
    assert part_seal(SEALED[-footer:]) == part_seal(SEALED)
    assert part_seal(SEALED[1 - footer :]) is None
    assert part_seal(sealed_parquet(FRAME)) is None
    assert part_seal(b"") is None


@pytest.mark.parametrize("bit", range(8))
def test_a_flipped_bit_is_found_by_every_query_that_reads_it(bit: int) -> None:
    seal = part_seal(SEALED)
    assert seal is not None
    footer = len(SEALED) - 8 - int.from_bytes(SEALED[-8:-4], "little")
    whole = SEALED.rindex(MARK) + len(MARK)
    for place in range(len(SEALED)):
        changed = bytearray(SEALED)
        changed[place] ^= 1 << bit
        content = bytes(changed)
        assert fault_in(content, SCHEMA) is not None
        if place >= footer:
            # No query reads the digest of the whole file.
            only_whole = whole <= place < whole + len(BLANK)
            assert part_seal(content) == (seal if only_whole else None)
            continue
        assert part_seal(content) == seal
        uncovered = [name for name, each in seal.columns.items() if not each.covers(content, 0)]
        assert uncovered == columns_at(SEALED, place)


@settings(max_examples=60)
@given(
    names=st.sets(st.sampled_from([*SCHEMA, "other"])),
    widths=st.tuples(*[st.integers(0, 40_000)] * 4),
)
def test_columns_that_are_close_are_read_at_once(
    names: set[str], widths: tuple[int, int, int, int]
) -> None:
    seal = part_seal(SEALED)
    assert seal is not None
    at = 4
    columns = {}
    for (name, column), width in zip(seal.columns.items(), widths, strict=True):
        columns[name] = type(column)(at, at + width, "")
        at += width + 70
    ranges = list(type(seal)("", columns).ranges(names))
    read = [column for _, _, group in ranges for column in group]
    assert read == [column for name, column in columns.items() if name in names]
    for start, end, group in ranges:
        assert (start, end) == (group[0].start, group[-1].end)
    for (_, end, _), (start, _, _) in itertools.pairwise(ranges):
        assert start - end > 1 << 14


def spoil_column(part: Location, name: str) -> None:
    """Flip one bit of a column; the file keeps its name, its size and its times."""
    files = filesystem_of(part)
    content = files.read(part)
    assert content is not None
    seal = part_seal(content)
    assert seal is not None
    column = seal.columns[name]
    place = random.Random(3).randrange(column.start, column.end)
    changed = content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :]
    times = part.stat() if isinstance(part, Path) else None
    files.write(part, changed)
    if isinstance(part, Path) and times is not None:
        os.utime(part, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_damage_after_a_look_is_found_by_the_next_query_that_reads_it(root: Location) -> None:
    store = RowStore(root / "rows", SCHEMA)
    store.append(rows(["a", "b"]))
    store.append(rows(["c", "d"]))
    assert store.missing(["a", "x", "d"]) == ["x"]
    assert store.scan().collect().height == 4
    second = store.parts()[1]
    spoil_column(second, "matrices")
    assert store.missing(["a", "x", "d"]) == ["x"]
    assert store.scan().select("key", "loss").collect().height == 4
    for read in (
        store.scan().collect,
        store.scan().select("matrices").collect,
        store.scan().filter(pl.col("matrices").list.len() > 0).select("key").collect,
        lambda: list(store.chunks(store.keys())),
        lambda: RowStore(store.folder, SCHEMA).scan().select("matrices").collect(),
    ):
        with pytest.raises(DamagedError, match="has changed since it was written") as found:
            read()
        assert list(found.value.damage) == [second]
    assert store.damage() == {second: "has changed since it was written"}
    spoil_column(second, "key")
    with pytest.raises(DamagedError, match=second.name):
        store.missing(["a"])
    assert list(store.damage()) == [second]


def test_a_query_that_finds_damage_names_all_damaged_parts(root: Location) -> None:
    store = RowStore(root / "rows", SCHEMA)
    for number in range(4):
        store.append(rows([f"{number}"]))
    first, second, _, last = store.parts()
    spoil_column(second, "matrices")
    spoil_column(last, "gaps")
    filesystem_of(first).write(first, b"")
    with pytest.raises(DamagedError) as found:
        store.missing(["1"])
    assert list(found.value.damage) == [first, second, last]


def test_a_look_reads_the_footers_and_the_keys_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = RowStore(tmp_path, SCHEMA)
    for number in range(3):
        store.append(rows([f"{number} a", f"{number} b"], values=100_000, seed=number))
    assert store.bytes() > 1_000_000
    read, sizes = local_reads._bytes_of, []

    def counting(*place: object) -> bytes:
        content: bytes = read(*place)  # type: ignore[arg-type]
        sizes.append(len(content))
        return content

    monkeypatch.setattr(local_reads, "_bytes_of", counting)
    monkeypatch.setattr(local_reads, "_TAIL_BYTES", 4096)
    assert store.missing(["0 a", "2 b", "3 a"]) == ["3 a"]
    assert len(sizes) == 3 * 2
    assert sum(sizes) < 3 * 5000
    assert store.scan().collect().height == 6
    assert sum(sizes) > store.bytes()


def older_part(store: RowStore, frame: pl.DataFrame) -> Path:
    """A part of an earlier version: written by Polars, without checksums of its columns."""
    part = store.folder / unique_part_name()
    filesystem_of(part).write(part, sealed_parquet(frame))
    return part  # type: ignore[return-value]


def test_older_parts_are_verified_whole_and_read_beside_newer_ones(tmp_path: Path) -> None:
    store = RowStore(tmp_path, SCHEMA)
    first = older_part(store, rows(["a", "b"]).drop("gaps"))
    store.append(rows(["b", "c"], seed=1))
    older = rows(["a", "b"]).with_columns(gaps=pl.lit(None, pl.List(pl.Int64)))
    expected = pl.concat([older, rows(["b", "c"], seed=1)[1:]])
    assert_frame_equal(store.scan().collect(), expected)
    assert_frame_equal(pl.concat(store.chunks(expected["key"])), expected)
    content = first.read_bytes()
    place = content.index(b"a", 4)
    first.write_bytes(content[: place + 90] + b"?" + content[place + 91 :])
    assert RowStore(tmp_path, SCHEMA).damage().keys() == {first}
    with pytest.raises(DamagedError, match=first.name):
        RowStore(tmp_path, SCHEMA).missing(["a"])
