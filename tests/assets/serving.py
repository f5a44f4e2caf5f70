"""A UI on loopback for a test: started, asked, and ended with all its children."""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass
class Served:
    """A UI at an address."""

    address: str

    def ask(self, question: str) -> Any:
        """What it answers over GraphQL."""
        body = json.dumps({"query": question}).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.address}/graphql", body, headers)
        with urllib.request.urlopen(request, timeout=300) as answer:
            return json.load(answer)["data"]


@contextmanager
def serving(
    command: list[str], log: Path, cwd: Path | None = None, env: dict[str, str] | None = None
) -> Iterator[Served]:
    """The UI that the command serves, once it shows assets; what it prints goes to ``log``."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    served = Served(f"http://127.0.0.1:{port}")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--port", str(port)],
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd=cwd,
            env=env,
        )
    try:
        deadline = time.monotonic() + 300
        while not _shows_assets(served):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        yield served
    finally:
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(180)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def _shows_assets(served: Served) -> bool:
    try:
        return bool(served.ask("{ assetNodes { id } }")["assetNodes"])
    except OSError:
        return False
