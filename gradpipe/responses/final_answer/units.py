"""Units that can be converted into each other."""

import re

_SIZES = (
    {"mm": 1, "millimeter": 1, "cm": 10, "centimeter": 10, "m": 1000, "meter": 1000,
     "km": 10**6, "kilometer": 10**6},
    {"inch": 1, "inche": 1, "foot": 12, "feet": 12, "ft": 12, "yard": 36, "mile": 63360},
    {"second": 1, "sec": 1, "minute": 60, "min": 60, "hour": 3600, "day": 86400, "week": 604800},
    {"g": 1, "gram": 1, "kg": 1000, "kilogram": 1000}, {"pound": 16, "ounce": 1, "lb": 16},
    {"cent": 1, "¢": 1, "dollar": 100, "$": 100},
    {"ml": 1, "milliliter": 1, "liter": 1000}, {"month": 1, "year": 12},
)  # fmt: skip


def common_sizes(unit: str, other: str) -> dict[str, int] | None:
    """The sizes of the units of a quantity that both units measure; None if they do not."""
    unit, other = (re.sub("tre$", "ter", name) for name in (unit, other))
    return next((sizes for sizes in _SIZES if unit in sizes and other in sizes), None)
