"""What an asset records: counts, seconds, and the data version that its children look at."""

from collections.abc import Mapping
from typing import Any

import dagster as dg
import polars as pl

from storage.tables import Notes

#: All stages in one group: the lineage page folds several into boxes that show no asset.
GROUP = "gradpipe"


def result(
    notes: Notes,
    *,
    computed: int,
    reused: int,
    seconds: float,
    metadata: Mapping[str, Any] | None = None,
) -> dg.MaterializeResult[Any]:
    """A materialisation with the numbers that every stage has, and its own ``metadata``."""
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": notes.rows,
            "computed": computed,
            "reused": reused,
            "seconds": round(seconds, 3),
            **(metadata or {}),
        },
        data_version=dg.DataVersion(notes.data),
    )


def preview(frame: pl.DataFrame, rows: int = 5) -> dg.MarkdownMetadataValue:
    """The first rows as a table in the UI, long texts cut."""
    head = frame.head(rows).select(
        pl.when(pl.col(name).str.len_chars() > 80)
        .then(pl.col(name).str.slice(0, 77) + "...")
        .otherwise(pl.col(name))
        .str.replace_all(r"[\r\n|]+", " ")
        if dtype == pl.String
        else pl.col(name).round_sig_figs(5)
        if dtype.is_float()
        else pl.col(name)
        for name, dtype in frame.schema.items()
    )
    lines = [head.columns, ["---"] * head.width, *head.iter_rows()]
    return dg.MetadataValue.md(
        "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)
    )
