"""Quantities in two units, as "1 hour and 45 minutes": one number in the smaller unit."""

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

from gradpipe.responses.final_answer.numbers import NUMBER, spelled_number, value
from gradpipe.responses.final_answer.units import unit_name, unit_ratio

_UNIT = (
    r"(?:hours?|hrs?|h|minutes?|mins?|seconds?|secs?|s|days?|weeks?|months?|years?|feet|foot|ft"
    r"|inch(?:es)?|pounds?|lbs?|ounces?|oz|kilograms?|kg|grams?|g|kilomet(?:er|re)s?|km"
    r"|met(?:er|re)s?|m|centimet(?:er|re)s?|cm|dollars?|cents?)(?![A-Za-z])"
)
_WORDS = r"(?<!of )\b(?:an?|one|two|three|four|five|six|seven|eight|nine|ten|twelve)"
_TWO = re.compile(
    rf"(?i)(?<![\d.,])(?P<large>{NUMBER}|{_WORDS})\s*(?P<unit>{_UNIT})(?:,?\s*and\s+|,?\s*)"
    rf"(?P<small>{NUMBER}|{_WORDS})\s*(?P<part>{_UNIT})"
)


class TwoUnits(NamedTuple):
    """A quantity in two units: where it is, and what it is in the smaller one."""

    start: int
    end: int
    number: Fraction
    unit: str


def in_two_units(text: str) -> Iterator[TwoUnits]:
    """The quantities of ``text`` whose second unit is a part of the first one."""
    for found in _TWO.finditer(text):
        unit, part = unit_name(found["unit"]), unit_name(found["part"])
        large, small = _number(found["large"]), _number(found["small"])
        ratio = unit and part and unit_ratio(unit, part)
        if ratio and ratio > 1 and large is not None and small is not None and small < ratio:
            yield TwoUnits(found.start(), found.end(), large * ratio + small, found["part"])


def _number(written: str) -> Fraction | None:
    if written.casefold() in ("a", "an"):
        return Fraction(1)
    spelled = None if written[-1].isdigit() else spelled_number(written)
    return Fraction(spelled[1]) if spelled else value(written)
