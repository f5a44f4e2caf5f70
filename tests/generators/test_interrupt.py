"""Runs that are interrupted or killed: what was paid for stays, what was answered is not resent."""

import json
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from gradpipe.generators.config import GeneratorConfig
from tests.generators.conftest import ChatServer
from tests.generators.processes import COUNT, kept, start, wait_for_rows


@pytest.fixture
def slow(server: ChatServer) -> ChatServer:
    server.script = lambda reply: (time.sleep(0.2), reply.good())[0]
    return server


def test_an_interrupted_run_keeps_what_is_in_flight(
    slow: ChatServer, configure: Callable[..., GeneratorConfig], tmp_path: Path
) -> None:
    file, config = tmp_path / "rows.jsonl", configure(concurrency=3)
    process = start(config, file)
    wait_for_rows(file, 3, process)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=300)
    assert process.returncode != 0
    assert "KeyboardInterrupt" in errors
    assert 3 <= len(kept(file)) < COUNT
    assert sorted(kept(file)) == sorted(slow.keys)
    second = start(config, file)
    output, errors = second.communicate(timeout=300)
    assert second.returncode == 0, errors
    # Every prompt of the two runs was sent once.
    assert sorted(Counter(slow.keys).values()) == [1] * COUNT
    assert sorted(kept(file)) == sorted(slow.keys)
    assert json.loads(output.splitlines()[-1])["failed"] == {}


def test_a_killed_run_resumes_without_asking_again_for_what_it_kept(
    slow: ChatServer, configure: Callable[..., GeneratorConfig], tmp_path: Path
) -> None:
    file, config = tmp_path / "rows.jsonl", configure(concurrency=2)
    process = start(config, file)
    wait_for_rows(file, 3, process)
    process.kill()
    process.communicate(timeout=300)
    before = kept(file)
    sent_before = len(slow.keys)
    assert 3 <= len(before) < COUNT
    second = start(config, file)
    _, errors = second.communicate(timeout=300)
    assert second.returncode == 0, errors
    assert not set(before) & set(slow.keys[sent_before:])
    assert len(set(kept(file))) == len(kept(file)) == COUNT
    # No more than what was in flight is paid twice.
    assert len(slow.keys) <= COUNT + 2


def test_a_second_interruption_does_not_wait(
    server: ChatServer, configure: Callable[..., GeneratorConfig], tmp_path: Path
) -> None:
    ended = threading.Event()
    server.script = lambda reply: (reply.number and ended.wait(), reply.good())[1]
    file = tmp_path / "rows.jsonl"
    process = start(configure(concurrency=2, timeout=600), file)
    wait_for_rows(file, 1, process)
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=300)
    ended.set()
    assert process.returncode != 0
