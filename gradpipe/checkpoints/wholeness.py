"""Whether a checkpoint's folder is written completely.

transformers' Trainer writes weights, tokenizer, optimizer and then ``trainer_state.json``. Other
programs leave no such mark, so their folders have to be unchanged for a while.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gradpipe.checkpoints.steps import TRAINER_STATE
from gradpipe.models.adapters.config import ADAPTER_WEIGHTS
from gradpipe.models.whole_weights import INDEX, WEIGHTS, described_size
from gradpipe.system.hashing import content_hash
from gradpipe.system.remembered import remembered

#: Seconds for which a folder without a finished ``trainer_state.json`` has to be unchanged.
SETTLE_SECONDS = 30.0
WEIGHT_FILES = (WEIGHTS, ADAPTER_WEIGHTS)
_CONFIGS = ("config.json", "adapter_config.json")
_TEMPORARY = ("tmp", ".", "_tmp", "temp-")
_TEMPORARY_ENDS = (".tmp", ".part", ".partial", ".incomplete", "~")
#: The largest index that is read, in bytes.
_LARGEST_INDEX = 2**26


def is_temporary(name: str) -> bool:
    """Whether a folder's name is one that programs give to unfinished copies."""
    return name.startswith(_TEMPORARY) or name.endswith(_TEMPORARY_ENDS)


def list_files(folder: Path) -> dict[str, os.stat_result]:
    """The regular files directly in a folder, by name; empty if the folder is gone."""
    files: dict[str, os.stat_result] = {}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_file():
                    files[entry.name] = entry.stat()
    except OSError:
        # Training deletes old checkpoints at any moment.
        return {}
    return files


def files_stamp(files: Mapping[str, os.stat_result]) -> str:
    """A hash of the files' names, sizes and times, which changes when one is written."""
    return content_hash(
        [
            (name, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)
            for name, stat in sorted(files.items())
        ]
    )


def why_pending(folder: Path, files: Mapping[str, os.stat_result]) -> str:
    """Say why a checkpoint's folder cannot be used yet; return "" if it is whole.

    ``files`` is the folder's ``list_files``.
    """
    if not any(name in files for name in _CONFIGS):
        return "has no config.json"
    stamp = [str(folder), files_stamp(files)]
    # Headers of large models take milliseconds each, and a series may have hundreds of them.
    problem: str = remembered(
        "checkpoints",
        stamp,
        "missing",
        lambda: {"missing": _missing_weights(folder, files), "folder": str(folder)},
    )
    if problem:
        return problem
    if _is_finished(folder, files) or _seconds_unchanged(folder, files) >= SETTLE_SECONDS:
        return ""
    return f"has files that changed less than {SETTLE_SECONDS:.0f} seconds ago"


def parts_of_index(content: bytes) -> set[str] | None:
    """The part files that an index of weights names, or None if it is not complete JSON."""
    try:
        parts: Any = json.loads(content)["weight_map"].values()
        return {str(part) for part in parts}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _missing_weights(folder: Path, files: Mapping[str, os.stat_result]) -> str:
    """What is missing of a folder's weights; "" if nothing is."""
    sizes = {name: stat.st_size for name, stat in files.items()}
    weights = [name for name in WEIGHT_FILES if name in sizes]
    if not weights:
        if INDEX not in sizes:
            return "has no safetensors weights"
        index = _read(folder / INDEX, _LARGEST_INDEX)
        parts = parts_of_index(index) if index is not None else None
        if not parts:
            return f"has an incomplete {INDEX}"
        if missing := sorted(parts - sizes.keys()):
            return f"has no {missing[0]}"
        weights = sorted(parts)
    for name in weights:
        if sizes[name] < (_expected_size(folder / name) or sizes[name] + 1):
            return f"has an incomplete {name}"
    return ""


def _expected_size(file: Path) -> int | None:
    """The size in bytes that a safetensors file's header implies; None if it cannot be read."""
    first = _read(file, 8)
    if first is None:
        return None
    length = min(int.from_bytes(first, "little"), _LARGEST_INDEX)
    start = _read(file, 8 + length)
    return None if start is None else described_size(first, start[8:])


def _is_finished(folder: Path, files: Mapping[str, os.stat_result]) -> bool:
    """Whether ``trainer_state.json`` is complete and nothing in the folder is newer."""
    state = files.get(TRAINER_STATE)
    if state is None:
        return False
    others = [stat.st_mtime_ns for name, stat in files.items() if name != TRAINER_STATE]
    if state.st_mtime_ns < max([*others, _folder_time(folder)]):
        return False
    try:
        with (folder / TRAINER_STATE).open("rb") as file:
            file.seek(max(state.st_size - 16, 0))
            return file.read().rstrip().endswith(b"}")
    except OSError:
        return False


def _seconds_unchanged(folder: Path, files: Mapping[str, os.stat_result]) -> float:
    """Seconds since a file in the folder, or the folder's list of files, changed."""
    newest = max([_folder_time(folder), *(stat.st_mtime_ns for stat in files.values())])
    # A clock that is ahead on another machine must not hide a checkpoint forever.
    return abs(time.time() - newest / 1e9)


def _folder_time(folder: Path) -> int:
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return time.time_ns()


def _read(file: Path, most: int) -> bytes | None:
    """The first bytes of a file, or None if it cannot be read."""
    try:
        with file.open("rb") as opened:
            return opened.read(most)
    except OSError:
        return None
