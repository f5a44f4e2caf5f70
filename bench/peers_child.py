"""The process that runs one method: ``python -m bench.peers_child REQUEST.json``.

It also runs in the Python of another project: only the adapter of gradpipe's own methods imports
gradpipe.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, cast

from bench.peaks import PeakMemory

#: A row of REQUEST's ``rows``: token ``ids``, the ``start`` of the response, and both as texts.
PeerRow = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class PreparedMethod:
    """A method with its model in memory.

    ``run`` computes rows with a batching (None: the method has only one) and returns the number of
    tokens; ``batchings`` are the ones to choose from.
    """

    model: Any
    run: Callable[[Sequence[PeerRow], int | None], int]
    batchings: tuple[int, ...] = ()
    device: str = "cpu"


def run_request(request: dict[str, Any]) -> dict[str, Any]:
    """Time one method on its rows, after one row untimed, or choose its batching (``tune``)."""
    import torch

    torch.set_num_threads(request["threads"])
    rows: list[PeerRow] = request["rows"]
    method: PreparedMethod = import_module(request["adapter"]).prepare(request)
    method.run(rows[:1], request["batching"])
    if request["tune"]:
        return {"batching": _fastest(method, rows)}
    memory = PeakMemory(cast(Any, method))
    seconds, tokens = _timed(method, rows, request["batching"])
    peak = memory.peak()
    return {
        "seconds": seconds,
        "tokens": tokens,
        "peak": peak,
        "above": peak - memory.before,
        "version": _version(request["package"], request["checkout"]),
        "torch": torch.__version__,
    }


def _version(package: str | None, checkout: str | None) -> str | None:
    """The version of a package, or the commit of a checkout; None if neither is known."""
    try:
        if package is not None:
            return version(package)
        if checkout is not None:
            command = ["git", "-C", checkout, "rev-parse", "--short", "HEAD"]
            return subprocess.check_output(command, stderr=subprocess.DEVNULL, text=True).strip()
    except (PackageNotFoundError, OSError, subprocess.CalledProcessError):
        pass
    return None


def _fastest(method: PreparedMethod, rows: Sequence[PeerRow]) -> int:
    seconds = {batching: _timed(method, rows, batching)[0] for batching in method.batchings}
    return min(seconds, key=lambda batching: seconds[batching])


def _timed(
    method: PreparedMethod, rows: Sequence[PeerRow], batching: int | None
) -> tuple[float, int]:
    started = time.perf_counter()
    tokens = method.run(rows, batching)
    return time.perf_counter() - started, tokens


if __name__ == "__main__":
    asked = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    Path(asked["result"]).write_text(json.dumps(run_request(asked)), "utf-8")
