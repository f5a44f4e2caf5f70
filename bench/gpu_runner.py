"""Run the sections of the GPU bench, each within its time, without one stopping the others.

A section is a list of steps. On a GPU it runs in a process of its own: a device error makes every
later call in the same process fail, and only a process can be stopped in the middle of a step.
"""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

Record = dict[str, Any]
#: What a running section reports: its plan, the machine, and the beginning and end of each step.
Event = dict[str, Any]
#: Starts every line of a section's process that is an event.
MARK = "gpu-bench-event "
#: Seconds that a step may take beyond its section's time before its process is killed.
GRACE = 3.0


@dataclass(frozen=True, kw_only=True)
class GpuOptions:
    """The options of the GPU bench; ``tiny`` shrinks everything to run on a CPU in seconds.

    ``layers`` is the number of layers of the model of Llama-3.1-8B's shape.
    """

    device: str = "cuda"
    tiny: bool = False
    layers: int = 32
    rounds: int = 1


@dataclass(frozen=True)
class Step:
    """One measurement, which returns its records; a failed one does not stop the next."""

    name: str
    run: Callable[[], list[Record]]


@dataclass(frozen=True)
class Section:
    """Steps that share a table; ``weight`` is the section's share of the time."""

    name: str
    title: str
    weight: float
    steps: Callable[[GpuOptions], list[Step]]


@dataclass
class SectionResult:
    """What is known of a section: its records, failed steps, and steps that were left out."""

    title: str
    seconds: float = 0.0
    allowed: float = 0.0
    records: list[Record] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    machine: Record = field(default_factory=dict)
    running: str | None = None

    def take(self, event: Event) -> None:
        """Add what an event reports."""
        match event["kind"]:
            case "machine":
                self.machine = event["machine"]
            case "plan":
                self.left_out = event["steps"]
            case "begin":
                self.running = event["step"]
            case "done":
                self.records += event["records"]
                self._finish(event["step"])
            case "failed":
                self.failed[event["step"]] = event["error"]
                self._finish(event["step"])

    def _finish(self, step: str) -> None:
        self.left_out = [name for name in self.left_out if name != step]
        self.running = None

    def as_json(self) -> Record:
        """The result for JSON."""
        content = asdict(self)
        del content["machine"], content["running"]
        return content


def run_steps(
    section: Section, options: GpuOptions, until: float, emit: Callable[[Event], None]
) -> None:
    """Run a section's steps in this process; none begins after ``until`` (time.time())."""
    try:
        from bench.machine import describe_machine

        emit({"kind": "machine", "machine": describe_machine()})
        steps = section.steps(options)
    except Exception as error:
        emit({"kind": "failed", "step": "preparation", "error": _sentence(error)})
        return
    emit({"kind": "plan", "steps": [step.name for step in steps]})
    for step in steps:
        if time.time() >= until:
            return
        emit({"kind": "begin", "step": step.name})
        try:
            records = step.run()
        except Exception as error:
            traceback.print_exc()
            emit({"kind": "failed", "step": step.name, "error": _sentence(error)})
        else:
            emit({"kind": "done", "step": step.name, "records": records})


def _sentence(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"


def run_isolated(command: Sequence[str], until: float, take: Callable[[Event], None]) -> str | None:
    """Run a section's command and take its events; kill it GRACE seconds after ``until``.

    Returns why it ended early, or None.
    """
    process = subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8", errors="replace")
    lines: queue.Queue[str | None] = queue.Queue()
    reader = threading.Thread(target=_read, args=(process, lines), daemon=True)
    reader.start()
    try:
        for line in _until_the_end(lines, until + GRACE):
            if line.startswith(MARK):
                take(json.loads(line.removeprefix(MARK)))
            else:
                sys.stderr.write(line)
        if process.poll() is None and time.time() >= until + GRACE:
            return "its time was over"
        code = process.wait(timeout=GRACE)
        return f"its process ended with code {code}" if code else None
    except subprocess.TimeoutExpired:
        return "its process did not end"
    finally:
        process.kill()
        process.wait()
        reader.join(GRACE)


def _read(process: subprocess.Popen[str], lines: queue.Queue[str | None]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        lines.put(line)
    lines.put(None)


def _until_the_end(lines: queue.Queue[str | None], deadline: float) -> Iterator[str]:
    """Yield lines until their end or the deadline."""
    while (left := deadline - time.time()) > 0:
        try:
            line = lines.get(timeout=left)
        except queue.Empty:
            return
        if line is None:
            return
        yield line


def allowed_seconds(left: float, weights: Sequence[float]) -> float:
    """Return the first section's share of the ``left`` seconds, by the sections' ``weights``."""
    return left * weights[0] / sum(weights)


def run_sections(
    sections: Sequence[Section],
    seconds: float,
    run: Callable[[Section, float, SectionResult], str | None],
    say: Callable[[SectionResult], None],
) -> dict[str, SectionResult]:
    """Run the sections within ``seconds``; time that one does not use goes to the later ones.

    ``run`` runs a section until a time and returns why it ended early, or None. ``say`` gets every
    finished section.
    """
    end = time.time() + seconds
    results: dict[str, SectionResult] = {}
    for number, section in enumerate(sections):
        started = time.time()
        weights = [later.weight for later in sections[number:]]
        allowed = max(0.0, allowed_seconds(end - started, weights))
        result = results[section.name] = SectionResult(section.title, allowed=allowed)
        early = run(section, started + allowed, result)
        if early is not None:
            step = result.running or "preparation"
            if early == "its time was over":
                result.left_out = result.left_out or [step]
            else:
                result.take({"kind": "failed", "step": step, "error": early})
        result.seconds = time.time() - started
        say(result)
    return results
