"""What gradpipe set out to reach, and whether a run did.

The goals are stated for two cores, float32 and the demo model; the bench prints them beside the
numbers on any machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl


@dataclass(frozen=True)
class Goal:
    """A bound on one number of one case: ``at_least`` or at most ``bound``."""

    part: str
    case: str
    measure: str
    bound: float
    at_least: bool
    words: str

    def outcome(self, found: float) -> dict[str, Any]:
        """The goal beside what was found, as JSON holds it."""
        reached = found >= self.bound if self.at_least else found <= self.bound
        return {
            "part": self.part,
            "case": self.case,
            "goal": self.words,
            "bound": self.bound,
            "at_least": self.at_least,
            "found": found,
            "reached": reached,
        }


def _passes(style: str, speedup: float, over_bare: float) -> list[Goal]:
    return [
        Goal("passes", style, "speedup", speedup, True, "times faster than naive"),
        Goal("passes", style, "over_bare", over_bare, False, "times the bare passes"),
    ]


GOALS = [
    *_passes("none", 9, 1.15),
    *_passes("simplified", 4, 1.2),
    *_passes("detailed", 2.5, 1.35),
    *(
        Goal("alignment", style, "over_without", 1.1, False, "times as long as without cosines")
        for style in ("none", "simplified", "detailed")
    ),
    Goal("layer", "Llama-3.1-8B", "speedup", 25, True, "times faster than naive, whole layer"),
    Goal("layer", "Llama-3.1-8B", "spectra_speedup", 400, True, "times faster than naive, spectra"),
    Goal("page", "paper's grid", "page_bytes", 5e6, False, "bytes of the report's page"),
    Goal("page", "paper's grid", "all_drawn", 3, False, "seconds to open it, all charts drawn"),
]


def check_goals(part: str, summary: pl.DataFrame) -> list[dict[str, Any]]:
    """The outcome of every goal for which ``summary`` (one row a case) has a number."""
    goals = GOALS if part != "memory" else _memory(summary)
    found = {row["case"]: row for row in summary.iter_rows(named=True)}
    return [
        goal.outcome(found[goal.case][goal.measure])
        for goal in goals
        if goal.part == part and found.get(goal.case, {}).get(goal.measure) is not None
    ]


def _memory(summary: pl.DataFrame) -> list[Goal]:
    """Everywhere, ours peaks below the naive method."""
    return [
        Goal("memory", case, "over_naive", 1.0, False, "times the naive method's peak memory")
        for case in (summary["case"] if len(summary) else ())
    ]
