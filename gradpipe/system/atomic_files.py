"""Atomic file writes: write to a temporary file in the same folder, then rename it."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import psutil

from gradpipe.system.hashing import content_hash

_SUFFIX = ".tmp"


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """A path to write to, in ``path``'s folder; it takes ``path``'s place when the block ends well.

    Readers see the old file or the new one. Where the block raises, nothing is left of it, and the
    error goes on to the caller. What a killed process leaves has a name that nothing reads, and
    ``sweep_asides`` deletes it.
    """
    aside = path.with_name(f".{path.name}.{process_name()}.{uuid4().hex[:8]}{_SUFFIX}")
    try:
        yield aside
        aside.replace(path)
    finally:
        with suppress(OSError):
            aside.unlink()


def sweep_asides(folder: Path) -> int:
    """Delete unfinished files of this machine's killed processes below a folder; return the count.

    Files of processes that live, and of other machines, are left alone.
    """
    swept = 0
    for place, _, names in os.walk(folder):
        for name in names:
            # As in .NAME.PROCESS.UNIQUE.tmp
            hidden = name.startswith(".") and name.endswith(_SUFFIX)
            if hidden and is_gone(name.split(".")[-3:][0]):
                with suppress(OSError):
                    Path(place, name).unlink()
                    swept += 1
    return swept


_NAME = re.compile(r"(?P<number>\d+)-(?P<start>-?\d+)@(?P<machine>[0-9a-f]+)")


def process_name() -> str:
    """This process, as ``NUMBER-START@MACHINE``: short, and safe in a file's name."""
    process = psutil.Process()
    return f"{process.pid}-{_start(process)}@{_machine()}"


def is_process_name(name: str) -> bool:
    """Whether a text is a name as ``process_name`` gives it."""
    return _NAME.fullmatch(name) is not None


def is_gone(name: str) -> bool:
    """Return whether the process of that name ran on this machine and has ended.

    False for whatever may still live: a process of another machine, and a text that is no name.
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
        # Where users do not see each other's processes, one may be there all the same.
        return not psutil.pid_exists(number)
    except psutil.AccessDenied:
        return False


def _start(process: psutil.Process) -> int:
    """When a process was started, in hundredths of a second since the machine was.

    The time of day will not do: that of a process that lives changes when the clock is set.
    """
    seconds: float = process.create_time() - psutil.boot_time()
    return round(100 * seconds)


def _machine() -> str:
    return content_hash(socket.gethostname())[:8]
