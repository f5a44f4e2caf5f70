"""Draw charts as image files, in several processes.

vl-convert draws one chart at a time per process and blocks Python's threads meanwhile.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from gradpipe.errors import WorkspaceError
from gradpipe.report.charts import image_process

#: Charts per process, at least: a process takes as long to start as to draw six charts.
LEAST_CHARTS = 6
MOST_PROCESSES = 8


@contextmanager
def drawing(specifications: Sequence[Path]) -> Iterator[None]:
    """Replace each file NAME.vl.json by NAME.svg and NAME.png while the block runs.

    The block ends when all are drawn. Raises WorkspaceError if a process fails; if the block
    raises, the processes are stopped.
    """
    processes = min(os.cpu_count() or 1, MOST_PROCESSES, -(-len(specifications) // LEAST_CHARTS))
    # Every nth chart: those of one kind follow one another and take equally long.
    shares = [specifications[number::processes] for number in range(processes)]
    running = [_start(share) for share in shares]
    try:
        yield
        for process in running:
            _wait(process)
    finally:
        for process in running:
            if process.poll() is None:
                process.kill()
                process.communicate()


def _start(share: Sequence[Path]) -> subprocess.Popen[str]:
    """Start a process that draws these charts. Their paths go to its stdin, which has no limit."""
    process = subprocess.Popen(
        # Without -P, files of this folder would take precedence over packages of the same name.
        [sys.executable, "-P", image_process.__file__, str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps([str(path) for path in share]))
    process.stdin.close()
    process.stdin = None
    return process


def _wait(process: subprocess.Popen[str]) -> None:
    _, errors = process.communicate()
    if process.returncode:
        lines = errors.strip().splitlines() or [f"exit code {process.returncode}"]
        raise WorkspaceError(
            f"The report's charts could not be drawn ({lines[-1]}): check the free memory and disk "
            "space, and run the command again."
        )
