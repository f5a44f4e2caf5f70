"""Many rows of the hub: downloaded once, read as a stream, ranked like few."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from polars.testing import assert_frame_equal

from bench.stub_runner import StubRunner
from gradpipe.benchmarks.hub_datasets import HubDataset
from gradpipe.standalone import data_stream, hub_download
from gradpipe.standalone.data_stream import RowSelection, open_data
from gradpipe.standalone.example_chunks import ExampleChunks
from gradpipe.standalone.rank_examples import RankOrder
from gradpipe.standalone.rank_file import write_ranking
from gradpipe.standalone.ranking_run import RankingRun

DATA = HubDataset("org/name", None, "train", "c" * 40)
ORDER = RankOrder(by="nuclear_norm")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int | None]]:
    """The downloads; the data set has 100 rows, the first of which have no note."""
    asked = []

    def batches(_: HubDataset, offset: int, limit: int | None) -> Iterator[pa.Table]:
        asked.append((offset, limit))
        for start in range(offset, min(100, offset + (limit or 100)), 10):
            rows: list[dict[str, Any]] = [
                {"question": f"{n}?", "answer": f"{n}.", "note": None if n < 30 else f"n{n}"}
                for n in range(start, start + 10)
            ]
            table = pa.Table.from_pylist(rows)
            yield table.replace_schema_metadata({"huggingface": "features"})

    monkeypatch.setattr(hub_download, "hub_row_batches", batches)
    return asked


def rank(folder: Path, **selected: Any) -> tuple[pl.DataFrame, Path, bool]:
    selection = RowSelection(**selected)
    stream = open_data(DATA, selection, folder / "data")
    chunks = ExampleChunks(stream=stream, selection=selection)
    run, out = RankingRun(chunks, StubRunner(), ORDER), folder / "out.parquet"
    return write_ranking(chunks, out, ORDER, run.run, overwrite=True), out, stream.whole


def test_many_rows_give_the_ranking_of_few(
    tmp_path: Path, asked: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    few, out, whole = rank(tmp_path, offset=20, limit=50)
    assert whole
    expected = pl.read_parquet(out)
    # Two batches, which have a note already.
    monkeypatch.setattr(hub_download, "WHOLE_BYTES", 600)
    many, out, whole = rank(tmp_path, offset=20, limit=50)
    assert not whole
    assert few["row"].min() == 20
    assert_frame_equal(many, few)
    assert_frame_equal(pl.read_parquet(out), expected)
    metadata = pl.read_parquet_metadata(out)
    assert metadata["data_revision"] == "c" * 40
    assert metadata["huggingface"] == "features"
    # A later run reads the file of the first.
    assert_frame_equal(rank(tmp_path, offset=20, limit=50)[0], few)
    assert asked == [(20, 50), (20, 50)]
    rank(tmp_path, offset=20, limit=40)
    assert len(asked) == 3


def test_data_stream_reads_whole_what_the_hub_module_does() -> None:
    assert data_stream.WHOLE_BYTES == hub_download.WHOLE_BYTES
