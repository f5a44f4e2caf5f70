"""The stored answers of every generating model of a workspace."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import polars as pl

from gradpipe.generators.calls import CALL_SCHEMA
from storage.row_store import KEY, RowStore

if TYPE_CHECKING:
    from storage.workspace import Workspace


def answers_of_calls(
    workspace: Workspace, keys: pl.Series, columns: Sequence[str] = tuple(CALL_SCHEMA)
) -> pl.DataFrame:
    """The ``columns`` of the answers with one of ``keys``, of any model; raises DamagedError.

    A study may have changed its generator since its responses were written.
    """
    keys = keys.drop_nulls().unique()
    answers = [CALL_SCHEMA.to_frame().select(columns)]
    if len(keys):
        files = workspace.files.files_below(workspace.root / "generations")
        for folder in dict.fromkeys(file.parent for file in files):
            answers.append(RowStore(folder, CALL_SCHEMA).scan(keys).select(columns).collect())
    return pl.concat(answers).unique(KEY, keep="first", maintain_order=True)
