"""Work for an engine: rows of many lengths on the small model, and a store of their own."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from gradpipe.engines.work import Work
from gradpipe.gradients.protocol import STANDARD
from gradpipe.models.fingerprint import fingerprint
from gradpipe.models.source import resolve_model
from storage.row_store import RowStore
from storage.workspace import SPECTRA_SCHEMA

MakeWork = Callable[..., tuple[Work, RowStore]]
ROWS = 120
#: The row that has no response.
EMPTY = "k7"


def examples(rows: int = ROWS) -> pl.DataFrame:
    """Rows ``k0``, ``k1``, ... of the benchmark ``sums``."""
    return pl.DataFrame(
        {
            "key": f"k{number}",
            "instruction": f"What is {number} and {number}? " * (number % 5 + 1),
            "response": "" if f"k{number}" == EMPTY else "It is so. " * (number % 7 + 1),
            "benchmark": "sums",
            "index": number,
            "style": "none",
            "relevance": "correct",
        }
        for number in range(rows)
    )


@pytest.fixture
def make_work(small_model: Path, tmp_path: Path) -> MakeWork:
    """Work of 120 rows, some of its fields changed, with the store that its rows go to."""
    source = resolve_model(str(small_model))

    def make(**changes: Any) -> tuple[Work, RowStore]:
        store = RowStore(tmp_path / "rows", SPECTRA_SCHEMA)
        work = Work(
            source,
            "small",
            fingerprint(source),
            STANDARD,
            examples(),
            store.append,
            store.missing,
        )
        return replace(work, **changes), store

    return make
