"""Where the files of one table are: a file, a folder or pattern of shards, or a saved data set."""

import glob
import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from gradpipe.benchmarks.fetch import is_remote, join, open_filesystem, read_bytes, unreachable
from gradpipe.errors import DataError
from gradpipe.tables.kinds import is_table_name, table_kind
from gradpipe.tables.parts import TablePart, open_part
from gradpipe.untrusted.limits import refuse_large

#: The files by which ``datasets`` marks a folder that ``save_to_disk`` wrote.
_DATASET, _DATASET_DICT = "state.json", "dataset_dict.json"


def read_parts(location: str) -> list[TablePart]:
    """The content of every file of a table, in order; see ``table_locations``.

    Raises DataError like ``read_bytes`` and ``open_part``, and for more than LARGEST_TABLE bytes.
    """
    parts, size = [], 0
    for file in table_locations(location):
        parts.append(open_part(read_bytes(file), file))
        size += len(parts[-1].data)
        refuse_large(size, location)
    return parts


def table_locations(location: str) -> list[str]:
    """The files that make up a table, by name: one, or the shards in a folder or of a pattern.

    A folder has table files of one format, or was written by ``save_to_disk``; its sub-folders are
    not searched. A pattern has ``*``, ``?`` or ``[...]``. Raises DataError for a folder or pattern
    without such files or with several formats, and for a saved data set of several splits.
    """
    if is_remote(location):
        # A ? begins the query of a web address, which has no patterns.
        pattern = "*" in location and not location.startswith(("http://", "https://"))
        return _one_kind(_remote_matches(location), location) if pattern else [location]
    path = Path(location.removeprefix("file://").removeprefix("local://"))
    # An invalid path or an unknown user is reported when the file is read.
    with suppress(OSError, ValueError, RuntimeError):
        path = path.expanduser()
        if path.is_dir():
            return _in_folder(path)
        if glob.has_magic(str(path)) and not path.exists():
            return _one_kind(filter(_visible, glob.glob(str(path))), location)
    return [location]


def _in_folder(folder: Path) -> list[str]:
    if (folder / _DATASET_DICT).is_file():
        splits = sorted(entry.parent.name for entry in folder.glob(f"*/{_DATASET}"))
        named = ", ".join(splits) or "none of which is there"
        raise DataError(
            f"{folder} is a saved data set of several splits ({named}): give one of them, for "
            f"example {folder / (splits or ['train'])[0]}."
        )
    if (folder / _DATASET).is_file():
        return _saved_files(folder)
    files = [str(entry) for entry in folder.iterdir() if _visible(str(entry)) and entry.is_file()]
    files = [file for file in files if is_table_name(file)]
    if not files:
        deeper = sorted(e.name for e in folder.iterdir() if e.is_dir() and _visible(str(e)))
        hint = f", for example of {folder / deeper[0]}" if deeper else ""
        raise DataError(
            f"{folder} is a folder without table files: give the path of a file or of a folder of "
            f"shards{hint}."
        )
    return _one_kind(files, str(folder))


def _saved_files(folder: Path) -> list[str]:
    """The data files of a folder that ``Dataset.save_to_disk`` wrote, in the order of its rows."""
    state = _state(folder / _DATASET)
    listed = state.get("_data_files")
    entries = listed if isinstance(listed, list) else []
    names = [str(entry.get("filename")) for entry in entries if isinstance(entry, dict)]
    # A name with a folder in it could be that of any file.
    plain = [Path(name).name == name and name.endswith(".arrow") for name in names]
    if not names or not all(plain):
        raise DataError(
            f"{folder / _DATASET} does not list the data files of the folder: save the data set "
            "again, or give one of its .arrow files."
        )
    if state.get("_indices_data_files") or state.get("_indices_files"):
        raise DataError(
            f"{folder} was saved with its rows in another order than its files: load it with "
            "`datasets` and save it again."
        )
    return [str(folder / name) for name in names]


def _state(path: Path) -> dict[str, Any]:
    try:
        state = json.loads(read_bytes(path))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not well-formed JSON: save the data set again.") from error
    return state if isinstance(state, dict) else {}


def _remote_matches(pattern: str) -> list[str]:
    try:
        filesystem, path = open_filesystem(pattern)
        return [filesystem.unstrip_protocol(file) for file in filesystem.glob(path)]
    # Each filesystem raises its own kinds of error.
    except Exception as error:
        raise unreachable(pattern, error) from error


def _one_kind(files: Iterable[str], location: str) -> list[str]:
    """Sort the files by name; raise DataError unless there are some, all of one format."""
    files = sorted(files)
    if not files:
        raise DataError(f"no file matches {location}: check the folder and the pattern.")
    kinds = sorted({"".join(table_kind(file)) for file in files})
    if len(kinds) > 1:
        pattern = join(location, f"*{kinds[0]}") if Path(location).is_dir() else f"*{kinds[0]}"
        raise DataError(
            f"{location} has files of several formats ({', '.join(kinds)}): give a pattern for one "
            f"of them, such as {pattern}."
        )
    return files


def _visible(path: str) -> bool:
    """Whether a file's name is that of data: not hidden, and no mark such as _SUCCESS."""
    return not Path(path).name.startswith((".", "_"))
