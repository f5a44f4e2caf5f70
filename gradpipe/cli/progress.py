"""Progress on stderr: bars on a terminal, an occasional line elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars
from rich.table import Table

from gradpipe.gradients.rows import Progress
from gradpipe.standalone.run_progress import RunProgress
from gradpipe.system.units import format_duration

#: Seconds between two progress lines if stderr is not a terminal.
PROGRESS_LINE_INTERVAL = 10.0


class LineHandler(logging.Handler):
    """Print the library's log lines above the bars."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        """Print one line."""
        self._console.print(f"  {record.getMessage()}", markup=False)


class ProgressView:
    """Show the current stage and an extraction's rows, tokens per second and remaining time."""

    def __init__(self) -> None:
        # Determined once: Dagster replaces stderr by a pipe while a stage runs.
        self._terminal = Console(stderr=True).is_terminal
        self.console = Console(
            stderr=True, soft_wrap=True, highlight=False, force_terminal=self._terminal or None
        )
        self._bars = Bars(*_columns(), console=self.console)
        self._task: TaskID | None = None
        self._label = ""
        self._started = self._last_line = 0.0

    def __enter__(self) -> ProgressView:
        if self._terminal:
            self._bars.start()
        self._log = logging.getLogger("gradpipe")
        self._handler = LineHandler(self.console)
        self._level = self._log.level
        self._log.addHandler(self._handler)
        self._log.setLevel(logging.INFO)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._log.removeHandler(self._handler)
        self._log.setLevel(self._level)
        if self._terminal:
            self._bars.stop()

    def stage(self, stage: str, partition: str) -> None:
        """Print which stage starts, and its partition."""
        self.console.print(f"{stage}  {partition}".rstrip(), markup=False)

    def note(self, text: str) -> None:
        """Print what the stage waits for, or a warning of its checks."""
        self.console.print(f"  {text}", markup=False)

    def extraction(self, label: str, progress: Progress) -> None:
        """Show an extraction's progress."""
        if label != self._label or progress.rows == 0:
            self._begin(label, progress)
        seconds = time.monotonic() - self._started
        rate = f"{progress.tokens / seconds:.0f} tokens/s" if progress.tokens and seconds else ""
        if self._terminal and self._task is not None:
            self._bars.update(self._task, completed=progress.rows, rate=rate)
        elif time.monotonic() - self._last_line >= PROGRESS_LINE_INTERVAL:
            self._last_line = time.monotonic()
            left = seconds * (progress.all_tokens / max(progress.tokens, 1) - 1)
            print(
                f"  {progress.rows} of {progress.all_rows} rows, {rate}, {left:.0f} s left",
                file=sys.stderr,
                flush=True,
            )

    def run(self, label: str, progress: RunProgress) -> None:
        """Show the progress over all rows of a file; kept rows do not count in the speed."""
        if label != self._label:
            self._begin(label, progress)
        seconds = time.monotonic() - self._started
        speed = progress.computed / seconds if progress.computed and seconds else 0.0
        tokens = progress.tokens / seconds if seconds else 0.0
        rate = f"{tokens:.0f} tokens/s" if speed else ""
        done = progress.kept + progress.computed
        if self._terminal and self._task is not None:
            self._bars.update(self._task, completed=done, rate=rate)
        elif speed and time.monotonic() - self._last_line >= PROGRESS_LINE_INTERVAL:
            self._last_line = time.monotonic()
            left = (progress.all_rows - done) / speed
            kept = f" ({progress.kept:,} kept)" if progress.kept else ""
            print(
                f"  {done:,} of {progress.all_rows:,} rows{kept}, {rate}, "
                f"{format_duration(left)} left",
                file=sys.stderr,
                flush=True,
            )

    def _begin(self, label: str, progress: Progress | RunProgress) -> None:
        self._label = label
        self._started = self._last_line = time.monotonic()
        if self._task is not None:
            self._bars.update(self._task, visible=False)
        kept = progress.kept if isinstance(progress, RunProgress) else 0
        self._task = self._bars.add_task(
            f"  {label}", total=progress.all_rows, completed=kept, rate=""
        )


def _columns() -> list[ProgressColumn]:
    return [
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("rows  {task.fields[rate]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    ]


def print_table(columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    """Print a plain table on stdout, as wide as its content: names are never cut."""
    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*map(escape, row))
    console = Console(soft_wrap=True, highlight=False)
    width = console.measure(table, options=console.options.update(width=10_000)).maximum
    console.width = max(console.width, width)
    console.print(table)
