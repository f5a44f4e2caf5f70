"""How many items a study needs to decide each claim, from the verdicts of a pilot.

The standard error of a log ratio falls with the root of the number of items, so the pilot's
interval gives that of any number. A claim is decided with the same tests as in
``decisions``: at 5 % two-sided against one border, and at 5 % one-sided to support
that a ratio is within a margin or not above it (Schuirmann 1987). There is no correction for other
claims. The power is calculated as if the measured effect were the true one; it is uncertain itself,
above all that of a small pilot (Albers and Lakens 2018).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf, log, sqrt
from typing import Any, Literal

import numpy as np
import polars as pl

from gradpipe.claims.contrasts import Claim, ClaimTest, claims_table
from gradpipe.claims.inference.bootstrap import CONFIDENCE_LEVEL, MIN_ITEMS
from gradpipe.claims.paper import PAPER_CLAIMS

#: The probability of a decision that a study is planned for.
USUAL_POWER = 0.8
#: A plan has no more items than this.
MOST_ITEMS = 1_000_000
#: One row per claim with a verdict. ``items`` counts the items of the benchmark with the most, and
#: ``items_needed`` is how many each benchmark needs to decide the claim as ``would_be``.
#: ``detectable`` is the smallest ratio above 1 that the pilot's number of items distinguishes from
#: 1. Both are null where ``reason`` says why.
POWER_SCHEMA = pl.Schema(
    {
        "claim": pl.String,
        "verdict": pl.String,
        "effect": pl.Float64,
        "items": pl.Int64,
        "items_needed": pl.Int64,
        "would_be": pl.String,
        "detectable": pl.Float64,
        "reason": pl.String,
    }
)
_Outcome = Literal["supported", "contradicted"]


def items_needed(
    verdicts: pl.DataFrame,
    claims: Sequence[Claim] | pl.DataFrame = PAPER_CLAIMS,
    *,
    power: float = USUAL_POWER,
) -> pl.DataFrame:
    """Compute how many items per benchmark decide each claim, if its effect is as measured.

    Args:
        verdicts: The verdicts of a pilot, as ``gp.judge`` returns them.
        claims: The claims that were judged, or their table.
        power: The wanted probability of a decision.

    Returns:
        One row per claim: ``claim``, ``verdict``, ``effect`` (a ratio), ``items`` (of the benchmark
        with the most), ``items_needed`` (per benchmark), ``would_be`` ("supported" or
        "contradicted"), ``detectable`` (the smallest ratio above 1 that ``items`` distinguish from
        1 with this power) and ``reason``, which says why there is no number.

    Examples:
        >>> questions = [f"What is {n} plus {n}?" for n in range(10)]
        >>> answers = {"none": "It is {}.", "detailed": "Adding the two numbers gives us {}."}
        >>> table = pl.concat(
        ...     gp.extract_spectra(
        ...         model, tokenizer, [(q, text.format(2 * n)) for n, q in enumerate(questions)]
        ...     ).with_columns(style=pl.lit(style))
        ...     for style, text in answers.items()
        ... )
        >>> verdicts = gp.judge(table)
        >>> needed = gp.items_needed(verdicts).filter(claim="2")
        >>> needed.select("items", "items_needed", "would_be").row(0)
        (10, 8, 'supported')
    """
    table = claims if isinstance(claims, pl.DataFrame) else claims_table(claims)
    tests = table.select("claim", "test", "margin", "quantity")
    most = (
        verdicts.filter(pl.col("level") == "cell")
        .group_by("claim")
        .agg(pl.col("items").max().alias("most"))
    )
    rows = (
        verdicts.filter(pl.col("level") == "overall")
        .join(tests, on="claim", maintain_order="left")
        .join(most, on="claim", how="left", maintain_order="left")
    )
    return pl.DataFrame([_plan(row, power) for row in rows.to_dicts()], schema=POWER_SCHEMA)


def _plan(row: dict[str, Any], power: float) -> dict[str, Any]:
    """The row of POWER_SCHEMA of one overall verdict, which also has its claim's test."""
    plan = {"claim": row["claim"], "verdict": row["verdict"], "effect": row["effect"]}
    plan |= {"items": row["most"]}
    if row["most"] is None:
        return plan | {"reason": "no cell was judged"}
    if row["most"] < MIN_ITEMS:
        reason = f"{row['most']} of {MIN_ITEMS} required items"
        return plan | {"items_needed": MIN_ITEMS, "reason": f"{reason}: more say how many decide"}
    pilot = _pilot(row)
    if pilot is None:
        return plan | {"reason": "there is no interval to plan with"}
    plan |= {"detectable": pilot.detectable(row["most"], power)}
    needed = _fewest(pilot.power, power)
    if needed is None:
        return plan | {"reason": f"too close to the border: over {MOST_ITEMS:,} items"}
    return plan | {"would_be": pilot.outcome, "items_needed": needed}


