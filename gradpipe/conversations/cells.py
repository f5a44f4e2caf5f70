"""Cells of a table as plain Python values, and the error of a row that cannot be used."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

#: Opening brackets of the JSON that a text may hold instead of a list or an object.
_JSON_STARTS = ("[", "{")


class RowError(Exception):
    """No example can be made from a row; the text is the reason, a clause without a full stop."""


def parsed(cell: Any) -> Any:
    """The list or object that a JSON text holds; any other cell as it is."""
    if not isinstance(cell, str) or not cell.lstrip().startswith(_JSON_STARTS):
        return cell
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        return cell


def without_nulls(value: Any) -> Any:
    """A cell as lists, dictionaries and scalars; keys whose value is null are left out.

    Tables give each object of a column the keys of all, with nulls, so a null says nothing.
    """
    match value:
        case None | str() | bool() | int() | float():
            return value
        case Mapping():
            return {
                str(key): without_nulls(item) for key, item in value.items() if item is not None
            }
        case Sequence() if not isinstance(value, (bytes, bytearray)):
            return [without_nulls(item) for item in value]
    # NumPy's arrays and numbers, and Series.
    for method in ("tolist", "to_list"):
        if hasattr(value, method):
            return without_nulls(getattr(value, method)())
    return str(value)


def kind_of(value: Any) -> str:
    """What a value is, as a noun phrase of a reason."""
    if value is None:
        return "null"
    nouns: dict[Any, str] = {
        bool: "true or false",
        str: "a text",
        (int, float): "a number",
        Mapping: "an object",
        (list, tuple): "a list",
    }
    named = (noun for kinds, noun in nouns.items() if isinstance(value, kinds))
    return next(named, f"a value of the type {type(value).__name__}")
