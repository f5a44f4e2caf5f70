"""User data: table files with named columns."""

from pathlib import Path

import polars as pl

from gradpipe.benchmarks.fetch import content_key
from gradpipe.benchmarks.hub_datasets import HUB_PREFIX
from gradpipe.benchmarks.settings import TableSettings
from gradpipe.benchmarks.shards import table_locations
from gradpipe.benchmarks.sources.source import Source
from gradpipe.benchmarks.table_files import read_table
from gradpipe.benchmarks.table_items import table_items, template_content
from gradpipe.errors import DataError
from gradpipe.system.hashing import content_hash
from gradpipe.tables.kinds import table_kind
from gradpipe.untrusted.compressed import COMPRESSIONS


class UserFiles(Source[TableSettings]):
    """Tables of the user's own, one per benchmark; any name is accepted."""

    name = "files"
    settings = TableSettings
    reads_own_styles = True

    def content(self, config: TableSettings) -> dict[str, str]:
        """Identify the content of the file that ``read`` would read."""
        path = _path(config)
        files = table_locations(path)
        keys = [content_key(file) for file in files]
        suffix = Path(files[0]).suffix
        if suffix.lower() in COMPRESSIONS:
            suffix = "".join(table_kind(files[0]))
        content = {suffix: keys[0] if files == [path] else content_hash(keys)}
        return content | template_content(config)

    def read(self, config: TableSettings) -> pl.DataFrame:
        """Read all rows of a user's file as items; see ``table_items``.

        Raises DataError when the file cannot be read, and like ``table_items``.
        """
        path = _path(config)
        return table_items(read_table(path), config, path, self.family(config))


def _path(config: TableSettings) -> str:
    if config.path is not None and config.path.startswith(HUB_PREFIX):
        raise DataError(
            f"benchmark {config.name!r} has the source `files` and the path {config.path!r}: give "
            f"`source: hub` and `path: {config.path.removeprefix(HUB_PREFIX)}`."
        )
    if config.path is None:
        raise DataError(
            f"benchmark {config.name!r} has the source `files` but no file: "
            "give its `path`, a local file or a URL."
        )
    return config.path
