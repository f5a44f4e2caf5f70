"""Detect the character between the cells of a CSV file."""

import csv
from io import StringIO

#: What spreadsheets write between cells, the most common first.
_SEPARATORS = (",", ";", "\t", "|")
#: Bytes and rows that are looked at.
_SAMPLE_BYTES = 2**16
_SAMPLE_ROWS = 100


def detect_separator(data: bytes, default: str) -> str:
    """The separator of a CSV file in UTF-8; ``default`` unless the text shows another.

    A header with ``default`` outside quotes settles it. Otherwise another candidate must divide the
    header into at least two cells, no row into more, and most rows into as many; the one with the
    most cells is taken.
    """
    # A character may be cut at the end of the sample.
    sample = data[:_SAMPLE_BYTES].decode("utf-8", "ignore")
    whole = len(data) <= _SAMPLE_BYTES
    best, most = default, 1
    for candidate in (default, *(other for other in _SEPARATORS if other != default)):
        widths = _widths(sample, candidate, whole)
        if candidate == default and widths and widths[0] > 1:
            return default
        if _is_table(widths) and widths[0] > most:
            best, most = candidate, widths[0]
    return best


def _widths(sample: str, separator: str, whole: bool) -> list[int]:
    """The number of cells per row; without the last row if the sample may cut it."""
    widths = []
    try:
        for row in csv.reader(StringIO(sample, newline=""), delimiter=separator):
            if row:
                widths.append(len(row))
            if len(widths) > _SAMPLE_ROWS:
                return widths
    except csv.Error:
        return []
    return widths if whole or len(widths) < 2 else widths[:-1]


def _is_table(widths: list[int]) -> bool:
    if not widths or widths[0] < 2 or max(widths) > widths[0]:
        return False
    rows = widths[1:]
    return 2 * rows.count(widths[0]) >= len(rows)
