"""Check the memory and disk space that runs need."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from gradpipe.doctor.finding import Finding, State
from gradpipe.system.control_groups import container_memory
from gradpipe.system.units import format_bytes

MEMORY, DISK = "memory", "disk"
#: Free memory or disk below which the check reports a warning, and a fault.
LITTLE_MEMORY, NO_MEMORY = 2 * 2**30, 2**28
LITTLE_DISK, NO_DISK = 5 * 2**30, 2**28


def examine_memory() -> Iterator[Finding]:
    """Check the free memory of the machine and of the container, if any."""
    import psutil

    memory = psutil.virtual_memory()
    free, total = int(memory.available), int(memory.total)
    what = f"{format_bytes(free)} of {format_bytes(total)} free"
    for allowed, used in container_memory():
        if allowed < total:
            free = min(free, max(allowed - used, 0))
            share = f"{format_bytes(free)} of {format_bytes(allowed)} free"
            what = f"{share}, as this container is limited"
    state = _state(free, LITTLE_MEMORY, NO_MEMORY)
    cure = "" if state == "ok" else "end what else runs here, or take a smaller model"
    yield Finding(MEMORY, state, what, cure)


def examine_disk(folders: Mapping[str, Path]) -> Iterator[Finding]:
    """Check that each folder, keyed by purpose, is writable and has space; create no folder."""
    for name, folder in folders.items():
        yield _folder(name, folder)
    try:
        yield _folder("temporary files", Path(tempfile.gettempdir()))
    except FileNotFoundError:
        yield Finding(
            DISK, "fault", "no folder for temporary files can be written", "set TMPDIR to one"
        )


def taken(folder: Path) -> int:
    """Return the total bytes of files under a folder; files that vanish meanwhile count as 0."""
    size = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                size += os.lstat(Path(place, name)).st_size
            except OSError:
                continue
    return size


def _state(free: int, little: int, none: int) -> State:
    return "fault" if free < none else "warning" if free < little else "ok"


def _folder(name: str, folder: Path) -> Finding:
    there = next((each for each in (folder, *folder.parents) if each.exists()), Path("/"))
    what = f"{name} ({folder})"
    if not there.is_dir():
        return Finding(DISK, "fault", f"{what}: {there} is no folder", "remove it")
    if not os.access(there, os.W_OK | os.X_OK):
        return Finding(
            DISK,
            "fault",
            f"{what} cannot be written",
            f"change the permissions of {there}, or {_ELSEWHERE.get(name, 'take another folder')}",
        )
    free = shutil.disk_usage(there).free
    state = _state(free, LITTLE_DISK, NO_DISK)
    used = f", {format_bytes(taken(folder))} taken" if folder == there and name in _COUNTED else ""
    cure = "" if state == "ok" else f"make room there, or {_ELSEWHERE.get(name, 'move it')}"
    return Finding(DISK, state, f"{what}{used}: {format_bytes(free)} free", cure)


#: Folders that only gradpipe writes to.
_COUNTED = {"workspace", "cache"}
_ELSEWHERE = {
    "workspace": "set GRADPIPE_HOME to another folder",
    "cache": "set XDG_CACHE_HOME to another folder",
    "models of the hub": "set HF_HOME to another folder",
    "temporary files": "set TMPDIR to another folder",
}
