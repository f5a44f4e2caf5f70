"""The folder of a data set of responses: one Parquet file and its card."""

from __future__ import annotations

import shutil
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from gradpipe.errors import DataError
from gradpipe.responses.export.dataset_card import dataset_card
from gradpipe.system.atomic_files import aside_path, sweep_leftovers
from gradpipe.system.atomic_folders import put_folder_in_place

if TYPE_CHECKING:
    import pyarrow as pa

#: The files of the folder.
DATASET_FILE, CARD_FILE = "train-00000-of-00001.parquet", "README.md"


def write_dataset(
    rows: pl.DataFrame, folder: Path, study: str, *, accepted: bool, overwrite: bool = False
) -> None:
    """Write ``rows`` (``message_schema``) as a data set with a card, in one step.

    ``study`` is the study's name; ``accepted``: whether only responses that passed the gates are
    among the rows. Raises DataError if the folder holds files, unless they are those of an earlier
    export and ``overwrite`` is set, and if it cannot be written.
    """
    folder = folder.expanduser().absolute()
    check_folder(folder, overwrite)
    content, table_bytes = _parquet(rows)
    card = dataset_card(rows, study, (len(content), table_bytes), accepted)
    temporary = aside_path(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        sweep_leftovers(folder.parent)
        temporary.mkdir()
        (temporary / DATASET_FILE).write_bytes(content)
        (temporary / CARD_FILE).write_text(card, encoding="utf-8", newline="\n")
        put_folder_in_place(temporary, folder)
    except OSError as error:
        raise DataError(
            f"The data set cannot be written to {folder} ({error.strerror or error}): choose a "
            "folder with write permission and enough space."
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_folder(folder: Path, overwrite: bool) -> None:
    """Raise DataError if a data set may not be written to a folder.

    It is missing, empty, or has an earlier export that may be overwritten.
    """
    folder = folder.expanduser().absolute()
    if folder.exists() and not folder.is_dir():
        raise DataError(
            f"The data set cannot be written to {folder}, which is a file: name a folder."
        )
    names = sorted(path.name for path in folder.glob("*")) if folder.exists() else []
    foreign = [name for name in names if name not in (DATASET_FILE, CARD_FILE)]
    if foreign:
        raise DataError(
            f"The data set would replace {folder}, which holds {foreign[0]!r}: name a new folder, "
            "or the folder of an earlier export."
        )
    if names and not overwrite:
        raise DataError(
            f"{folder} already holds a data set: name another folder, or replace it with "
            "--overwrite."
        )


def _parquet(rows: pl.DataFrame) -> tuple[bytes, int]:
    """Rows as the bytes of a Parquet file, and the bytes of the table in memory.

    Texts have the type that every reader knows, not that of Polars.
    """
    # Not at the top: `import definitions` stays quick.
    from pyarrow import parquet

    table = rows.to_arrow(compat_level=pl.CompatLevel.oldest())
    table = table.cast(_schema(table.schema)).replace_schema_metadata(None)
    buffer = BytesIO()
    parquet.write_table(table, buffer, compression="zstd")
    return buffer.getvalue(), table.nbytes


def _schema(schema: pa.Schema) -> pa.Schema:
    """A schema with texts and lists of 32-bit offsets."""
    import pyarrow as pa

    def plain(dtype: pa.DataType) -> pa.DataType:
        if pa.types.is_large_string(dtype):
            return pa.string()
        if pa.types.is_large_list(dtype):
            return pa.list_(plain(dtype.value_type))
        if pa.types.is_struct(dtype):
            return pa.struct([pa.field(field.name, plain(field.type)) for field in dtype])
        return dtype

    return pa.schema([pa.field(field.name, plain(field.type)) for field in schema])
