"""The table of ``extract_spectra``: as ``gradpipe extract`` has it, with more statistics."""

import polars as pl

from gradpipe.standalone.spectra_table import EXTRACT_STATISTICS, spectra_table
from gradpipe.statistics.reductions import computable_statistics, reduce_spectra

#: The columns of an unusable example that are not null.
_OF_UNUSABLE = ("example", "tokens", "response_tokens", "truncated", "reason")
#: How many unusable examples a note names.
_NAMED = 3


def full_spectra_table(rows: pl.DataFrame) -> pl.DataFrame:
    """Extracted rows (ROW_SCHEMA) as ``spectra_table`` has them, with every statistic.

    The further statistics follow those of the command. An unusable example has one row without a
    layer; the last column, ``reason``, is null for all others.
    """
    table = spectra_table(rows)
    more = [name for name in computable_statistics(table.columns) if name not in table.columns]
    first = table.columns[: table.columns.index(EXTRACT_STATISTICS[-1]) + 1]
    full = reduce_spectra(table.lazy(), more).select(
        *first, *more, pl.exclude(*first, *more), pl.lit(None, pl.String).alias("reason")
    )
    unusable = rows.filter(pl.col("reason").is_not_null()).rename({"row": "example"})
    both = pl.concat([full.collect(), unusable.select(_OF_UNUSABLE)], how="diagonal")
    return both.sort("example", maintain_order=True)


def unusable_note(table: pl.DataFrame, examples: int) -> str:
    """A sentence on the unusable examples in a table of spectra; empty without any."""
    unusable = table.drop_nulls("reason").select("example", "reason").rows()
    if not unusable:
        return ""
    named = "; ".join(f"example {number}: {reason}" for number, reason in unusable[:_NAMED])
    more = f"; and {len(unusable) - _NAMED} more" if len(unusable) > _NAMED else ""
    return (
        f"{len(unusable)} of {examples} examples cannot be used ({named}{more}). The column "
        "`reason` names them."
    )
