"""`gradpipe run` in processes that are forked from one that has everything imported.

A start of Python with torch and Dagster takes five seconds; a fork of it takes a hundredth of one,
so that a test can kill a run again and again.
"""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

#: Imported once, before the first fork. None of them starts a thread by being imported.
_IMPORTED = (
    "gradpipe.cli",
    "assets.running.runner",
    "assets.resources",
    "openai",
    "psutil",
    "torch",
    "transformers.models.llama.modeling_llama",
    "transformers.models.auto.modeling_auto",
    "gradpipe.models.load",
    "gradpipe.gradients.loop",
    "gradpipe.gradients.passes.run_batch",
    "gradpipe.report.build",
    "gradpipe.report.page.render",
    "alembic.command",
    "altair",
    "dagster._core.storage.event_log.sqlite.sqlite_event_log",
    "dagster._core.storage.runs.sqlite.sqlite_run_storage",
    "pyarrow.parquet",
    "scipy.stats",
)


def fork_server() -> ForkServerContext:
    """The context whose processes are forks of one that has all imported."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(_IMPORTED))
    return context


@dataclass(frozen=True)
class Ended:
    """A run that came to its end: what it said, and with which exit code."""

    code: int
    output: str
    errors: str
    marks: list[tuple[float, str]]

    @property
    def counts(self) -> dict[str, dict[str, Any]]:
        """What each stage computed and reused."""
        counts: dict[str, dict[str, Any]] = self.account["stages"]
        return counts

    @property
    def account(self) -> dict[str, Any]:
        """The last line on stdout, which ``--json`` promises to be one object."""
        account: dict[str, Any] = json.loads(self.output.splitlines()[-1])
        return account


class Run:
    """One `gradpipe` command at work on a workspace, and what it writes on its way."""

    def __init__(
        self,
        workspace: Path | str,
        notes: Path,
        study: Path | None = None,
        *,
        images: bool = False,
        environment: Mapping[str, str] | None = None,
        change: str = "",
    ) -> None:
        notes.mkdir(parents=True, exist_ok=True)
        for name in ("marks", "output", "errors"):
            # What an earlier run wrote there.
            (notes / name).unlink(missing_ok=True)
        self._notes = notes
        words = ["run", "--json", *(["--study", str(study)] if study else [])]
        variables = {"GRADPIPE_HOME": str(workspace), "DAGSTER_HOME": "", **(environment or {})}
        self.process = fork_server().Process(
            target=_command, args=(words, variables, notes, images, change), daemon=True
        )
        self.started = time.monotonic()
        self.process.start()

    @property
    def pid(self) -> int:
        """The process's number."""
        assert self.process.pid is not None
        return self.process.pid

    def marks(self) -> list[tuple[float, str]]:
        """Seconds since the run's start, and what began then: a stage and its partition."""
        file = self._notes / "marks"
        lines = file.read_text("utf-8").splitlines() if file.is_file() else []
        pairs = (line.partition(" ") for line in lines)
        return [(float(moment) - self.started, what) for moment, _, what in pairs]

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.process.kill()
        self.process.join()

    def send(self, number: signal.Signals) -> None:
        """A signal, with which the process does what it likes."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def kill_at(self, seconds: float) -> None:
        """SIGKILL so many seconds after the start, unless it has ended by then."""
        self.process.join(max(0.0, self.started + seconds - time.monotonic()))
        self.kill()

    def end(self, within: float = 300.0) -> Ended:
        """Wait for the end; a run that does not come to one is killed and fails the test."""
        self.process.join(within)
        if self.process.exitcode is None:
            self.kill()
            raise AssertionError(f"The run did not end: {self._read('errors')}")
        code = self.process.exitcode
        return Ended(code, self._read("output"), self._read("errors"), self.marks())

    def _read(self, name: str) -> str:
        file = self._notes / name
        return file.read_text("utf-8", "replace") if file.is_file() else ""


def finish(workspace: Path | str, notes: Path, study: Path | None = None, **more: Any) -> Ended:
    """A run to its end, which must be a good one."""
    ended = Run(workspace, notes, study, **more).end()
    assert ended.code == 0, ended.errors
    return ended


def _command(
    words: list[str], variables: dict[str, str], notes: Path, images: bool, change: str
) -> None:
    """What happens in the fork: the command line itself, its stages noted as they begin."""
    os.environ.update(variables)
    for name, number in (("output", 1), ("errors", 2)):
        os.dup2(os.open(notes / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
    marks = os.open(notes / "marks", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)

    def mark(what: str) -> None:
        os.write(marks, f"{time.monotonic()} {what}\n".encode())

    _speed_up(images)
    for name in change.split():
        _changes()[name]()
    from gradpipe.cli import main
    from gradpipe.cli.progress import ProgressView

    say = ProgressView.stage

    def say_and_mark(self: ProgressView, stage: str, partition: str) -> None:
        mark(f"{stage} {partition}")
        say(self, stage, partition)

    setattr(ProgressView, "stage", say_and_mark)  # noqa: B010
    _mark_statistics(mark)
    code = 0
    try:
        main(words, standalone_mode=True)
    except SystemExit as ending:
        code = ending.code if isinstance(ending.code, int) else 1
    mark("end ")
    sys.stdout.flush()
    sys.stderr.flush()
    # Not through Python's end: threads of libraries may take seconds to notice it.
    os._exit(code)


def _mark_statistics(mark: Callable[[str], None]) -> None:
    """Statistics are mostly made in one go with their spectra, of which no word is said."""
    import assets.spectral_statistics as stage

    make = stage.partition_tables

    def mark_and_make(*arguments: Any) -> Any:
        mark("spectral_statistics ")
        return make(*arguments)

    setattr(stage, "partition_tables", mark_and_make)  # noqa: B010


def _speed_up(images: bool) -> None:
    """One thread, one row a batch, and one report, without charts unless images are asked for."""
    import torch

    import assets.running.interim_reports
    import gradpipe.gradients.loop
    import gradpipe.gradients.passes.batches
    import gradpipe.report.build
    import gradpipe.report.page.render
    import storage.parts
    from tests.quick_records import quicken_records

    torch.set_num_threads(1)
    quicken_records()
    # The parts of single rows are not merged, so that a test can damage some of them.
    setattr(storage.parts, "FEWEST_PARTS", 32)  # noqa: B010
    setattr(gradpipe.gradients.loop, "FIRST_BUDGET", 1)  # noqa: B010
    setattr(assets.running.interim_reports, "FIRST_AFTER", float("inf"))  # noqa: B010
    for name in ("CPU_LEAST", "CPU_BUDGET"):
        setattr(gradpipe.gradients.passes.batches, name, 1)
    if not images:
        build = gradpipe.report.build.build_report

        def build_without(inputs: Any, folder: Path, images: bool = True) -> Path:
            return build(inputs, folder, images=False)

        setattr(gradpipe.report.build, "build_report", build_without)  # noqa: B010
        setattr(gradpipe.report.page.render, "page_charts", lambda _inputs: {})  # noqa: B010


def _changes() -> dict[str, Callable[[], object]]:
    """What a test has happen inside the process before the command begins, by its name."""
    return {
        "no-privileges": drop_privileges,
        "no-waits": shorten_waits,
        "clock-backwards": turn_back_the_clock,
        "no-home": forget_home,
        "commas": write_commas,
        "umask-077": lambda: os.umask(0o077),
        "umask-000": lambda: os.umask(0o000),
    }


def turn_back_the_clock() -> None:
    """Each time it is asked, the clock is ten seconds further back."""
    now, asked = time.time, itertools.count()
    setattr(time, "time", lambda: now() - 10 * next(asked))  # noqa: B010
    setattr(time, "time_ns", lambda: int(1e9 * time.time()))  # noqa: B010


def forget_home() -> None:
    """No HOME, and a user whom the system has no entry of."""
    import pwd

    def unknown(number: int) -> object:
        raise KeyError(number)

    for name in ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        os.environ.pop(name, None)
    setattr(pwd, "getpwuid", unknown)  # noqa: B010


def write_commas() -> None:
    """What the process writes and reads in C has decimal commas."""
    import locale

    locale.setlocale(locale.LC_ALL, "")
    assert locale.localeconv()["decimal_point"] == ","


def shorten_waits() -> None:
    """What is tried again is tried at once, or nearly."""
    import assets.stage_run

    setattr(assets.stage_run, "backoff", lambda _number: 0.5)  # noqa: B010


def drop_privileges() -> None:
    """Give up what lets the superuser write everywhere; does nothing for others."""
    import ctypes

    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    nothing = (ctypes.c_uint32 * 6)()
    ctypes.CDLL(None).capset(header, nothing)
