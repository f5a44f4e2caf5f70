"""Tables of parts of a data file, joined: what one extraction would have written."""

import json
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner
from polars.testing import assert_frame_equal

from bench.stub_runner import StubRunner
from gradpipe.cli import main
from gradpipe.errors import DataError
from gradpipe.gradients.protocol import PAPER
from gradpipe.standalone.data_stream import ALL_ROWS, RowSelection, open_data
from gradpipe.standalone.example_chunks import ExampleChunks
from gradpipe.standalone.extraction_run import ExtractionRun
from gradpipe.standalone.merge_parts import merge_spectra
from gradpipe.standalone.rank_examples import RankOrder
from gradpipe.standalone.rank_file import rank_by_spectra, rank_file

ROWS = [
    {"instruction": f"Say {n}.", "output": f"Well, {n}!" if n % 9 else "", "source": "abc"[n % 3]}
    for n in range(40)
]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


def part(
    data: Path,
    name: str,
    selection: RowSelection = ALL_ROWS,
    runner: StubRunner | None = None,
    shard_size: int | None = None,
) -> Path:
    """The table of some rows."""
    chunks = ExampleChunks(
        stream=open_data(str(data), selection), selection=selection, ends=shard_size
    )
    out = data.with_name(name)
    ExtractionRun(chunks, runner or StubRunner(), out, shard_size=shard_size).run()
    return out


def same(one: Path, other: Path) -> None:
    """Equal rows, and equal unusable ones."""
    assert_frame_equal(pl.read_parquet(one), pl.read_parquet(other))
    left, right = (pl.read_parquet_metadata(path) for path in (one, other))
    for name in ("unusable", "rows", "extraction", "model", "protocol"):
        assert left[name] == right[name]


def test_parts_by_number_are_joined_in_the_order_of_the_data(data: Path, tmp_path: Path) -> None:
    whole, out = part(data, "whole"), tmp_path / "out.parquet"
    tables = [
        part(data, "b", RowSelection(offset=17, limit=11)),
        part(data, "c", RowSelection(offset=28), shard_size=5),
        part(data, "a", RowSelection(limit=17)),
    ]
    assert merge_spectra(tables, out) == (40 - 5, 5)
    same(out, whole)
    # A part may itself be merged.
    merge_spectra(tables[:2], tmp_path / "late.parquet")
    merge_spectra([tables[2], tmp_path / "late.parquet"], out)
    same(out, whole)


def test_parts_by_a_condition_alternate(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    tables = [part(data, name, RowSelection(where=f"source = '{name}'")) for name in "cab"]
    merge_spectra(tables, out)
    same(out, part(data, "whole"))


def test_a_merged_table_and_shards_are_checked_against_the_data(data: Path, tmp_path: Path) -> None:
    order = RankOrder(by="nuclear_norm")
    expected = rank_file(str(data), tmp_path / "expected.jsonl", order, StubRunner())
    merged, alternating = tmp_path / "merged", tmp_path / "alternating"
    by_number = [part(data, "b", RowSelection(offset=17)), part(data, "a", RowSelection(limit=17))]
    merge_spectra(by_number, merged)
    by_source = [part(data, name, RowSelection(where=f"source = '{name}'")) for name in "abc"]
    merge_spectra(by_source, alternating)
    for table in (merged, alternating, part(data, "shards", shard_size=7)):
        out = tmp_path / "ranked.jsonl"
        found = rank_file(str(data), out, order, table, overwrite=True)
        assert_frame_equal(found, expected)
    selection = RowSelection(where="source = 'b'")
    chunks = ExampleChunks(stream=open_data(str(data)), selection=selection)
    assert rank_by_spectra(by_source[1], chunks, order)["row"].sort().to_list() == [
        *range(1, 40, 3)
    ]

    rows = [{**row, "output": "Other."} if n == 30 else row for n, row in enumerate(ROWS)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for table in (merged, tmp_path / "shards"):
        with pytest.raises(DataError, match="other texts"):
            rank_file(str(data), tmp_path / "ranked.jsonl", order, table, overwrite=True)
    (tmp_path / "shards" / "part-00002-of-00006.parquet").unlink()
    with pytest.raises(DataError, match="5 of 6 parts"):
        rank_file(str(data), tmp_path / "ranked.jsonl", order, tmp_path / "shards", overwrite=True)


def test_parts_that_do_not_belong_together_are_refused(data: Path, tmp_path: Path) -> None:
    one = part(data, "a.parquet", RowSelection(limit=10))
    overlapping = part(data, "b.parquet", RowSelection(offset=9, limit=10))
    other = part(data, "c.parquet", RowSelection(offset=10), StubRunner(protocol=PAPER))
    earlier = tmp_path / "earlier.parquet"
    pl.read_parquet(one).write_parquet(earlier)
    out = tmp_path / "out.parquet"
    for tables, named in (
        ([one, overlapping], "row 9"),
        ([one, one], "row 0"),
        ([one, other], "protocol"),
        ([one, earlier], "earlier"),
        ([one, data], "data.jsonl"),
        ([one, tmp_path / "none"], "none"),
    ):
        with pytest.raises(DataError, match=named):
            merge_spectra(tables, out)
    assert not out.exists()


def test_merge_is_a_command(data: Path, tmp_path: Path) -> None:
    tables = [part(data, "a", RowSelection(limit=9)), part(data, "b", RowSelection(offset=9))]
    words = ["merge", *map(str, tables), "--out", str(tmp_path / "out.parquet")]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    assert result.stdout.split()[0] == "35"
    again = CliRunner().invoke(main, words)
    assert again.exit_code == 2
    assert "--overwrite" in again.stderr
    assert CliRunner().invoke(main, [*words, "--overwrite"]).exit_code == 0
