"""Units of measurement: one name for each, however it is written, and how they convert."""

import re
from fractions import Fraction
from functools import lru_cache

_SPELLINGS = {
    "mm": "millimeter", "cm": "centimeter", "m": "meter", "km": "kilometer",
    "in": "inch|inche", "ft": "foot|feet", "yd": "yard", "mi": "mile",
    "s": "second|sec", "min": "minute", "h": "hour|hr", "day": "d|day", "week": "wk",
    "mg": "milligram", "g": "gram", "kg": "kilogram|kilo", "t": "tonne", "lb": "pound",
    "oz": "ounce", "¢": "cent|ct", "$": "dollar|usd|buck", "€": "euro|eur",
    "ml": "milliliter", "cl": "centiliter", "l": "liter", "month": "month", "year": "yr",
    "°c": "degrees celsius|degree celsius|celsius|c|degrees c",
    "°f": "degrees fahrenheit|degree fahrenheit|fahrenheit|f|degrees f",
    "N": "newton", "kN": "kilonewton", "J": "joule", "kJ": "kilojoule", "W": "watt",
    "kW": "kilowatt", "MW": "megawatt", "V": "volt", "A": "amp|ampere", "Hz": "hertz|hz",
    "kHz": "kilohertz|khz", "MHz": "megahertz|mhz", "Pa": "pascal", "kPa": "kilopascal|kpa",
    "Ω": "ohm", "Wh": "watthour", "kWh": "kilowatthour",
}  # fmt: skip
_NAMES = {name: name for name in _SPELLINGS if name.islower() or not name.isalpha()} | {
    spelling: name for name, spellings in _SPELLINGS.items() for spelling in spellings.split("|")
}
#: Words that are also units: "5 in total".
del _NAMES["in"]
_SIZES: tuple[dict[str, int], ...] = (
    {"mm": 1, "cm": 10, "m": 1000, "km": 10**6},
    {"in": 1, "ft": 12, "yd": 36, "mi": 63360},
    {"s": 1, "min": 60, "h": 3600, "day": 86400, "week": 604800},
    {"mg": 1, "g": 1000, "kg": 10**6, "t": 10**9},
    {"oz": 1, "lb": 16},
    {"¢": 1, "$": 100},
    {"ml": 1, "cl": 10, "l": 1000},
    {"month": 1, "year": 12},
    {"N": 1, "kN": 1000},
    {"J": 1, "kJ": 1000},
    {"W": 1, "kW": 1000, "MW": 10**6},
    {"Wh": 1, "kWh": 1000},
    {"Hz": 1, "kHz": 1000, "MHz": 10**6},
    {"Pa": 1, "kPa": 1000},
)
#: Symbols whose letters' case counts: mW is not MW.
_SYMBOLS = frozenset(name for name in _SPELLINGS if name.isalpha() and not name.islower())
_RATE = re.compile(
    r"(.+?)\s*(?:/|\bper\b|\ban? (?=hour|minute|second|day)|\b(?:in )?each\b)"
    r"\s*(\S+|(?:square|cubic)\s\S+|\S+\ssquared)$"
)
_POWER_BEFORE = re.compile(r"(square|sq\.?|cubic|cu\.?)\s+")
_SHORT_RATES = {"kph": "km/h", "kmh": "km/h", "mph": "mi/h", "mps": "m/s"}


@lru_cache(maxsize=1024)
def unit_name(written: str) -> str | None:
    """The short name of a unit, as ``km/h`` or ``m2``; None if it is not a known unit."""
    if written in ("$", "¢", "€"):
        return written
    unit = " ".join(re.sub(r"[\\{}$*~]", " ", written).split()).strip(" .,")
    if unit in _SYMBOLS:
        return unit
    unit = unit.casefold()
    unit = _SHORT_RATES.get(unit.replace("°", "° ").strip(), unit)
    unit = re.sub(
        r"(?<=[a-z])\s?(?:\^\s?-1|⁻¹)$", "", re.sub(r"^(\w+)\s(?=h\s?(?:\^|⁻))", r"\1/", unit)
    )
    if rate := _RATE.match(unit):
        top, below = unit_name(rate[1]), unit_name(rate[2])
        return f"{top}/{below}" if top and below else None
    if re.fullmatch(r"in\^?[23²³]", unit):
        unit = unit.replace("in", "inch", 1)
    power = ""
    if before := _POWER_BEFORE.match(unit):
        power, unit = "3" if before[1][0] == "c" else "2", unit[before.end() :]
    unit = re.sub(r" squared$", "2", unit)
    if behind := re.search(r"\s?\^?\s?([23²³])$", unit):
        power, unit = behind[1].translate(str.maketrans("²³", "23")), unit[: behind.start()]
    if unit.startswith(("°", "^circ", "^ circ")):
        unit = re.sub(r"^(?:°|\^ ?circ)\s*", "", unit)
        return f"°{unit[:1]}" if unit[:1] in ("c", "f") else None
    unit = re.sub(r"tre(s?)$", r"ter\1", unit)
    name = _NAMES.get(unit) or (_NAMES.get(unit[:-1]) if unit.endswith("s") else None)
    return f"{name}{power}" if name else None


def unit_at_start(words: str) -> str | None:
    """The longest known unit that ``words`` begins with, by its short name."""
    pieces = words.split()
    for count in range(min(len(pieces), 4), 0, -1):
        if name := unit_name(" ".join(pieces[:count])):
            return name
    return None


def unit_ratio(unit: str, other: str) -> Fraction | None:
    """How many of the unit ``other`` one ``unit`` is; None if they measure different things."""
    if unit == other:
        return Fraction(1)
    if "/" in unit and "/" in other:
        (top, below), (top_two, below_two) = unit.split("/"), other.split("/")
        over, under = unit_ratio(top, top_two), unit_ratio(below, below_two)
        return over / under if over and under else None
    base, power = _powered(unit)
    base_two, power_two = _powered(other)
    for sizes in _SIZES:
        if base in sizes and base_two in sizes and power == power_two:
            return Fraction(sizes[base], sizes[base_two]) ** power
    return None


def _powered(unit: str) -> tuple[str, int]:
    return (unit[:-1], int(unit[-1])) if unit[-1:] in ("2", "3") else (unit, 1)
