"""Ctrl-C and SIGTERM that arrive while Dagster is between two of its steps."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_STOPS = {signal.SIGINT, signal.SIGTERM}


@contextmanager
def no_signal_lost() -> Iterator[None]:
    """Raises KeyboardInterrupt at the block's end where a signal came that the block forgot.

    Dagster notes a signal that finds it at its own work, raises it when a step goes on, and drops
    it where none does. Only the main thread is told of signals; elsewhere this does nothing.
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
