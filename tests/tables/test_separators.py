"""The separator of a CSV file is recognized; files that were read with commas still are."""

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradpipe.tables.separators import detect_separator
from tests.tables.texts import frame

CELLS = [
    ["instruction", "output"],
    ["a, b; c\td | e", 'say "hi"'],
    ["line\nbreak\r\nanother", "x"],
    ["", "007"],
]


def written(separator: str, rows: list[list[str]] = CELLS, end: str = "\n") -> str:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=separator, lineterminator=end).writerows(rows)
    return text.getvalue()


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("kind", ["csv", "tsv"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_quoted_cells_keep_their_text_with_every_separator(
    separator: str, kind: str, end: str
) -> None:
    table = frame(written(separator, end=end), f"a.{kind}")
    assert table.columns == CELLS[0]
    assert table.rows() == [tuple(cell or None for cell in row) for row in CELLS[1:]]


@pytest.mark.parametrize(
    "text",
    [
        # The header decides.
        "a,b;c\n1,2;3\n",
        "a,b\n1;2,3;4\n",
        # One column, whose texts have a separator now and then.
        "text\na; b\nc; d\n",
        "a;b\n1\n2\n3\n",
        "a;b\n1;2;3\n1;2\n",
        '"a;b"\n1\n',
        "text\n",
        "",
    ],
)
def test_a_file_that_reads_with_commas_is_read_with_commas(text: str) -> None:
    assert detect_separator(text.encode(), ",") == ","


def test_more_cells_win_and_a_short_row_is_no_other_table() -> None:
    assert detect_separator(b"a;b|c;d\n1;2|3;4\n", ",") == ";"
    assert detect_separator(b"a;b\n1;2\n3;4\n5\n", ",") == ";"
    assert detect_separator(b"a|b\n", ",") == "|"


def test_a_long_file_is_recognized_by_its_beginning() -> None:
    rows = [["instruction", "output"], *([["é" * 500, "x, y"]] * 1000)]
    assert detect_separator(written(";", rows).encode(), ",") == ";"
    rows = [["instruction", "output"], ["é" * 2**20, "x"]]
    assert detect_separator(written(";", rows).encode(), ",") == ";"


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    st.lists(st.text("ab \";|\t\n,'é", max_size=6), min_size=2, max_size=3).flatmap(
        lambda names: st.lists(
            st.lists(
                st.text("ab \";|\t\n,'é", max_size=6), min_size=len(names), max_size=len(names)
            ),
            max_size=4,
        ).map(lambda rows: [names, *rows])
    )
)
def test_a_table_written_with_commas_is_never_read_with_another_separator(
    rows: list[list[str]],
) -> None:
    assert detect_separator(written(",", rows).encode(), ",") == ","
