"""Ctrl-C and SIGTERM that arrive while Dagster is between two steps.

Dagster 1.13.27 records a signal that arrives during its own work, raises it when the next step
starts, and drops it if no step follows. No upstream issue known.
"""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_STOPS = {signal.SIGINT, signal.SIGTERM}


@contextmanager
def keep_interrupts() -> Iterator[None]:
    """Raise KeyboardInterrupt at the end of the block if a signal arrived that the block dropped.

    Does nothing outside the main thread, which alone receives signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reader, writer = socket.socketpair()
    with reader, writer:
        reader.setblocking(False)
        writer.setblocking(False)
        before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
        with suppress(BlockingIOError):
            if _STOPS & set(reader.recv(1024)):
                raise KeyboardInterrupt
