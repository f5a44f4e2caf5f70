"""Reports during a run: on the partitions that are finished, while others are still computed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from assets.planning.plan import Plan, Unit
from storage.workspace import Workspace

#: Seconds of a run until its first interim report. A study that takes less has none.
FIRST_AFTER = 30.0
#: Seconds between two of them, and from the start of the run if there is a page already.
SECONDS_BETWEEN = 600.0
#: An interim report takes at most this share of the time.
MOST_OF_TIME = 0.05


class InterimReports:
    """When to write an interim report in a run of a plan.

    The first one is due early if the workspace has no page yet: the sooner there is a picture, the
    sooner a mistake in the study shows.
    """

    def __init__(self, workspace: Workspace, plan: Plan) -> None:
        units = list(plan.units())
        self._summary = next((unit for unit in units if unit.summarizes), None)
        #: After the last one, the report itself follows.
        self._last = next((unit for unit in reversed(units) if not unit.summarizes), None)
        wait = SECONDS_BETWEEN if workspace.report_page.is_file() else FIRST_AFTER
        self._due = time.monotonic() + wait

    def due_after(self, unit: Unit) -> Unit | None:
        """Return the unit to run now, ``unit`` being finished: the report, or None."""
        summary = self._summary
        if summary is None or unit in {summary, self._last} or time.monotonic() < self._due:
            return None
        read = {stage for own in summary.stages for stage in own.reads}
        return summary if read & set(unit.stages) else None

    @contextmanager
    def writing(self) -> Iterator[None]:
        """A block that writes an interim report; the next one is due much later."""
        started = time.monotonic()
        yield
        ended = time.monotonic()
        self._due = ended + max(SECONDS_BETWEEN, (ended - started) / MOST_OF_TIME)
