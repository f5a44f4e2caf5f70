"""A table in one Parquet file, or in a folder of files that follow each other."""

from __future__ import annotations

import re
from pathlib import Path

from gradpipe.errors import DataError
from gradpipe.standalone.output_file import unwritable

_SHARD = re.compile(r"part-(\d{5})-of-(\d{5})\.parquet")


def shard_paths(out: Path, rows: int, size: int | None) -> list[Path]:
    """The files for ``rows`` examples, ``size`` in each, in the folder ``out``; made if missing.

    Without a size, ``out`` is the one file. Raises DataError if ``out`` is a file, or has other
    files than shards of as many.
    """
    if size is None:
        return [out]
    count = -(-rows // size)
    paths = [out / f"part-{number:05d}-of-{count:05d}.parquet" for number in range(count)]
    try:
        out.mkdir(exist_ok=True)
        others = [path for path in out.iterdir() if not path.name.startswith(".")]
    except OSError as error:
        raise unwritable(out, error) from error
    if unknown := sorted(set(others) - set(paths)):
        raise DataError(
            f"{out} has the file {unknown[0].name}, which is not a part of this table: give "
            "another --out, or delete the folder."
        )
    return paths


def spectra_files(path: Path) -> list[Path]:
    """The files of a table that ``gradpipe extract`` wrote: the file, or the shards of a folder.

    Raises DataError if the file or a shard is missing.
    """
    if not path.is_dir():
        # Opening a named pipe would block.
        if not path.is_file():
            raise DataError(f"{path} does not exist: give a table that `gradpipe extract` wrote.")
        return [path]
    shards = sorted(file for file in path.iterdir() if _SHARD.fullmatch(file.name))
    if not shards:
        raise DataError(
            f"{path} has no files part-00000-of-NNNNN.parquet: give a table that `gradpipe "
            "extract` wrote."
        )
    counts = {int(match[2]) for file in shards if (match := _SHARD.fullmatch(file.name))}
    if counts != {len(shards)}:
        raise DataError(
            f"{path} has {len(shards)} of {max(counts)} parts: run the `gradpipe extract` that "
            "wrote them again, which computes the others."
        )
    return shards
