"""Texts that an Arrow table stores once and names many times: dictionaries and text views.

A few kilobytes can name a text of a megabyte a million times, so the bytes of all mentions are
counted before any is written out. Views are then replaced: pyarrow 26.0.1 does not validate the
view of a null, and Polars 2.1.0 and pyarrow's casts follow it out of the file's memory
(``crash-null-view`` in ``tests/fuzz/cases/arrow``). So they are written out value by value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa


def shared_size(table: pa.Table) -> int:
    """The bytes of the texts in dictionaries of columns and in views, once per mention."""
    import pyarrow as pa

    size = 0
    for column in table.columns:
        for chunk in column.chunks:
            size += _view_size(chunk)
            if pa.types.is_dictionary(chunk.type):
                size += _dictionary_size(chunk)
    return size


def without_views(table: pa.Table) -> pa.Table:
    """A table whose text and byte views, nested ones too, are written out."""
    import pyarrow as pa

    for number, field in enumerate(table.schema):
        kind = _plain(field.type)
        if kind != field.type:
            chunks = [pa.array(chunk.to_pylist(), kind) for chunk in table[number].chunks]
            column = pa.chunked_array(chunks, kind)
            table = table.set_column(number, field.with_type(kind), column)
    return table


def _view_size(array: Any) -> int:
    """The bytes that the views in an array name."""
    from pyarrow import types

    kind = array.type
    if types.is_string_view(kind) or types.is_binary_view(kind):
        views = np.frombuffer(array.buffers()[1] or b"", np.int32).reshape(-1, 4)
        lengths = views[array.offset : array.offset + len(array), 0].astype(np.int64)
        valid = array.is_valid().to_numpy(zero_copy_only=False)
        return int(lengths[valid].sum())
    if types.is_struct(kind):
        return sum(_view_size(array.field(number)) for number in range(kind.num_fields))
    if types.is_map(kind):
        return _view_size(array.keys) + _view_size(array.items)
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return _view_size(array.values)
    return _view_size(array.dictionary) if types.is_dictionary(kind) else 0


def _dictionary_size(array: Any) -> int:
    import pyarrow as pa
    from pyarrow import compute

    try:
        lengths = compute.binary_length(without_views(pa.table({"": array.dictionary}))[0])
    except pa.ArrowNotImplementedError:
        # Numbers, each no larger than its place in the dictionary.
        return 0
    return compute.sum(lengths.cast(pa.int64()).take(array.indices)).as_py() or 0


def _plain(kind: Any) -> Any:
    """A type in which views are replaced by texts and bytes with offsets."""
    import pyarrow as pa
    from pyarrow import types

    if types.is_string_view(kind) or types.is_binary_view(kind):
        return pa.large_string() if types.is_string_view(kind) else pa.large_binary()
    if types.is_struct(kind):
        return pa.struct([field.with_type(_plain(field.type)) for field in kind])
    if types.is_map(kind):
        return pa.map_(_plain(kind.key_type), _plain(kind.item_type), kind.keys_sorted)
    if types.is_dictionary(kind):
        return pa.dictionary(kind.index_type, _plain(kind.value_type), kind.ordered)
    return _plain_list(kind)


def _plain_list(kind: Any) -> Any:
    import pyarrow as pa
    from pyarrow import types

    if types.is_list(kind):
        return pa.list_(kind.value_field.with_type(_plain(kind.value_type)))
    if types.is_large_list(kind):
        return pa.large_list(kind.value_field.with_type(_plain(kind.value_type)))
    if types.is_fixed_size_list(kind):
        return pa.list_(kind.value_field.with_type(_plain(kind.value_type)), kind.list_size)
    return kind
