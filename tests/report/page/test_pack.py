"""Packed tables are unpacked to the same values, here and in a browser."""

import base64
import json
import zlib
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gradpipe.report.page.pack import COARSE, EXACT, FINE, MARKUP_LETTERS, deflated, packed
from gradpipe.report.page.render import packaged_text

FRAME = pl.DataFrame(
    {
        "style": ["none", "</script>", None, "none", "数学"],
        "layer": [0, 1, 2, 41, None],
        "mean": [1e-3, 0.0, None, 4.25e4, float("nan")],
        "cosine": [-0.5, 0.25, 0.999, 0.0, float("inf")],
    }
)


def inflated(text: str) -> bytes:
    back = {written: letter for letter, written in MARKUP_LETTERS.items()}
    return zlib.decompress(base64.b85decode(text.translate(back)))


def unpacked(text: str) -> dict[str, list[Any]]:
    """The rows of a packed table, read one code at a time."""
    data = inflated(text)
    length = int.from_bytes(data[:4], "little")
    header = json.loads(data[4 : 4 + length])
    start, rows = 4 + length, header["rows"]
    columns: dict[str, list[Any]] = {}
    for column in header["columns"]:
        width, code, values = column["width"], 0, []
        for row in range(rows):
            folded = sum(data[start + p * rows + row] << (8 * p) for p in range(width))
            change = -(folded + 1) // 2 if folded % 2 else folded // 2
            code = (code + change) % 256**width
            values.append(value_of(column, code))
        columns[column["name"]] = values
        start += width * rows
    assert start == len(data)
    return columns


def value_of(column: dict[str, Any], code: int) -> Any:
    if code == 0:
        return None
    if "values" in column:
        return column["values"][code - 1]
    if code == 1 and column["log"]:
        return 0.0
    scaled = column["low"] + column["step"] * (code - 2)
    return float(np.exp(scaled)) if column["log"] else scaled


@given(st.lists(st.binary(max_size=200)))
@settings(deadline=None, max_examples=60)
def test_any_bytes_come_back_from_their_text(parts: list[bytes]) -> None:
    text = deflated(*parts)
    assert inflated(text) == b"".join(parts)
    assert not set("<>&\"'\\") & set(text)


def test_texts_and_whole_numbers_come_back_exactly_and_numbers_to_half_a_step() -> None:
    back = unpacked(packed(FRAME, {"mean": COARSE, "cosine": FINE}))
    assert back["style"] == FRAME["style"].to_list()
    assert back["layer"] == FRAME["layer"].to_list()
    assert back["mean"][1:3] + back["mean"][4:] == [0.0, None, None]
    assert back["mean"][0] == pytest.approx(1e-3, rel=COARSE / 2)
    assert back["mean"][3] == pytest.approx(4.25e4, rel=COARSE / 2)
    assert back["cosine"][:4] == pytest.approx([-0.5, 0.25, 0.999, 0.0], abs=FINE / 2)
    assert back["cosine"][4] is None


@given(
    st.lists(st.floats(1e-6, 1e6) | st.just(0.0) | st.none(), min_size=1, max_size=40),
    st.sampled_from([COARSE, FINE]),
)
@example([213.0, 942186.0, 0.0625], FINE)
@settings(deadline=None, max_examples=60)
def test_numbers_keep_their_size_to_half_a_step(values: list[float | None], step: float) -> None:
    back = unpacked(packed(pl.DataFrame({"v": values}, schema={"v": pl.Float64}), {"v": step}))
    # Two bytes hold 65,534 steps; a wider range has wider steps.
    sizes = np.log([value for value in values if value] or [1.0])
    step = max(step, float(np.ptp(sizes)) / 65_533)
    for value, seen in zip(values, back["v"], strict=True):
        if value is None or value == 0:
            assert seen == value
        else:
            assert abs(np.log(seen / value)) <= step / 2 * 1.001


def test_numbers_that_are_exact_are_not_rounded() -> None:
    steps = [0.0, 10.0, 19.999, None, 143_000.0, 0.1 + 0.2]
    text = packed(pl.DataFrame({"step": steps}), {"step": EXACT})
    assert unpacked(text) == {"step": steps}


def test_more_different_values_than_codes_get_wider_steps() -> None:
    frame = pl.DataFrame({"v": np.linspace(1, 1e9, 70_000), "i": np.arange(70_000)})
    back = unpacked(packed(frame, {"v": 1e-7}))
    assert np.abs(np.log(back["v"] / frame["v"].to_numpy())).max() < 2e-4
    assert np.abs(back["i"][1:] / frame["i"].to_numpy()[1:] - 1).max() < 2e-4


def test_an_empty_table_and_a_column_of_gaps_can_be_packed() -> None:
    assert unpacked(packed(FRAME.clear())) == {name: [] for name in FRAME.columns}
    gaps = pl.DataFrame({"v": [None, None]}, schema={"v": pl.Float64})
    assert unpacked(packed(gaps)) == {"v": [None, None]}


def test_the_page_unpacks_what_was_packed(browser: Any) -> None:
    rows = 4000
    random = np.random.default_rng(0).standard_normal((rows, 2))
    frame = pl.DataFrame(
        {
            "name": [f"n{i % 300}" for i in range(rows)],
            "layer": [i % 42 for i in range(rows)],
            "mean": np.exp(random[:, 0]),
            "cosine": np.tanh(random[:, 1]),
        }
    )
    text = packed(frame, {"mean": COARSE})
    # Texts of every length modulo 5, the letters of one group.
    ends = [deflated(bytes(range(length))) for length in range(12)]
    assert {len(end) % 5 for end in ends} >= {0, 2, 3, 4}
    page = browser.new_page()
    page.set_content('<script type="text/plain" id="block-0"></script>')
    page.eval_on_selector("#block-0", "(block, text) => { block.textContent = text; }", text)
    store = packaged_text("store.js")
    seen = page.evaluate(f"async () => {{ {store}\n return columnsOf(await inflate('block-0')); }}")
    read_ends = f"(texts) => {{ {store}\n return texts.map((text) => Array.from(bytesOf(text))); }}"
    assert [zlib.decompress(bytes(end)) for end in page.evaluate(read_ends, ends)] == [
        bytes(range(length)) for length in range(12)
    ]
    expected = unpacked(text)
    assert seen["rows"] == rows
    assert seen["columns"]["name"] == expected["name"]
    assert seen["columns"]["layer"] == expected["layer"]
    assert seen["columns"]["mean"] == pytest.approx(expected["mean"], rel=1e-12)
    assert seen["columns"]["cosine"] == pytest.approx(expected["cosine"], rel=1e-9)
    page.close()
