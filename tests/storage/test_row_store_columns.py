"""Columns of parts in an object store: what comes back, and what is fetched for it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from gradpipe.errors import DamagedError, WorkspaceError
from gradpipe.gradients.rows import MATRIX, explode_matrices, explode_spans
from storage.checksums import sealed_parquet
from storage.locations import filesystem_of, open_location
from storage.object_reads import TAIL_BYTES
from storage.parts import unique_part_name
from storage.row_store import RowStore
from storage.tables import Table
from storage.workspace import SPECTRA_SCHEMA

if TYPE_CHECKING:
    from upath import UPath

    from storage.filesystem import Location


def span(values: np.ndarray, name: str) -> dict[str, Any]:
    """A span with one matrix."""
    matrix = {
        "layer": 0,
        "projection": "q",
        "frobenius_norm": 1.0,
        "singular_values": values.tolist(),
        "token_norms": 2.0,
        "token_energy": 1.5,
    }
    return {"name": name, "tokens": 3, "loss": 0.5, "matrices": [matrix]}


def spectra(part: int, count: int = 4) -> pl.DataFrame:
    """Rows as an extraction leaves them: some numbers, and matrices a thousand times as large."""
    values = np.random.default_rng(part).random((count, 8, 500))
    return pl.DataFrame(
        [
            {
                "key": f"{part} {row}",
                "loss": 0.5 * row,
                "tokens": row,
                "matrices": [
                    {
                        "layer": layer,
                        "projection": "q",
                        "frobenius_norm": 1.0,
                        "singular_values": spectrum.tolist(),
                        "next_layer_cosine": 0.25 * part if layer and part else None,
                        "sketch": spectrum[:8] if part else None,
                        "token_norms": 2.0 + layer if part else None,
                        "token_energy": 1.5 * part if part else None,
                    }
                    for layer, spectrum in enumerate(values[row])
                ],
                "layers": [{"layer": layer, "q_o_cosine": 0.5 * row} for layer in range(8)],
                "spans": [span(values[row, 0, :4], f"step_{n}") for n in range(row % 3)],
            }
            for row in range(count)
        ],
        schema=SPECTRA_SCHEMA,
    )


def test_whole_spectra_come_back_as_they_were(root: "Location") -> None:
    store = RowStore(root / "rows", SPECTRA_SCHEMA)
    parts = [spectra(number) for number in range(3)]
    for part in parts:
        store.append(part)
    assert_frame_equal(store.scan().collect(), pl.concat(parts))
    keys = pl.concat(parts)["key"]
    assert_frame_equal(pl.concat(store.chunks(keys, parts=2)), pl.concat(parts))
    one = store.scan(pl.Series(["1 2"])).drop("matrices").collect()
    assert_frame_equal(one, parts[1][2:3].drop("matrices"))


LATER = ("token_norms", "token_energy", "experts", "heads")
MATRIX_FIELDS = [f.name for f in MATRIX.fields if f.name not in LATER]
SPAN_FIELDS = ["layer", "projection", "frobenius_norm", "singular_values"]


def _only(names: list[str]) -> pl.Expr:
    """The matrices of a list, with some of their fields."""
    return pl.struct(pl.element().struct.field(name) for name in names)


def as_before(rows: pl.DataFrame) -> pl.DataFrame:
    """Spectra as they were written before there were cosines, sketches and spans."""
    return rows.drop("layers", "spans").with_columns(
        pl.col("matrices").list.eval(_only(SPAN_FIELDS))
    )


def test_parts_of_an_older_schema_are_read_beside_newer_ones(root: "Location") -> None:
    store = RowStore(root / "rows", SPECTRA_SCHEMA)
    older, newer = spectra(0), spectra(1)
    part = store.folder / unique_part_name()
    filesystem_of(part).write(part, sealed_parquet(as_before(older)))
    store.append(newer)
    later = [pl.lit(None, SPECTRA_SCHEMA[name]).alias(name) for name in ("layers", "spans")]
    expected = pl.concat([older.with_columns(later), newer])
    read = store.scan().collect()
    assert read.schema == SPECTRA_SCHEMA
    assert_frame_equal(read, expected)
    assert_frame_equal(pl.concat(store.chunks(expected["key"], parts=1)), expected)
    assert store.keys().sort().to_list() == expected["key"].sort().to_list()
    assert store.scan().select("key", "layers", "spans").collect().height == expected.height
    matrices = explode_spans(read.lazy().with_columns(reason=pl.lit(None, pl.String))).collect()
    assert matrices["key"].to_list() == ["1 1", "1 2", "1 2"]
    assert store.discard(pl.col("key") == "0 1") == 1
    kept = expected.filter(pl.col("key") != "0 1").sort("key")
    assert_frame_equal(store.scan().collect().sort("key"), kept)


def test_the_parts_of_gradients_come_back_beside_rows_without_them(root: "Location") -> None:
    store = RowStore(root / "rows", SPECTRA_SCHEMA)
    part = {"frobenius_norm": 2.0, "nuclear_norm": 3.0, "effective_rank": None}
    given: dict[str, Any] = {
        "experts": [{"expert": 1, "tokens": 5, **part}, {"expert": 7, "tokens": 1, **part}],
        "heads": [{"head": 0, "frobenius_norm": 2.0, "singular_values": [2.0, 0.5]}],
    }
    plain, dicts = spectra(0), spectra(1).to_dicts()
    for row in dicts:
        row["matrices"] = [{**matrix, **given} for matrix in row["matrices"]]
    rows = pl.DataFrame(dicts, schema=SPECTRA_SCHEMA)
    part_file = store.folder / unique_part_name()
    filesystem_of(part_file).write(part_file, sealed_parquet(as_before(plain)))
    store.append(rows)
    read = store.scan().collect()
    assert read.schema == SPECTRA_SCHEMA
    again = read.explode("matrices").unnest("matrices")
    old = again["key"].is_in(plain["key"].implode())
    for name, each in given.items():
        assert again.filter(old)[name].null_count() == old.sum()
        assert again.filter(~old)[name].to_list() == [each] * int((~old).sum())


def test_parts_without_the_sizes_of_tokens_are_read_with_nulls(root: "Location") -> None:
    store = RowStore(root / "rows", SPECTRA_SCHEMA)
    newer = spectra(1)
    span = pl.element().struct.field
    of_spans = [span("matrices").list.eval(_only(SPAN_FIELDS)).alias("matrices")]
    older = newer.with_columns(
        pl.col("key") + " of old",
        pl.col("matrices").list.eval(_only(MATRIX_FIELDS)),
        pl.col("spans").list.eval(pl.struct(span("name"), span("tokens"), span("loss"), *of_spans)),
    )
    part = store.folder / unique_part_name()
    filesystem_of(part).write(part, sealed_parquet(older))
    store.append(newer)
    for read in (store.scan().collect(), pl.concat(store.chunks(store.keys(), parts=1))):
        assert read.schema == SPECTRA_SCHEMA
        rows = read.with_columns(reason=pl.lit(None, pl.String)).lazy()
        for exploded in (explode_matrices(rows), explode_spans(rows)):
            matrices = exploded.collect()
            old = matrices["key"].str.ends_with("of old")
            for name in ("token_norms", "token_energy"):
                assert matrices[name].is_null().to_list() == old.to_list()
            assert 0 < old.sum() < matrices.height
            assert matrices["singular_values"].null_count() == 0


@contextmanager
def counted(address: "UPath", monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The bytes of each request that reads."""
    read: Any = address.fs.cat_file
    sizes: list[int] = []

    def counting(*arguments: Any, **options: Any) -> bytes:
        data: bytes = read(*arguments, **options)
        sizes.append(len(data))
        return data

    with monkeypatch.context() as patch:
        patch.setattr(address.fs, "cat_file", counting)
        yield sizes


