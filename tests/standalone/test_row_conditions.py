"""Conditions of --where: each row decides for itself, however many rows are read at a time."""

import polars as pl
import pytest

from gradpipe.errors import DataError
from gradpipe.standalone.row_conditions import parse_condition

ROWS = pl.DataFrame(
    {"n": [1, 2, 3, 4], "s": ["ab", "b", None, "abc"], "l": [[1, 1], [2], [], [4, 5]]}
)


@pytest.mark.parametrize(
    ("where", "numbers"),
    [
        ("n > 2", [3, 4]),
        ("CAST(n AS BIGINT) % 2 = 0 AND n IN (1, 2, 3)", [2]),
        ("s IN ('b', 'abc') OR s IS NULL", [2, 3, 4]),
        ("length(s) > 1 AND s LIKE 'a%'", [1, 4]),
        ("CASE WHEN n > 3 THEN TRUE ELSE abs(n - 2) = 1 END", [1, 3, 4]),
        ("greatest(n, 3) = 3 AND coalesce(s, 'x') < 'b'", [1]),
        ("round(n / 2, 1) BETWEEN 0.9 AND 1.6", [2, 3]),
        ("array_length(array_unique(l)) = 1", [1, 2]),
        ("array_sum(l) > 3", [4]),
        (" OR ".join(f"n = {number}" for number in range(2, 90)), [2, 3, 4]),
    ],
)
def test_scalar_functions_are_decided_row_by_row(where: str, numbers: list[int]) -> None:
    condition = parse_condition(where)
    assert ROWS.filter(condition)["n"].to_list() == numbers
    each = [ROWS[row].filter(condition) for row in range(ROWS.height)]
    assert pl.concat(each)["n"].to_list() == numbers


@pytest.mark.parametrize(
    "where",
    [
        "n > avg(n)",
        "n = max(n)",
        "NOT abs(n - min(n)) > 1 OR s = 'ab'",
        "CASE WHEN n > median(n) THEN TRUE ELSE FALSE END",
        "n IN (1, first(n))",
        "s IN ('ab') AND n % max(n) = 0",
        "max(n % 2) = 1",
        "stddev(n % 2) < n",
        "corr(n % 2, n) < n",
        "count(*) > 2",
        "n > avg(n % 2) OVER (PARTITION BY s)",
        "row_number() OVER (ORDER BY n) < 3",
        "lag(n) OVER (ORDER BY n) > 2",
        "max(array_sum(array_unique(l))) = n",
        "string_agg(s, ',') = s",
    ],
)
def test_aggregates_and_windows_are_refused(where: str) -> None:
    with pytest.raises(DataError, match="has an aggregate or a window function, and each row"):
        parse_condition(where)
