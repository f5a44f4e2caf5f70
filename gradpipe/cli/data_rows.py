"""The examples that ``extract`` and ``rank`` read: their options, declared and passed once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from gradpipe.cli.extraction import data_options, data_source
from gradpipe.cli.options import columns_option, response_template_option
from gradpipe.cli.token_options import with_options

if TYPE_CHECKING:
    from pathlib import Path

    from gradpipe.standalone.data_source import DataSource
    from gradpipe.standalone.example_chunks import ExampleChunks

ROW_OPTIONS = (
    click.option(
        "--offset", default=0, type=click.IntRange(min=0), help="Number of rows of DATA to skip."
    ),
    click.option(
        "--limit", default=None, type=click.IntRange(min=1), help="Maximum number of rows to read."
    ),
    click.option(
        "--where",
        metavar="CONDITION",
        help="Of these, use the rows for which a condition in SQL holds: \"source = 'gsm8k'\".",
    ),
)


@dataclass(frozen=True, kw_only=True)
class DataRows:
    """What the options say about the rows of DATA: which they are, and how they are read."""

    offset: int
    limit: int | None
    where: str | None
    config: str | None
    split: str | None
    revision: str | None
    columns: dict[str, str] | None
    response_template: str | None

    def source(self, data: str) -> DataSource:
        """What DATA names; raises DataError. Prints the commit of a data set of the hub."""
        return data_source(data, self.config, self.split, self.revision)

    def chunks(self, source: DataSource, downloads: Path, ends: int | None = None) -> ExampleChunks:
        """The examples that the options choose; a chunk ends after every ``ends`` of them.

        Many rows of a data set of the hub are downloaded into the folder ``downloads``.
        """
        from gradpipe.standalone.data_stream import RowSelection, open_data
        from gradpipe.standalone.example_chunks import ExampleChunks

        selection = RowSelection(offset=self.offset, limit=self.limit, where=self.where)
        return ExampleChunks(
            stream=open_data(source, selection, downloads),
            selection=selection,
            columns=self.columns,
            response_template=self.response_template,
            ends=ends,
        )


def data_rows_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of DataRows to a command, which gets them as ``rows``."""

    @wraps(command)
    def with_rows(**given: Any) -> None:
        rows = DataRows(**{field.name: given.pop(field.name) for field in fields(DataRows)})
        command(rows=rows, **given)

    read = (data_options, columns_option, response_template_option)
    return with_options(with_rows, (*ROW_OPTIONS, *read))
