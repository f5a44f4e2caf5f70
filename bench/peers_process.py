"""Run one method in a process of its own, in the Python of its project."""

from __future__ import annotations

import json
import os
import subprocess
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
    asked = Path(request["result"]).with_name("request.json")
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
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise DataError(f"{method.name} stopped: {lines[-1]}")
    result: dict[str, Any] = json.loads(Path(request["result"]).read_text("utf-8"))
    return result


def _environment(method: PeerMethod, threads: int) -> Iterator[tuple[str, str]]:
    for name, value in os.environ.items():
        # Another project's packages are its own.
        if method.ours or (name != "PYTHONPATH" and OUR_VARIABLES.get(name) != value):
            yield name, value
    yield from (("OMP_NUM_THREADS", str(threads)), ("MKL_NUM_THREADS", str(threads)))
    yield from (("CUDA_VISIBLE_DEVICES", ""), ("HF_HUB_OFFLINE", "1"))
