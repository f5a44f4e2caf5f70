"""Measure wall-clock times, and the schema of all timings."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

import polars as pl

from bench.peaks import accelerator_peak, start_peak
from bench.settings import Say

Result = TypeVar("Result")

#: One row per measurement: the ``seconds`` that a ``method`` with a ``batching`` took for some
#: ``examples`` and ``tokens`` of a ``case`` in a ``round`` (from 1). ``difference``, of the naive
#: method: the largest relative difference of a nuclear norm from ours. ``peak``: the peak of bytes
#: allocated on the accelerator.
TIMINGS = pl.Schema(
    {
        "case": pl.String(),
        "round": pl.Int64(),
        "method": pl.String(),
        "batching": pl.String(),
        "seconds": pl.Float64(),
        "examples": pl.Int64(),
        "tokens": pl.Int64(),
        "difference": pl.Float64(),
        "peak": pl.Int64(),
    }
)


def timed(work: Callable[[], Result], device: str = "cpu") -> tuple[float, Result]:
    """The seconds that ``work`` takes, including the accelerator's queue, and its result."""
    synchronize(device)
    started = time.perf_counter()
    result = work()
    synchronize(device)
    return time.perf_counter() - started, result


def synchronize(device: str) -> None:
    """Wait for an accelerator's queue; does nothing on the CPU."""
    import torch

    if device != "cpu":
        getattr(torch, torch.device(device).type).synchronize()


class Stopwatch:
    """Time the work of one case and record every measurement."""

    def __init__(self, case: str, device: str, say: Say) -> None:
        self.case = case
        self.device = device
        self.records: list[dict[str, Any]] = []
        self._say = say

    def take(
        self,
        number: int,
        method: str,
        work: Callable[[], Result],
        *,
        examples: int = 1,
        tokens: int,
        batching: str = "one row",
    ) -> Result:
        """Do the work, record its time in round ``number``, and return its result."""
        start_peak(self.device)
        seconds, result = timed(work, self.device)
        self.records.append(
            {
                "case": self.case,
                "round": number,
                "method": method,
                "batching": batching,
                "seconds": seconds,
                "examples": examples,
                "tokens": tokens,
                "difference": None,
                "peak": accelerator_peak(self.device),
            }
        )
        self._say(
            f"{self.case}, round {number}: {method} ({batching}) {seconds / examples:.4g} s each"
        )
        return result

    @property
    def timings(self) -> pl.DataFrame:
        """All measurements so far (TIMINGS)."""
        return pl.DataFrame(self.records, schema=TIMINGS)
