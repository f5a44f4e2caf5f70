"""Processes that write responses, for tests that interrupt or kill them."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from gradpipe.generators.config import GeneratorConfig

ROOT = Path(__file__).resolve().parents[2]
#: Calls of one run.
COUNT = 8


def start(config: GeneratorConfig, file: Path, count: int = COUNT) -> subprocess.Popen[str]:
    settings = config.model_dump_json()
    command = [sys.executable, str(ROOT / "tests/generators/run_calls.py"), settings]
    return subprocess.Popen(
        [*command, str(count), str(file)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )


def wait_for_rows(file: Path, count: int, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 300
    while not file.is_file() or file.read_text("utf-8").count("\n") < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.01)


def kept(file: Path) -> list[str]:
    return [json.loads(line)["key"] for line in file.read_text("utf-8").splitlines()]