@dataclass(frozen=True)
class _Pilot:
    """The log ratio ``effect`` that a claim is about, and its standard error times √items."""

    test: ClaimTest
    margin: float
    effect: float
    spread: float

    @property
    def outcome(self) -> _Outcome:
        """The decision if the effect is the true one."""
        holds = {
            "greater": self.effect > self.margin,
            "within": abs(self.effect) < self.margin,
            "not_greater": self.effect < self.margin,
        }
        return "supported" if holds[self.test] else "contradicted"

    def power(self, items: int) -> float:
        """The probability of that decision with this number of items per benchmark."""
        if self.test == "within" and self.outcome == "supported":
            sides = [
                self._beyond(self.margin + end, items, 1) for end in (self.effect, -self.effect)
            ]
            return max(0.0, sum(sides) - 1)
        effect = abs(self.effect) if self.test == "within" else self.effect
        one_sided = self.test == "not_greater" and self.outcome == "supported"
        return self._beyond(abs(effect - self.margin), items, 1 if one_sided else 2)

    def detectable(self, items: int, power: float) -> float:
        """The smallest ratio above 1 that is distinguished from 1 with this power."""
        from scipy.special import ndtri, stdtrit

        quantile = stdtrit(items - 1, (1 + CONFIDENCE_LEVEL) / 2) + ndtri(power)
        return float(np.exp(quantile * self.spread / sqrt(items)))

    def _beyond(self, distance: float, items: int, sides: int) -> float:
        """The probability that a test with this many ``sides`` finds ``distance`` above 0."""
        from scipy.special import ndtr, stdtrit

        quantile = stdtrit(items - 1, 1 - (1 - CONFIDENCE_LEVEL) / sides)
        return float(ndtr(distance * sqrt(items) / self.spread - quantile))


def _pilot(row: dict[str, Any]) -> _Pilot | None:
    """The effect and its spread, None without an interval of finite width or without a margin."""
    from scipy.special import stdtrit

    ends = row["effect"], row["low"], row["high"]
    if row["margin"] is None or any(end is None or not 0 < end < inf for end in ends):
        return None
    effect, low, high = map(log, ends)
    items = int(row["most"])
    # Of layers, the ends are bounds of all; that of the farthest layer is on its side.
    far = high - effect if effect > 0 else effect - low
    reach = far if row["quantity"] == "layers" else (high - low) / 2
    # An equivalence has a 90 % interval, and one-sided bounds are the ends of one.
    one_sided = CONFIDENCE_LEVEL if row["test"] != "greater" else (1 + CONFIDENCE_LEVEL) / 2
    spread = float(reach / stdtrit(items - 1, one_sided)) * sqrt(items)
    return _Pilot(row["test"], log(row["margin"]), effect, spread) if spread > 0 else None


def _fewest(power_of: Callable[[int], float], wanted: float) -> int | None:
    """The fewest items, from MIN_ITEMS to MOST_ITEMS, that have the wanted power."""
    few, many = MIN_ITEMS, MIN_ITEMS
    while power_of(many) < wanted:
        if many >= MOST_ITEMS:
            return None
        few, many = many, min(2 * many, MOST_ITEMS)
    while few < many:
        middle = (few + many) // 2
        few, many = (few, middle) if power_of(middle) >= wanted else (middle + 1, many)
    return many
