"""User data: table files with named columns."""

from pathlib import Path

import polars as pl

from gradpipe.benchmarks.fetch import content_key
from gradpipe.benchmarks.items import build_items
from gradpipe.benchmarks.settings import BenchmarkSettings, ColumnNames
from gradpipe.benchmarks.shards import table_locations
from gradpipe.benchmarks.sources.source import Source
from gradpipe.benchmarks.table_files import instruction_column, join_input, read_table, text_column
from gradpipe.errors import DataError, nearest
from gradpipe.styles import STYLES
from gradpipe.system.hashing import content_hash
from gradpipe.tables.kinds import table_kind
from gradpipe.untrusted.compressed import COMPRESSIONS


class UserFiles(Source[BenchmarkSettings]):
    """Tables of the user's own, one per benchmark; any name is accepted."""

    name = "files"

    def content(self, config: BenchmarkSettings) -> dict[str, str]:
        """Identify the content of the file that ``read`` would read."""
        path = _path(config)
        files = table_locations(path)
        keys = [content_key(file) for file in files]
        suffix = Path(files[0]).suffix
        if suffix.lower() in COMPRESSIONS:
            suffix = "".join(table_kind(files[0]))
        return {suffix: keys[0] if files == [path] else content_hash(keys)}

    def read(self, config: BenchmarkSettings) -> pl.DataFrame:
        """Read all rows of a user's file as items, with columns named by ``config.columns``.

        A file with answers needs no responses: a study's generator can write them. Raises DataError
        when the file cannot be read, a named column is missing or not text, no column holds
        responses or answers, or a row has no instruction.
        """
        path = _path(config)
        table = read_table(path)
        columns = config.columns
        styles = _response_columns(table, columns, path)
        rows = pl.DataFrame(
            [
                instruction_column(table, columns.instruction, path).alias("instruction"),
                _optional(table, "input", columns.input, path),
                _optional(table, "answer", columns.answer, path),
                _optional(table, "rationale", columns.rationale, path),
                *(text_column(table, c, path).alias(f"response/{s}") for s, c in styles.items()),
            ]
        ).with_columns(instruction=join_input("instruction", "input"))
        responses = {(style, "correct"): f"response/{style}" for style in styles}
        return build_items(rows, config.name, self.family(config), responses)


def _path(config: BenchmarkSettings) -> str:
    if config.path is None:
        raise DataError(
            f"benchmark {config.name!r} has the source `files` but no file: "
            "give its `path`, a local file or a URL."
        )
    return config.path


def _optional(table: pl.DataFrame, role: str, named: str | None, path: str) -> pl.Series:
    if named is None and role not in table.columns:
        return pl.Series(role, [None] * table.height, dtype=pl.String)
    return text_column(table, named or role, path).alias(role)


def _response_columns(table: pl.DataFrame, columns: ColumnNames, path: str) -> dict[str, str]:
    for style in columns.responses:
        if style not in STYLES:
            raise DataError(
                f"`columns.responses` names the unknown style {style!r}: {nearest(style, STYLES)}"
            )
    styles = columns.responses or {style: style for style in STYLES if style in table.columns}
    if not styles and (columns.answer or "answer") not in table.columns:
        raise DataError(
            f"{path} has no column named like a response style, only {', '.join(table.columns)}: "
            f"say which one holds responses, as in `columns: {{responses: {{detailed: "
            f"{table.columns[-1]}}}}}`, styles are {', '.join(STYLES)}; or which holds the "
            "`answer` that a generator is to write them for."
        )
    return styles
