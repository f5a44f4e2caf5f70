"""A process that is gone is told from one that lives, whatever its number and the clock say."""

import os
import subprocess
import sys
import time

import psutil
import pytest

from gradpipe.system.atomic_files import is_gone, is_process_name, process_name

SAY = (
    "from gradpipe.system.atomic_files import process_name; "
    "print(process_name(), flush=True); input()"
)


def test_this_process_is_not_gone() -> None:
    assert is_process_name(process_name())
    assert process_name() == process_name()
    assert str(os.getpid()) in process_name()
    assert not is_gone(process_name())


def test_a_killed_process_is_gone_even_while_its_number_is_still_taken() -> None:
    command = [sys.executable, "-c", SAY]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        name = process.stdout.readline().decode().strip()
        assert name != process_name()
        assert not is_gone(name)
        process.kill()
        # Killed and not yet waited for: its number is still taken.
        deadline = time.monotonic() + 300
        while not is_gone(name):
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert is_gone(name)


def test_a_process_of_another_machine_and_any_other_text_is_not_known_to_be_gone() -> None:
    number, _, _ = process_name().partition("-")
    for name in (f"{number}-1@0123abcd", "", "4-5", "host:77", "../4-5@ab", f"{process_name()} "):
        assert not is_gone(name)


def test_a_clock_that_is_set_changes_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    name, boot, create = process_name(), psutil.boot_time, psutil.Process.create_time
    # What the system derives from the time of day moves by as much as the clock was set.
    monkeypatch.setattr(psutil, "boot_time", lambda: boot() - 7200)
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: create(self) - 7200)
    assert process_name() == name
    assert not is_gone(name)
