"""Run one method in a process of its own, in the Python of its project."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.peers_methods import PeerMethod
from gradpipe.errors import DataError
from gradpipe.system.cpu_settings import PREPARED_PRODUCTS, SPINS

#: gradpipe's settings of torch's libraries, which other projects run without.
OUR_VARIABLES = {
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": str(PREPARED_PRODUCTS),
    "GOMP_SPINCOUNT": str(SPINS),
}


def in_fresh_process(method: PeerMethod, request: dict[str, Any]) -> dict[str, Any]:
    """Call ``run_request`` in a new process of the method's Python; raises DataError if it fails.

    The process sees no accelerator, and without gradpipe's settings for the CPU if the method is
    not gradpipe's.
    """
    place = Path(request["result"])
    place.unlink(missing_ok=True)
    asked = place.with_name("request.json")
    asked.write_text(json.dumps(request), "utf-8")
    done = subprocess.run(
        [method.executable(), "-m", "bench.peers_child", str(asked)],
        cwd=Path(__file__).resolve().parents[1],
        env=dict(_environment(method, request["threads"])),
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode or not place.exists():
        raise DataError(f"{method.name} stopped: {_reason(done)}")
    result: dict[str, Any] = json.loads(place.read_text("utf-8"))
    return result


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    """The error that ended a process: the last one on stderr, behind which warnings may stand."""
    if done.returncode < 0:
        return f"signal {-done.returncode}"
    lines = done.stderr.strip().splitlines()
    errors = [line for line in lines if re.match(r"[A-Z][\w.]*: |[\w.]*(Error|Exception)\b", line)]
    return (errors or lines or [f"exit code {done.returncode}"])[-1]


def _environment(method: PeerMethod, threads: int) -> Iterator[tuple[str, str]]:
    elsewhere = method.executable() != sys.executable
    for name, value in os.environ.items():
        if not method.ours and OUR_VARIABLES.get(name) == value:
            continue
        # Another environment has its own packages.
        if not (elsewhere and name == "PYTHONPATH"):
            yield name, value
    yield from (("OMP_NUM_THREADS", str(threads)), ("MKL_NUM_THREADS", str(threads)))
    yield from (("CUDA_VISIBLE_DEVICES", ""), ("HF_HUB_OFFLINE", "1"))
