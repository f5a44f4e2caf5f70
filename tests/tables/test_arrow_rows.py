"""Arrow and Parquet files, whose schema and metadata a ranked file keeps."""

import io
import json
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from polars.testing import assert_frame_equal
from pyarrow import feather, ipc, parquet

from gradpipe.benchmarks.table_files import text_column
from gradpipe.standalone.rewrite_file import rewrite_rows
from gradpipe.tables.parts import open_part
from tests.tables.texts import frame

TABLE = pa.table(
    {"instruction": ["a", "b", None], "output": ["c", "d", "e"], "label": [0, 1, 1]}
).replace_schema_metadata({"own": "kept"})
ADDED = pl.DataFrame({"score": [2.0, 1.0, None], "reason": [None, None, "empty"]})
ORDER = [2, 0, 1]


def as_stream(table: pa.Table, **options: Any) -> bytes:
    buffer = io.BytesIO()
    with ipc.new_stream(buffer, table.schema, **options) as writer:
        writer.write_table(table)
    return buffer.getvalue()


def as_file(table: pa.Table, compression: str | None = None) -> bytes:
    buffer = io.BytesIO()
    options = ipc.IpcWriteOptions(compression=compression)
    with ipc.new_file(buffer, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=2)
    return buffer.getvalue()


def as_feather(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    feather.write_feather(table, buffer)
    return buffer.getvalue()


def as_parquet(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    parquet.write_table(table, buffer)
    return buffer.getvalue()


def opened(data: bytes) -> pa.Table:
    if data.startswith(b"PAR1"):
        return parquet.read_table(io.BytesIO(data))
    reader = ipc.open_file if data.startswith(b"ARROW1") else ipc.open_stream
    return reader(io.BytesIO(data)).read_all()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.arrow", as_stream(TABLE)),
        ("a.arrow", as_file(TABLE)),
        ("a.arrow", as_file(TABLE, "zstd")),
        ("a.feather", as_file(TABLE, "lz4")),
        ("a.feather", as_feather(TABLE)),
        ("a.parquet", as_parquet(TABLE)),
    ],
)
def test_rows_are_read_and_ranked_with_their_schema(name: str, data: bytes) -> None:
    assert frame(data, name).rows() == [("a", "c", 0), ("b", "d", 1), (None, "e", 1)]
    written = opened(rewrite_rows([open_part(data, name)], ORDER, ADDED))
    assert written.select(TABLE.column_names).equals(TABLE.take(ORDER))
    assert written.schema.metadata == {b"own": b"kept"}
    assert written.schema.field("reason").type == pa.string()
    assert written.select(ADDED.columns).to_pydict() == ADDED.to_dict(as_series=False)


def test_types_keep_their_width_and_nesting() -> None:
    table = pa.table(
        {
            "instruction": pa.array(["a", "b", "c"], pa.large_string()),
            "tags": pa.array([["x"], [], None], pa.list_(pa.string())),
            "kind": pa.array(["u", "v", "u"]).dictionary_encode(),
            "meta": pa.array([{"n": 1}, None, {"n": 3}], pa.struct([("n", pa.int16())])),
        },
        metadata={"huggingface": "{}"},
    )
    for data, name in ((as_parquet(table), "a.parquet"), (as_stream(table), "a.arrow")):
        written = opened(rewrite_rows([open_part(data, name)], ORDER, ADDED))
        # Parquet calls the elements of lists "element".
        rows = opened(data).take(ORDER)
        assert written.select(table.column_names).equals(rows, check_metadata=True)


def test_the_text_views_that_polars_writes_are_ranked_too() -> None:
    table = pl.DataFrame({"instruction": ["a" * 20, "b", None], "tags": [["x"], [], None]})
    buffer = io.BytesIO()
    table.write_ipc(buffer, compression="zstd")
    part = open_part(buffer.getvalue(), "a.arrow")
    assert_frame_equal(frame(part.data, "a.arrow"), table)
    written = rewrite_rows([part], ORDER, ADDED)
    assert opened(written).schema.field("instruction").type == pa.large_string()
    assert_frame_equal(frame(written, "a.arrow").select(table.columns), table[ORDER])


def test_a_data_sets_features_are_those_of_the_ranked_file(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        instruction=datasets.Value("string"),
        label=datasets.ClassLabel(names=["no", "yes"]),
        tags=datasets.List(datasets.Value("string")),
    )
    rows = {"instruction": ["a", "b", "c"], "label": [0, 1, 1], "tags": [["x"], [], ["y", "z"]]}
    saved = datasets.Dataset.from_dict(rows, features=features)
    saved.to_parquet(tmp_path / "a.parquet")
    part = open_part((tmp_path / "a.parquet").read_bytes(), "a.parquet")
    (tmp_path / "ranked.parquet").write_bytes(rewrite_rows([part], ORDER, ADDED))
    ranked = datasets.Dataset.from_parquet(
        str(tmp_path / "ranked.parquet"), cache_dir=str(tmp_path / "cache")
    )
    assert {name: ranked.features[name] for name in features} == dict(features)
    assert ranked["instruction"][:] == ["c", "a", "b"]
    assert ranked["score"][:] == [2.0, 1.0, None]


@pytest.mark.parametrize(
    ("index", "kept"),
    [(["x", "y", "z"], ["z", "x", "y"]), (range(3), [0, 1, 2]), (range(5, 11, 2), [9, 5, 7])],
)
def test_a_pandas_index_labels_the_same_rows(index: Any, kept: list[Any]) -> None:
    pandas = pytest.importorskip("pandas")
    before = pandas.DataFrame({"instruction": ["a", "b", "c"]}, index=pandas.Index(index))
    buffer = io.BytesIO()
    before.to_parquet(buffer)
    part = open_part(buffer.getvalue(), "a.parquet")
    after = pandas.read_parquet(io.BytesIO(rewrite_rows([part], ORDER, ADDED)))
    assert after["instruction"].to_list() == ["c", "a", "b"]
    assert after.index.to_list() == kept
    assert after.columns.to_list() == ["instruction", "score", "reason"]


@pytest.mark.parametrize("pandas", [b"\xff", b"[]", b'{"index_columns": [{"kind": "range"}]}'])
def test_odd_pandas_metadata_is_kept_as_it_is(pandas: bytes) -> None:
    table = TABLE.replace_schema_metadata({"pandas": pandas})
    written = opened(rewrite_rows([open_part(as_stream(table), "a.arrow")], ORDER, ADDED))
    assert written.schema.metadata == {b"pandas": pandas}


def test_a_missing_value_is_the_same_in_every_format() -> None:
    texts = ["x", None, None]
    data = {
        "a.csv": b"output,other\nx,1\n,2\n,3\n",
        "a.json": b'[{"output": "x"}, {"output": null}, {"output": NaN}]',
        "a.jsonl": b'{"output": "x"}\n{"output": NaN}\n{}\n',
        "a.parquet": as_parquet(pa.table({"output": texts})),
        "a.arrow": as_stream(pa.table({"output": texts})),
    }
    for name, content in data.items():
        assert frame(content, name)["output"].to_list() == texts, name
    numbers = pa.table({"output": [1.0, float("nan"), None]})
    for name, content in {
        "a.parquet": as_parquet(numbers),
        "a.arrow": as_stream(numbers),
        "a.json": json.dumps([{"output": v} for v in (1.0, float("nan"), None)]).encode(),
    }.items():
        found = text_column(frame(content, name), "output", name).to_list()
        assert found == ["1.0", None, None], name
