"""A user's file in another order: the content of its rows is unchanged."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from gradpipe.benchmarks.table_files import parse_table
from gradpipe.standalone.rewrite_file import rewrite_rows
from gradpipe.tables.parts import open_part

ROWS: list[dict[str, Any]] = [
    {"instruction": "Größe?", "output": "1", "meta": {"tags": ["a", 1, None], "n": 1.50}},
    {"instruction": "x", "output": 'say "hi",\nthen go', "id": 10**20},
    {"output": "no line \u2028 ends here", "instruction": "", "meta": None, "flag": True},
    {"instruction": "x", "output": 'say "hi",\nthen go', "id": 10**20},
]
ORDER = [2, 0, 3, 1]
ADDED = pl.DataFrame({"score": [2.5, 1 / 3, None, 0.1], "reason": [None, None, "empty", None]})


@pytest.mark.parametrize("kind", ["json", "jsonl", "ndjson"])
def test_objects_keep_their_nesting_their_kinds_and_the_keys_that_others_lack(kind: str) -> None:
    text = json.dumps(ROWS) if kind == "json" else "\n\n".join(map(json.dumps, ROWS))
    # As Windows writes it.
    written = rewrite_rows(
        [open_part(b"\xef\xbb\xbf" + text.encode(), f"rows.{kind}")], ORDER, ADDED
    )
    lines = written.decode().rstrip("\n").split("\n")
    found = json.loads(written) if kind == "json" else [json.loads(line) for line in lines]
    added = ADDED.to_dicts()
    assert found == [{**ROWS[row], **more} for row, more in zip(ORDER, added, strict=True)]
    assert [list(row) for row in found] == [[*ROWS[row], "score", "reason"] for row in ORDER]
    assert "Größe" in written.decode()


@pytest.mark.parametrize(("kind", "separator"), [("csv", ","), ("tsv", "\t")])
def test_cells_keep_their_text(kind: str, separator: str) -> None:
    cells = [
        ["instruction", "output", "id", "empty", "blank"],
        ["a, b", 'say "hi"', "007", "", '""'],
        ["line\nbreak", "x\ty", "1e3", "", '""'],
        ["c", "true", " 5 ", "", '""'],
        ["d", "é", "0.10", "", '""'],
    ]

    def quoted(cell: str) -> str:
        escaped = cell.replace('"', '""')
        return cell if cell in {"", '""'} else f'"{escaped}"'

    data = "\n".join(separator.join(map(quoted, row)) for row in cells).encode()
    written = rewrite_rows([open_part(data, f"rows.{kind}")], ORDER, ADDED)
    before, after = (parse_table(content, f"rows.{kind}") for content in (data, written))
    assert_frame_equal(after.select(before.columns), before[ORDER])
    assert before["empty"].null_count() == 4
    assert before["blank"].null_count() == 0
    assert after["score"].to_list() == ["2.5", str(1 / 3), None, "0.1"]
    assert after.columns == [*before.columns, "score", "reason"]


def test_columns_keep_their_types(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "instruction": pl.Series(list("abca"), dtype=pl.Categorical),
            "meta": [{"tags": [1, 2]}, {"tags": []}, None, {"tags": [3]}],
            "small": pl.Series([1, 2, 3, None], dtype=pl.Int8),
            "bytes": [b"\x00", b"", b"x", None],
        }
    )
    frame.write_parquet(tmp_path / "rows.parquet")
    data = (tmp_path / "rows.parquet").read_bytes()
    found = pl.read_parquet(BytesIO(rewrite_rows([open_part(data, "rows.parquet")], ORDER, ADDED)))
    assert_frame_equal(found.select(frame.columns), frame[ORDER])
    assert_frame_equal(found.select(ADDED.columns), ADDED)


@pytest.mark.parametrize("kind", ["json", "jsonl", "csv", "parquet"])
def test_a_part_of_the_rows_may_be_left_out(kind: str, tmp_path: Path) -> None:
    frame = pl.DataFrame({"instruction": list("abcd"), "output": list("efgh")})
    path = tmp_path / f"rows.{kind}"
    {
        "json": frame.write_json,
        "jsonl": frame.write_ndjson,
        "csv": frame.write_csv,
        "parquet": frame.write_parquet,
    }[kind](path)
    for order in ([3, 1], []):
        written = rewrite_rows(
            [open_part(path.read_bytes(), path.name)], order, ADDED.head(len(order))
        )
        path.with_stem("part").write_bytes(written)
        if order:
            found = parse_table(written, path.name)
            assert_frame_equal(found.select(frame.columns), frame[order])
        else:
            assert b"abcd" not in written
