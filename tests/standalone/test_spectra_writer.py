"""A table that is written in slices: columns that come late, and unfinished files."""

from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from gradpipe.errors import DataError
from gradpipe.standalone.spectra_writer import file_metadata, spectra_file

PLAIN = pl.DataFrame({"example": [0, 1], "singular_values": [[1.0, 0.5], []]})
EXPERTS = pl.DataFrame(
    {"example": [2], "singular_values": [[2.0]], "experts": [[{"expert": 1, "tokens": 3}]]}
)
HEADS = EXPERTS.rename({"experts": "heads"})


def test_columns_of_parts_may_begin_in_any_slice(tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    with spectra_file(out) as writer:
        for table in (PLAIN.clear(), PLAIN, EXPERTS, PLAIN, HEADS):
            writer.write(table)
        writer.finish({"rows": "6"})
    found = pl.read_parquet(out)
    assert_frame_equal(found, pl.concat([PLAIN, EXPERTS, PLAIN, HEADS], how="diagonal"))
    assert found.columns[-2:] == ["experts", "heads"]
    assert file_metadata(out)["rows"] == "6"
    assert [path.name for path in tmp_path.iterdir()] == ["out.parquet"]


def test_a_file_that_is_not_finished_leaves_the_earlier_one(tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    out.write_bytes(b"earlier")
    with spectra_file(out) as writer:
        writer.write(PLAIN)
    assert out.read_bytes() == b"earlier"
    assert [path.name for path in tmp_path.iterdir()] == ["out.parquet"]
    assert file_metadata(out) == {}


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    out = tmp_path / "none" / "out.parquet"
    with pytest.raises(DataError, match=r"none/out\.parquet"), spectra_file(out) as writer:
        writer.write(PLAIN)
