"""The formats of table files, by the extension of a path or URL."""

from pathlib import PurePosixPath
from typing import NamedTuple
from urllib.parse import urlsplit

from gradpipe.errors import DataError, nearest
from gradpipe.untrusted.compressed import COMPRESSIONS
from gradpipe.untrusted.limits import ARCHIVE_ENDINGS, archive_refusal

JSON_KINDS = (".json", ".jsonl", ".ndjson")
#: CSV and TSV, with the separator that each has unless its text shows another.
SEPARATORS = {".csv": ",", ".tsv": "\t"}
ARROW_KINDS = (".arrow", ".feather")
TEXT_KINDS = (*JSON_KINDS, *SEPARATORS)
TABLE_KINDS = (*TEXT_KINDS, ".parquet", *ARROW_KINDS)


class TableKind(NamedTuple):
    """The extension of a table's format, and that of its compression or an empty text."""

    extension: str
    compression: str = ""


def table_extension(name: str) -> str:
    """The lowercase last extension of a path or URL, such as ``.csv``."""
    return _path(name).suffix.lower()


def table_kind(name: str) -> TableKind:
    """The format of a file by its name: ``rows.csv.gz`` is a ``.csv`` with ``.gz``.

    Only text formats may be compressed. Raises DataError for archives and unknown extensions.
    """
    ending = table_extension(name)
    inner = table_extension(_path(name).stem)
    if ending in COMPRESSIONS and inner in TEXT_KINDS:
        return TableKind(inner, ending)
    if ending in ARCHIVE_ENDINGS:
        raise DataError(archive_refusal(name, ending))
    if ending not in TABLE_KINDS:
        raise DataError(
            f"{name} has the extension {ending!r}, which is not a table's: "
            f"{nearest(ending, list(TABLE_KINDS))}"
        )
    return TableKind(ending)


def is_table_name(name: str) -> bool:
    """Whether a file of this name is read as a table."""
    try:
        table_kind(name)
    except DataError:
        return False
    return True


def _path(name: str) -> PurePosixPath:
    path = urlsplit(name).path if "://" in name else name
    return PurePosixPath(path.replace("\\", "/"))
