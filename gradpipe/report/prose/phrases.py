"""Ratios, intervals and counts in words, the same in every sentence of a report."""

import math
from collections.abc import Sequence

from gradpipe.report import style

CLAIM_VERDICTS = ("supported", "contradicted", "undecided")

#: Between these a ratio is said as a percentage: "4 % larger" reads better than "1.04 times".
CLOSE = (2 / 3, 1.5)
#: A ratio nearer to 1 than this is not said to be on either side of it.
_EQUAL_WITHIN = 0.0005


def ratio_said(ratio: float | None) -> str:
    """A ratio of two sizes: "6.4 times as large", or "4 % larger" where it is close to 1."""
    if ratio is None or not math.isfinite(ratio):
        return "no ratio to be had"
    if not CLOSE[0] < ratio < CLOSE[1]:
        return f"{short(ratio)} times as large"
    if abs(ratio - 1) < _EQUAL_WITHIN:
        return "as large to within 0.1 %"
    return f"{_percent(ratio)} {_side(ratio)}"


def interval_said(ratio: float, low: float | None, high: float | None) -> str:
    """The 95 % interval of a ratio, in the terms in which the ratio is said."""
    low = 0.0 if low is None or math.isnan(low) else low
    high = math.inf if high is None or math.isnan(high) else high
    if low <= 0 and math.isinf(high):
        return "no 95 % interval"
    if math.isinf(high):
        return f"95 % interval {short(low)} times or more"
    if low <= 0:
        return f"95 % interval up to {short(high)} times"
    if not CLOSE[0] < ratio < CLOSE[1] or low < 0.5 or high > 2:
        return f"95 % interval {span(low, high)} times"
    if _side(low) == _side(high):
        near, far = sorted((low, high), key=lambda end: abs(end - 1))
        return f"95 % interval {_percent(near)} to {_percent(far)} {_side(ratio)}"
    return f"95 % interval {_percent(low)} {_side(low)} to {_percent(high)} {_side(high)}"


def short(value: float) -> str:
    """A number as a sentence has it: two significant digits, whole from a hundred on."""
    if value >= 99.5:
        return style.number(round(value))
    return f"{value:#.2g}".rstrip(".") if value >= 1e-3 else style.number(value)


def span(low: float, high: float) -> str:
    """From one number to another: "5.1 to 8.0", with a third digit where two are the same."""
    ends = [short(end) for end in (low, high)]
    if ends[0] == ends[1]:
        ends = [style.number(end) for end in (low, high)]
    return " to ".join(dict.fromkeys(ends))


def counted(number: int, one: str, several: str | None = None) -> str:
    """A count and what is counted, in the singular or the plural."""
    return f"{style.number(number)} {one if number == 1 else several or f'{one}s'}"


def listed(words: list[str]) -> str:
    """Words as a list in a sentence: "q, k and v"."""
    return " and ".join(part for part in (", ".join(words[:-1]), *words[-1:]) if part)


def tallied(verdicts: Sequence[str], one: str) -> str:
    """How many of something were decided in which way, in a sentence; nothing where there is none.

    "Of 3 claims, 2 are supported and 1 is undecided." "Both claims are supported."
    """
    counts = {v: verdicts.count(v) for v in CLAIM_VERDICTS if v in verdicts}
    if len(counts) > 1:
        told = [f"{n} {'is' if n == 1 else 'are'} {verdict}" for verdict, n in counts.items()]
        return f"Of {len(verdicts)} {one}s, {listed(told)}."
    if not verdicts:
        return ""
    whole = {1: f"The one {one} is", 2: f"Both {one}s are"}
    return f"{whole.get(len(verdicts), f'All {len(verdicts)} {one}s are')} {verdicts[0]}."


def sentence(text: str) -> str:
    """Text as the start of a sentence, without the stop at its end."""
    text = text.strip().removesuffix(".")
    return text[:1].upper() + text[1:]


def _side(ratio: float) -> str:
    return "larger" if ratio >= 1 else "smaller"


def _percent(ratio: float) -> str:
    percent = 100 * abs(ratio - 1)
    return f"{percent:.{0 if percent >= 9.95 else 1}f} %"
