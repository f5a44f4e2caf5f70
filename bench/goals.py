"""The goals of speed and memory, and whether a run reached them.

The goals hold for two cores, float32 and the demo model; the bench prints them beside the numbers
on any machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl


@dataclass(frozen=True, kw_only=True)
class Goal:
    """A bound on one measure of one case: at least ``bound``, or at most."""

    part: str
    case: str
    measure: str
    bound: float
    unit: str
    at_least: bool = False

    def outcome(self, value: float) -> dict[str, Any]:
        """The goal and the measured value, for JSON."""
        reached = value >= self.bound if self.at_least else value <= self.bound
        return {
            "part": self.part,
            "case": self.case,
            "goal": self.unit,
            "bound": self.bound,
            "at_least": self.at_least,
            "found": value,
            "reached": reached,
        }


def _passes(style: str, speedup: float, over_bare: float) -> list[Goal]:
    return [
        Goal(
            part="passes",
            case=style,
            measure="speedup",
            bound=speedup,
            unit="times faster than naive",
            at_least=True,
        ),
        Goal(
            part="passes",
            case=style,
            measure="over_bare",
            bound=over_bare,
            unit="times the bare passes",
        ),
    ]


GOALS = [
    *_passes("none", 9, 1.15),
    *_passes("simplified", 4, 1.2),
    *_passes("detailed", 2.5, 1.35),
    *(
        Goal(
            part="alignment",
            case=style,
            measure="over_without",
            bound=1.1,
            unit="times as long as without cosines",
        )
        for style in ("none", "simplified", "detailed")
    ),
    Goal(
        part="layer",
        case="Llama-3.1-8B",
        measure="speedup",
        bound=25,
        unit="times faster than naive, whole layer",
        at_least=True,
    ),
    Goal(
        part="layer",
        case="Llama-3.1-8B",
        measure="spectra_speedup",
        bound=400,
        unit="times faster than naive, spectra",
        at_least=True,
    ),
    *(
        Goal(
            part="peers",
            case=f"bergson, {style}",
            measure="ratio",
            bound=1,
            unit="times the time of gradpipe",
            at_least=True,
        )
        for style in ("none", "simplified", "detailed")
    ),
    Goal(
        part="page",
        case="paper's grid",
        measure="page_bytes",
        bound=5e6,
        unit="bytes of the report's page",
    ),
    Goal(
        part="page",
        case="paper's grid",
        measure="all_drawn",
        bound=3,
        unit="seconds to open it, with all charts drawn",
    ),
]


def check_goals(part: str, summary: pl.DataFrame) -> list[dict[str, Any]]:
    """The outcome of every goal for which ``summary`` (one row per case) has a value."""
    goals = GOALS if part != "memory" else _memory(summary)
    rows = {row["case"]: row for row in summary.iter_rows(named=True)}
    return [
        goal.outcome(rows[goal.case][goal.measure])
        for goal in goals
        if goal.part == part and rows.get(goal.case, {}).get(goal.measure) is not None
    ]


def _memory(summary: pl.DataFrame) -> list[Goal]:
    """One goal per case: the peak of ours is below that of the naive method."""
    return [
        Goal(
            part="memory",
            case=case,
            measure="over_naive",
            bound=1.0,
            unit="times the naive method's peak memory",
        )
        for case in (summary["case"] if len(summary) else ())
    ]
