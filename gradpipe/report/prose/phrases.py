"""Ratios, intervals and counts as text, the same in every sentence of a report."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from gradpipe.report import style

CLAIM_VERDICTS = ("supported", "contradicted", "undecided")

#: Ratios between these are written as percentages: "4 % larger" reads better than "1.04 times".
CLOSE_TO_ONE = (2 / 3, 1.5)
#: A ratio that differs from 1 by less than this is neither larger nor smaller.
_EQUAL_WITHIN = 0.0005


#: The interval of a ratio, unless the claim is about an equivalence.
USUAL_INTERVAL = "95 % interval"


def interval_name(claim: Mapping[str, Any]) -> str:
    """What ``low`` to ``high`` of the verdicts on a claim, a row of CLAIM_SCHEMA, are."""
    if claim["quantity"] == "layers":
        return "95 % bounds of all layers"
    return USUAL_INTERVAL if claim["test"] == "greater" else "90 % interval"


def ratio_text(ratio: float | None) -> str:
    """A ratio of two sizes: "6.4 times as large", or "4 % larger" if it is close to 1."""
    if ratio is None or not math.isfinite(ratio):
        return "no ratio"
    if not CLOSE_TO_ONE[0] < ratio < CLOSE_TO_ONE[1]:
        return f"{short_number(ratio)} times as large"
    if abs(ratio - 1) < _EQUAL_WITHIN:
        return "equal to within 0.1 %"
    return f"{_percent(ratio)} {_side(ratio)}"


def interval_text(
    ratio: float, low: float | None, high: float | None, name: str = USUAL_INTERVAL
) -> str:
    """The interval of a ratio, ``name`` first, as times or percentages like the ratio itself."""
    low = 0.0 if low is None or math.isnan(low) else low
    high = math.inf if high is None or math.isnan(high) else high
    if low <= 0 and math.isinf(high):
        return f"no {name}"
    if math.isinf(high):
        return f"{name} {short_number(low)} times or more"
    if low <= 0:
        return f"{name} up to {short_number(high)} times"
    if not CLOSE_TO_ONE[0] < ratio < CLOSE_TO_ONE[1] or low < 0.5 or high > 2:
        return f"{name} {range_text(low, high)} times"
    if _side(low) == _side(high):
        near, far = sorted((low, high), key=lambda end: abs(end - 1))
        return f"{name} {_percent(near)} to {_percent(far)} {_side(ratio)}"
    return f"{name} {_percent(low)} {_side(low)} to {_percent(high)} {_side(high)}"


def short_number(value: float) -> str:
    """A number for a sentence: two significant digits, or a whole number from 100."""
    if value >= 99.5:
        return style.number(round(value))
    return f"{value:#.2g}".rstrip(".") if value >= 1e-3 else style.number(value)


def range_text(low: float, high: float) -> str:
    """A range of numbers: "5.1 to 8.0", with a third digit if two digits are equal."""
    ends = [short_number(end) for end in (low, high)]
    if ends[0] == ends[1]:
        ends = [style.number(end) for end in (low, high)]
    return " to ".join(dict.fromkeys(ends))


def count_text(count: int, singular: str, plural: str | None = None) -> str:
    """A count with its noun, in the singular or the plural."""
    return f"{style.number(count)} {singular if count == 1 else plural or f'{singular}s'}"


def join_words(words: list[str]) -> str:
    """Words as a list in a sentence: "q, k and v"."""
    return " and ".join(part for part in (", ".join(words[:-1]), *words[-1:]) if part)


def tally(verdicts: Sequence[str], noun: str) -> str:
    """A sentence with the number of claims, or other nouns, per verdict; empty without verdicts.

    "Of 3 claims, 2 are supported and 1 is undecided." "Both claims are supported."
    """
    counts = {v: verdicts.count(v) for v in CLAIM_VERDICTS if v in verdicts}
    if len(counts) > 1:
        parts = [f"{n} {'is' if n == 1 else 'are'} {verdict}" for verdict, n in counts.items()]
        return f"Of {len(verdicts)} {noun}s, {join_words(parts)}."
    if not verdicts:
        return ""
    subjects = {1: f"The one {noun} is", 2: f"Both {noun}s are"}
    return f"{subjects.get(len(verdicts), f'All {len(verdicts)} {noun}s are')} {verdicts[0]}."


def sentence_start(text: str) -> str:
    """The text with a capital first letter and without a final period."""
    text = text.strip().removesuffix(".")
    return text[:1].upper() + text[1:]


def _side(ratio: float) -> str:
    return "larger" if ratio >= 1 else "smaller"


def _percent(ratio: float) -> str:
    percent = 100 * abs(ratio - 1)
    return f"{percent:.{0 if percent >= 9.95 else 1}f} %"
