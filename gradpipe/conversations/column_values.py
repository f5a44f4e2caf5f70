"""Recognize what a column of a table holds, by its type and values."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from gradpipe.conversations.cells import parsed
from gradpipe.conversations.messages import MESSAGE_JSON, MESSAGES_JSON, look_like_messages

#: Values that are looked at where one is as good as any other.
_LOOKED_AT = 100
_MESSAGE_KEYS = {"role", "from"}
_SPAN_KEYS = {"name", "start", "end"}


def holds_texts(series: pl.Series) -> bool:
    """Whether the values are, or become, texts: no lists, objects or bytes."""
    return not (series.dtype.is_nested() or series.dtype in (pl.Binary, pl.Object))


def holds_messages(series: pl.Series) -> bool:
    """Whether at least half of the values that are given are lists of messages, or JSON of them."""
    return _share_of_messages(series) >= 0.5


def holds_any_messages(series: pl.Series) -> bool:
    """Whether some of the values are lists of messages, or JSON of them."""
    return _share_of_messages(series) > 0


def _share_of_messages(series: pl.Series) -> float:
    if isinstance(series.dtype, (pl.List, pl.Array)):
        if series.dtype.inner == pl.String:
            texts = series.explode().drop_nulls()
            return int(texts.str.contains(MESSAGE_JSON).sum()) / max(texts.len(), 1)
        return bool(_keys(series.dtype.inner) & _MESSAGE_KEYS)
    if isinstance(series.dtype, pl.Struct):
        # An object of lists, as `datasets` stores a sequence of objects.
        fields = {field.name: field.dtype for field in series.dtype.fields}
        return any(isinstance(fields.get(key), pl.List) for key in _MESSAGE_KEYS)
    given = series.drop_nulls()
    if given.is_empty() or series.dtype not in (pl.String, pl.Object):
        return 0
    if series.dtype == pl.String:
        return int(given.str.contains(MESSAGES_JSON).sum()) / given.len()
    return any(map(look_like_messages, given.head(_LOOKED_AT)))


def holds_numbers(series: pl.Series) -> bool:
    """Whether the values are lists of numbers, or JSON of lists."""
    if isinstance(series.dtype, (pl.List, pl.Array)):
        inner = series.dtype.inner
        return isinstance(inner, pl.DataType) and (inner.is_numeric() or inner == pl.Boolean)
    return series.dtype == pl.String and _any_json(series, lambda value: isinstance(value, list))


def holds_spans(series: pl.Series) -> bool:
    """Whether the values are lists of objects with ``name``, ``start`` and ``end``, or JSON."""
    if isinstance(series.dtype, (pl.List, pl.Array)):
        return _keys(series.dtype.inner) >= _SPAN_KEYS
    if isinstance(series.dtype, pl.Struct):
        return {field.name for field in series.dtype.fields} >= _SPAN_KEYS
    return series.dtype == pl.String and _any_json(
        series,
        lambda value: (
            isinstance(value, list)
            and bool(value)
            and isinstance(value[0], dict)
            and set(value[0]) >= _SPAN_KEYS
        ),
    )


def holds_objects(series: pl.Series) -> bool:
    """Whether the values are objects or lists, or JSON of these."""
    if series.dtype.is_nested() or series.dtype == pl.Object:
        return True
    return series.dtype == pl.String and _any_json(
        series, lambda value: isinstance(value, (list, dict))
    )


def _keys(dtype: object) -> set[str]:
    return {field.name for field in dtype.fields} if isinstance(dtype, pl.Struct) else set()


def _any_json(series: pl.Series, is_right: Callable[[object], bool]) -> bool:
    texts = series.filter(series.str.contains(r"^\s*[\[{]").fill_null(value=False))
    return any(is_right(parsed(text)) for text in texts.head(_LOOKED_AT))
