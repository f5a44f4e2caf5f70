"""Atomic file writes: write to a temporary file in the same folder, then rename it."""

from __future__ import annotations

import os
import re
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import psutil

from gradpipe.system.hashing import content_hash


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """Yield a path to write to; the file replaces ``path`` when the block ends without an error.

    Readers see the old file or the new one. If the block raises, its file is deleted. If the
    process is killed, the file stays, and ``sweep_leftovers`` deletes it later.
    """
    aside = aside_path(path)
    try:
        yield aside
        aside.replace(path)
    finally:
        with suppress(OSError):
            aside.unlink()


def aside_path(path: Path) -> Path:
    """Return an unused path beside ``path`` for a file or folder that is to replace it.

    Its name, ``.NAME.PROCESS.UNIQUE.tmp``, is one that ``sweep_leftovers`` recognizes.
    """
    return path.with_name(f".{path.name}.{process_name()}.{uuid4().hex[:8]}.tmp")


def sweep_leftovers(folder: Path, *, recursive: bool = False) -> int:
    """Delete what killed processes of this machine left in a folder; return the count.

    Leftovers are files and folders with the name of an ended process between the dots of their own
    name, as in ``aside_path``. Those of running processes and of other machines stay.
    """
    deleted = 0
    for place, folders, files in os.walk(folder):
        leftovers = [name for name in (*files, *folders) if _is_leftover(name)]
        deleted += sum(_delete(Path(place, name)) for name in leftovers)
        folders[:] = [name for name in folders if recursive and name not in leftovers]
    return deleted


def _is_leftover(name: str) -> bool:
    return "@" in name and any(is_gone(part) for part in name.split("."))


def _delete(path: Path) -> bool:
    """Delete a file or folder; return whether that worked."""
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    except OSError:
        # Another process may be sweeping too, or the folder is read-only.
        return False
    return True


_NAME = re.compile(r"(?P<number>\d+)-(?P<start>-?\d+)@(?P<machine>[0-9a-f]+)")


def process_name() -> str:
    """Return this process's name, ``NUMBER-START@MACHINE``: short and safe in file names."""
    process = psutil.Process()
    return f"{process.pid}-{_start(process)}@{_machine()}"


def is_process_name(name: str) -> bool:
    """Return whether a text has the form of ``process_name``."""
    return _NAME.fullmatch(name) is not None


def is_gone(name: str) -> bool:
    """Return whether the process of that name ran on this machine and has ended.

    Return False for processes of other machines, which may still run, and for any other text.
    """
    parts = _NAME.fullmatch(name)
    if parts is None or parts["machine"] != _machine():
        return False
    number = int(parts["number"])
    try:
        process = psutil.Process(number)
        if process.status() == psutil.STATUS_ZOMBIE:
            return True
        return _start(process) != int(parts["start"])
    except psutil.ZombieProcess:
        return True
    except psutil.NoSuchProcess:
        # Some systems hide the processes of other users.
        return not psutil.pid_exists(number)
    except psutil.AccessDenied:
        return False


def _start(process: psutil.Process) -> int:
    """Return when a process was started, in hundredths of a second since the machine's boot.

    The time of day would change for a running process when the clock is set.
    """
    seconds: float = process.create_time() - psutil.boot_time()
    return round(100 * seconds)


def _machine() -> str:
    return content_hash(socket.gethostname())[:8]
