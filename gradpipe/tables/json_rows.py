"""Rows from the shapes of JSON that people write, and rows as JSON of the same shape."""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import polars as pl

#: How Polars writes the type of JSON texts in Arrow and Parquet files.
_JSON_TYPE = "Extension('arrow.json'"
#: Integers that fit an integer column; larger ones become text.
_INT64 = range(-(2**63), 2**63)


@dataclass(frozen=True)
class JsonRows:
    """The rows of a JSON file, and how they are written in it.

    ``lines``: one object per line. ``key``: the rows are a list under this key of ``around``.
    Without both, the file is an array.
    """

    rows: list[dict[str, Any]]
    lines: bool = False
    key: str | None = None
    around: dict[str, Any] = field(default_factory=dict)

    def write(self, rows: list[dict[str, Any]]) -> str:
        """Other rows as a file of the same shape."""
        if self.lines:
            return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        whole = rows if self.key is None else {**self.around, self.key: rows}
        return json.dumps(whole, ensure_ascii=False, indent=2) + "\n"


def read_json(data: bytes) -> JsonRows:
    """Parse an array of objects, an object with one list of them, or one object per line.

    ``data`` is UTF-8. Raises ValueError, whose message is part of a sentence, for anything else.
    """
    text = data.decode()
    try:
        content = json.loads(text, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        if text.lstrip().startswith("{") and error.msg == "Extra data":
            return read_jsonl(data)
        raise
    if isinstance(content, list):
        return JsonRows(_objects(content, "element"))
    if not isinstance(content, dict):
        raise ValueError(f"it holds one {type(content).__name__}, not an array of objects")
    keys = _keys_of_rows(content)
    if not keys:
        raise ValueError("it holds one dict, not an array of objects")
    if len(keys) > 1:
        raise ValueError(
            f"it holds the lists {_listed(keys)}, and one is read: keep one of them in a file"
        )
    rows = _objects(content[keys[0]], f"element of {keys[0][:40]!r},")
    return JsonRows(rows, key=keys[0], around=content)


def read_jsonl(data: bytes, first: int = 1) -> JsonRows:
    """Parse one object per line of UTF-8 text; raise ValueError if a line is anything else.

    ``first`` is the number of the first line, for messages.
    """
    rows = []
    # splitlines() would also split at the line separators that JSON allows inside a string.
    for number, line in enumerate(data.decode().split("\n"), start=first):
        if line.strip():
            try:
                rows.append(json.loads(line, object_pairs_hook=_unique))
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from error
    return JsonRows(_objects(rows, "row"), lines=True)


def frame_of_objects(rows: Iterable[dict[str, Any]]) -> pl.DataFrame:
    """Objects as a data frame; a key that an object does not have is null there.

    Columns that mix kinds of values, or hold numbers beyond 64 bits, become text; so do those whose
    lists and objects do so inside. NaN among other kinds of values is null; a column of numbers
    keeps it.
    """
    rows = list(rows)
    names = dict.fromkeys(name for row in rows for name in row)
    return pl.DataFrame([_column(name, [row.get(name) for row in rows]) for name in names])


def decode_json_columns(table: pl.DataFrame) -> pl.DataFrame:
    """Decode the JSON in columns of Arrow's type ``arrow.json``, wherever it is inside of them.

    ``datasets`` writes values of different kinds so. The columns are then those of a JSON file; a
    text that is not JSON is kept.
    """
    coded = [series for series in table if _JSON_TYPE in str(series.dtype)]
    return table.with_columns(
        _column(series.name, [_decoded(value, series.dtype) for value in series.to_list()])
        for series in coded
    )


def _decoded(value: Any, dtype: Any) -> Any:
    match value:
        case list() if isinstance(dtype, (pl.List, pl.Array)):
            return [_decoded(item, dtype.inner) for item in value]
        case dict() if isinstance(dtype, pl.Struct):
            kinds = {field.name: field.dtype for field in dtype.fields}
            return {key: _decoded(item, kinds[key]) for key, item in value.items()}
        case str() if str(dtype).startswith(_JSON_TYPE):
            try:
                return json.loads(value)
            except ValueError:
                return value
    return value


def _keys_of_rows(content: dict[str, Any]) -> list[str]:
    """The keys of lists of objects; without any, those of all lists."""
    lists = {key: value for key, value in content.items() if isinstance(value, list)}
    tables = [key for key, value in lists.items() if value and isinstance(value[0], dict)]
    return tables or list(lists)


def _listed(keys: list[str]) -> str:
    shown = ", ".join(repr(key[:40]) for key in keys[:8])
    return f"{shown} and {len(keys) - 8} more" if len(keys) > 8 else shown


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object with unique keys: a duplicate key would silently lose a value."""
    unique = dict(pairs)
    if len(unique) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"an object has the key {twice[:40]!r} twice")
    return unique


def _objects(rows: list[Any], noun: str) -> list[dict[str, Any]]:
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            raise ValueError(f"{noun} {number} is a {type(row).__name__}, not an object")
    return rows


def _column(name: str, values: list[Any]) -> pl.Series:
    kinds = {type(value) for value in values if value is not None}
    if len(kinds) > 1:
        # What pandas and json.dumps write for a missing text.
        values = [None if isinstance(v, float) and math.isnan(v) else v for v in values]
        kinds = {type(value) for value in values if value is not None}
    if len(kinds) > 1 or _no_column_holds(values):
        values = [
            v if v is None or isinstance(v, str) else json.dumps(v, default=str) for v in values
        ]
    return pl.Series(name, values, strict=False)


def _no_column_holds(values: list[Any]) -> bool:
    """Whether values of one kind mix kinds inside, or hold numbers beyond 64 bits.

    A data frame would write such values in a notation of its own, and lose keys.
    """
    groups = [values]
    while groups:
        given = [value for value in groups.pop() if value is not None]
        kinds = {type(value) for value in given}
        if len(kinds) > 1 or (kinds == {int} and not all(value in _INT64 for value in given)):
            return True
        if kinds == {list}:
            groups.append(list(chain.from_iterable(given)))
        if kinds == {dict}:
            by_key: dict[str, list[Any]] = {}
            for key, item in chain.from_iterable(value.items() for value in given):
                by_key.setdefault(key, []).append(item)
            groups.extend(by_key.values())
    return False
