"""Texts that a table names many times are counted per mention, however deep they lie."""

from typing import Any

import pyarrow as pa
import pytest

from gradpipe.untrusted.shared_texts import shared_size, without_views

TEXT = "x" * 100
VIEWS = pa.array([TEXT, None, "y"], pa.string_view())


@pytest.mark.parametrize(
    ("column", "size"),
    [
        (VIEWS, 101),
        (VIEWS[1:], 1),
        (pa.array([TEXT.encode()], pa.binary_view()), 100),
        (pa.array([[TEXT, "y"], None], pa.list_(pa.string_view())), 101),
        (pa.array([[TEXT, "y"], None], pa.large_list(pa.string_view())), 101),
        (pa.array([[TEXT, "y"], ["", None]], pa.list_(pa.string_view(), 2)), 101),
        (pa.array([{"a": TEXT}, None], pa.struct([("a", pa.string_view())])), 100),
        (pa.array([[("k", TEXT)]], pa.map_(pa.string_view(), pa.string_view())), 101),
        (pa.DictionaryArray.from_arrays(pa.array([0, 0, None, 1]), pa.array([TEXT, "y"])), 201),
        (pa.DictionaryArray.from_arrays(pa.array([0, 0]), pa.array([7, 8])), 0),
        (pa.array([TEXT]), 0),
    ],
)
def test_mentions_are_counted_and_views_written_out(column: Any, size: int) -> None:
    table = pa.table({"a": column}, metadata={"own": "kept"})
    assert shared_size(table) == size
    plain = without_views(table)
    assert "view" not in str(plain.schema)
    assert plain.to_pydict() == table.to_pydict()
    assert plain.schema.metadata == {b"own": b"kept"}
