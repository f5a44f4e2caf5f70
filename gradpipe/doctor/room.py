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
            what = (
                f"{format_bytes(free)} of {format_bytes(allowed)} free, the limit of this container"
            )
    state = _state(free, LITTLE_MEMORY, NO_MEMORY)
    cure = "" if state == "ok" else "close other programs, or use a smaller model"
    yield Finding(MEMORY, state, what, cure)


def examine_disk(folders: Mapping[str, Path]) -> Iterator[Finding]:
    """Check that each folder, keyed by purpose, is writable and has space; create no folder."""
    for name, folder in folders.items():
        yield _folder(name, folder)
    try:
        yield _folder("temporary files", Path(tempfile.gettempdir()))
    except FileNotFoundError:
        yield Finding(
            DISK,
            "fault",
            "there is no writable folder for temporary files",
            "set TMPDIR to a writable folder",
        )


def folder_size(folder: Path) -> int:
    """Return the total bytes of files under a folder; files deleted meanwhile count as 0."""
    size = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                size += os.lstat(Path(parent, name)).st_size
            except OSError:
                continue
    return size


def _state(free: int, little: int, none: int) -> State:
    return "fault" if free < none else "warning" if free < little else "ok"


def _folder(name: str, folder: Path) -> Finding:
    existing = next((path for path in (folder, *folder.parents) if path.exists()), Path("/"))
    what = f"{name} ({folder})"
    elsewhere = _ELSEWHERE.get(name, "use another folder")
    if not existing.is_dir():
        return Finding(DISK, "fault", f"{what}: {existing} is not a folder", "remove it")
    if not os.access(existing, os.W_OK | os.X_OK):
        return Finding(
            DISK,
            "fault",
            f"{what} is not writable",
            f"change the permissions of {existing}, or {elsewhere}",
        )
    free = shutil.disk_usage(existing).free
    state = _state(free, LITTLE_DISK, NO_DISK)
    used = (
        f"{format_bytes(folder_size(folder))} used, "
        if folder == existing and name in _COUNTED
        else ""
    )
    cure = "" if state == "ok" else f"free up space there, or {elsewhere}"
    return Finding(DISK, state, f"{what}: {used}{format_bytes(free)} free", cure)


#: Folders that only gradpipe writes to.
_COUNTED = {"workspace", "cache"}
_ELSEWHERE = {
    "workspace": "set GRADPIPE_HOME to another folder",
    "cache": "set XDG_CACHE_HOME to another folder",
    "models of the hub": "set HF_HOME to another folder",
    "temporary files": "set TMPDIR to another folder",
}
