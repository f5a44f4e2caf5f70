"""Progress over all rows of a command's data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from gradpipe.gradients.rows import Progress


@dataclass(frozen=True, kw_only=True)
class RunProgress:
    """Rows of all: ``kept`` by earlier runs, ``computed`` by this one with their ``tokens``."""

    all_rows: int
    kept: int
    computed: int = 0
    tokens: int = 0


class ProgressOfRun:
    """Adds up the progress of the chunks of a run and reports it."""

    def __init__(self, plan_rows: int, kept: int, report: Callable[[RunProgress], None]) -> None:
        self.now = RunProgress(all_rows=plan_rows, kept=kept)
        self._report = report
        self._before = self.now
        report(self.now)

    def chunk(self, progress: Progress) -> None:
        """The progress within the present chunk."""
        before = self._before
        self.now = replace(
            before,
            computed=before.computed + progress.rows,
            tokens=before.tokens + progress.tokens,
        )
        self._report(self.now)

    def chunk_ended(self) -> None:
        """The next progress is that of another chunk."""
        self._before = self.now
