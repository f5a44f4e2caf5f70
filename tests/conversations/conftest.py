"""Tables of training data as each container holds them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from gradpipe.benchmarks.table_files import parse_table
from gradpipe.conversations.examples import Example
from gradpipe.conversations.formats import find_format
from gradpipe.conversations.read_examples import read_examples
from gradpipe.standalone.user_examples import to_examples

Rows = list[dict[str, Any]]
Reader = Callable[..., list[Example]]


def _as_json(rows: Rows, _: Path) -> pl.DataFrame:
    lines = "\n".join(json.dumps(row) for row in rows)
    return parse_table(lines.encode(), "data.jsonl")


def _as_parquet(rows: Rows, folder: Path) -> pl.DataFrame:
    datasets = pytest.importorskip("datasets")
    path = folder / "data.parquet"
    datasets.Dataset.from_list(rows).to_parquet(path)
    return parse_table(path.read_bytes(), path.name)


def _as_json_in_csv(rows: Rows, _: Path) -> pl.DataFrame:
    cells = [
        {key: cell if isinstance(cell, str) else json.dumps(cell) for key, cell in row.items()}
        for row in rows
    ]
    return parse_table(pl.DataFrame(cells).write_csv().encode(), "data.csv")


CONTAINERS = {"jsonl": _as_json, "parquet": _as_parquet, "csv": _as_json_in_csv}


@pytest.fixture(params=[*CONTAINERS, "objects"])
def read(request: pytest.FixtureRequest, tmp_path: Path) -> Reader:
    """A function that writes rows to a container, and reads their examples from it."""

    def read_rows(
        rows: Rows, columns: dict[str, str] | None = None, response_template: str | None = None
    ) -> list[Example]:
        if request.param == "objects":
            return to_examples(rows, columns, response_template)
        table = CONTAINERS[request.param](rows, tmp_path)
        data_format = find_format(table, "data", columns)
        return read_examples(table, data_format, "data", response_template=response_template)

    return read_rows


@pytest.fixture
def as_json() -> Callable[[Rows], pl.DataFrame]:
    """A function that gives rows as the table that a JSONL file of them is."""
    return lambda rows: _as_json(rows, Path())