@pytest.mark.parametrize("root", ["memory", "s3"], indirect=True)
def test_only_what_is_asked_for_is_fetched(root: "UPath", monkeypatch: pytest.MonkeyPatch) -> None:
    store = RowStore(root / "rows", SPECTRA_SCHEMA)
    for number in range(3):
        store.append(spectra(number, count=64))
    whole = store.bytes()
    assert whole > 3 * 10 * TAIL_BYTES
    for query in (
        store.keys,
        store.scan(pl.Series(["0 1", "2 3"])).drop("matrices").collect,
    ):
        with counted(root, monkeypatch) as sizes:
            query()
        assert sum(sizes) < 3 * 1.1 * TAIL_BYTES
        assert len(sizes) <= 3 * 2, "a footer and a run of columns each"
    with counted(root, monkeypatch) as sizes:
        assert store.scan().collect().height == 3 * 64
    assert sum(sizes) >= whole

    table = Table(root / "t.parquet")
    table.write(store.scan().collect(), "v1", "known")
    with counted(root, monkeypatch) as sizes:
        assert table.is_current("v1")
    assert sizes == [TAIL_BYTES]
    with counted(root, monkeypatch) as sizes:
        table.read()
    assert len(sizes) == 1, "two requests could see two tables"


def test_a_part_that_is_damaged_or_gone_is_said_to_be_so(
    s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = RowStore(open_location(s3) / "rows", SPECTRA_SCHEMA)
    store.append(spectra(0))
    listed = store._sizes()
    filesystem_of(store.folder).delete(store.folder)
    assert store.scan().collect().is_empty()
    with monkeypatch.context() as patch:
        patch.setattr(store, "_sizes", lambda: listed)
        patch.setattr("storage.row_store._PAUSES", (0.0, 0.0))
        for read in (store.scan().collect, lambda: list(store.chunks(pl.Series(["0 1"])))):
            with pytest.raises(WorkspaceError, match=r"rows are deleted .* \(.*part-"):
                read()
    store._files.write(store.folder / "part-1.parquet", b"no Parquet")
    with pytest.raises(DamagedError, match=r"part-1\.parquet cannot be read: .*magic"):
        store.keys()
