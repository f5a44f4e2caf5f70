"""Where the time of a run goes: every second belongs to one part, so that the parts add up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter

#: The parts that are not stages: what a summary prints after the stages.
STARTING, PLANNING, WAITING = "starting", "planning", "waiting"
INTERIM, DAGSTER = "interim reports", "Dagster"


class RunTimes:
    """A clock that always runs for exactly one part of a run, at first ``starting``.

    Time that passes in a nested part belongs to the inner one alone. The run started ``before``
    seconds ago.
    """

    def __init__(self, before: float = 0.0) -> None:
        self._seconds = dict.fromkeys((STARTING, PLANNING, WAITING, INTERIM, DAGSTER), 0.0)
        self._part, self._since = STARTING, perf_counter() - before

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """A block whose time belongs to the part ``name``."""
        outer = self._part
        self._switch(name)
        try:
            yield
        finally:
            self._switch(outer)

    def move(self, seconds: float, stage: str) -> None:
        """Count seconds of the current part, measured by a stage itself, as the stage's."""
        self._switch(self._part)
        self._seconds[self._part] -= seconds
        self._seconds[stage] = self._seconds.get(stage, 0.0) + seconds

    def elapsed(self, part: str) -> float:
        """The seconds of a part until now."""
        self._switch(self._part)
        return self._seconds.get(part, 0.0)

    def rounded(self, digits: int) -> dict[str, float]:
        """The seconds of every part until now, stages included, rounded as by ``rounded_to_sum``.

        Their sum is the time of the run.
        """
        self._switch(self._part)
        return rounded_to_sum(self._seconds, digits)

    def begin(self, name: str) -> None:
        """Count the time from now on as that of the part ``name``."""
        self._switch(name)

    def _switch(self, name: str) -> None:
        now = perf_counter()
        self._seconds[self._part] += now - self._since
        self._seconds.setdefault(name, 0.0)
        self._part, self._since = name, now


def rounded_to_sum(seconds: Mapping[str, float], digits: int) -> dict[str, float]:
    """Round seconds so that the rounded parts add up to the rounded sum, each off by one at most.

    Rounded one by one, they would miss the sum by half a digit per part.
    """
    scale = 10**digits
    units = {name: int(value * scale // 1) for name, value in seconds.items()}
    rest = round(round(sum(seconds.values()), digits) * scale) - sum(units.values())
    largest = sorted(seconds, key=lambda name: units[name] - seconds[name] * scale)
    for name in largest[:rest]:
        units[name] += 1
    return {name: count / scale for name, count in units.items()}
