"""Packs a table into a short text for the browser: base85 of deflated, quantized columns.

The bytes before compression are the length of the header (4 bytes, little-endian), the header as
JSON, and the codes of each column, one or two bytes per row. Code 0 is a missing value. Codes are
stored as zigzag differences from one row to the next (0, -1, 1, -2, 2 … as 0, 1, 2, 3, 4 …), all
low bytes before all high bytes, so that values that change slowly compress well. The code of a text
is its position in a list of values in the header. A number is ``low + step * (code - 2)``, or the
exponential of that if no value is negative; code 1 is zero.

Columns of JSON numbers would be simpler, but then the page of the paper's whole grid would exceed
its limit of 5 MB by a fifth. Base85 takes 5 letters per 4 bytes, base64 takes 5⅓.
"""

import base64
import json
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

#: Letters of Python's base85 that have a meaning in HTML, and what is written instead.
MARKUP_LETTERS = str.maketrans("<>&", ",/.")

#: Codes with a meaning of their own: missing, and zero.
_RESERVED = 2
_MOST_CODES = 2**16

#: Steps between adjacent values, as shares of a value: for columns of many and of few numbers.
COARSE, FINE = 1 / 128, 1 / 4096
#: The step of a column of few different numbers that are not rounded.
EXACT = 0.0


def packed(frame: pl.DataFrame, steps: Mapping[str, float] | None = None) -> str:
    """Pack rows into a text; floats are rounded to the nearest step.

    ``steps`` has the step of each column of floats, by default FINE: a share of the value if none
    is negative, otherwise a share of the largest magnitude. The step is wider if the column would
    need more than 16 bits; EXACT rounds nothing. Whole numbers and texts are exact if a column has
    fewer than 65,534 different ones.
    """
    steps = steps or {}
    columns, parts = [], []
    for name in frame.columns:
        column = frame.get_column(name)
        if column.dtype == pl.String or column.dtype.is_integer() or steps.get(name) == EXACT:
            header, codes = _texts(column)
        else:
            header, codes = _numbers(column, steps.get(name, FINE))
        width = 1 if header.pop("codes") <= 256 else 2
        columns.append({"name": name, "width": width, **header})
        parts.append(_planes(codes, width))
    header_bytes = json.dumps({"rows": frame.height, "columns": columns}).encode()
    length = len(header_bytes).to_bytes(4, "little")
    return deflated(length + header_bytes, *parts)


def deflated(*parts: bytes) -> str:
    """Deflate bytes, each part with its own Huffman codes, and encode them without markup."""
    stream = zlib.compressobj(9)
    blocks = [stream.compress(part) + stream.flush(zlib.Z_SYNC_FLUSH) for part in parts]
    encoded = base64.b85encode(b"".join([*blocks, stream.flush()])).decode("ascii")
    return encoded.translate(MARKUP_LETTERS)


def _texts(column: pl.Series) -> tuple[dict[str, Any], np.ndarray]:
    """Texts or whole numbers as positions in the list of different values."""
    values = column.drop_nulls().unique(maintain_order=column.dtype == pl.String)
    if column.dtype != pl.String:
        values = values.sort()
    if len(values) >= _MOST_CODES - 1:
        return _numbers(column.cast(pl.Float64), FINE)
    positions = pl.Series(range(1, len(values) + 1), dtype=pl.Int64)
    codes = column.replace_strict(values, positions, default=0, return_dtype=pl.Int64)
    return {"values": values.to_list(), "codes": len(values) + 1}, codes.fill_null(0).to_numpy()


def _numbers(column: pl.Series, step: float) -> tuple[dict[str, Any], np.ndarray]:
    """Numbers as steps above the smallest one, on a logarithmic scale if none is negative."""
    numbers = column.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    finite = np.isfinite(numbers)
    log = not (numbers[finite] < 0).any()
    placed = finite & (numbers != 0) if log else finite
    scaled = np.log(numbers[placed]) if log else numbers[placed]
    low, high = (scaled.min(), scaled.max()) if scaled.size else (0.0, 0.0)
    wanted = step if log else step * max(abs(low), abs(high))
    step = max(wanted, (high - low) / (_MOST_CODES - _RESERVED - 1)) or 1.0
    codes = np.zeros(len(numbers), dtype=np.int64)
    codes[finite] = 1
    codes[placed] = np.rint((scaled - low) / step).astype(np.int64) + _RESERVED
    header = {"log": log, "low": float(low), "step": float(step)}
    return {**header, "codes": int(codes.max(initial=0)) + 1}, codes


def _planes(codes: np.ndarray, width: int) -> bytes:
    """Differences of codes as planes of bytes, one per byte of the code, lowest first."""
    half = 256**width // 2
    changes = (np.diff(codes, prepend=0) + half) % (2 * half) - half
    folded = np.where(changes < 0, -2 * changes - 1, 2 * changes)
    return b"".join(
        ((folded >> (8 * plane)) & 255).astype(np.uint8).tobytes() for plane in range(width)
    )
