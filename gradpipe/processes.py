"""Names for processes, by which one that was killed is known to be gone.

A number alone does not do: the system gives it to another process sooner or later.
"""

from __future__ import annotations

import re
import socket

import psutil

from gradpipe.hashing import content_hash

_NAME = re.compile(r"(?P<number>\d+)-(?P<start>-?\d+)@(?P<machine>[0-9a-f]+)")


def process_name() -> str:
    """This process, as ``NUMBER-START@MACHINE``: short, and safe in a file's name."""
    process = psutil.Process()
    return f"{process.pid}-{_start(process)}@{_machine()}"


def is_process_name(name: str) -> bool:
    """Whether a text is a name as ``process_name`` gives it."""
    return _NAME.fullmatch(name) is not None


def is_gone(name: str) -> bool:
    """Whether the process of that name was one of this machine's and is no more.

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
