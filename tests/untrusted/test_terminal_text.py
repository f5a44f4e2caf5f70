"""No text of a user's data steers the terminal that shows it."""

from hypothesis import given
from hypothesis import strategies as st

from gradpipe.untrusted.terminal_text import without_controls


def test_an_escape_sequence_is_written_out() -> None:
    assert without_controls("\x1b[31mred\x07\x9b2J") == "\\x1b[31mred\\x07\\x9b2J"
    assert without_controls("Zürich\n\t🙂") == "Zürich\n\t🙂"


@given(st.text())
def test_whatever_is_left_is_printable(text: str) -> None:
    shown = without_controls(text)
    assert all(letter.isprintable() or letter in "\n\t" for letter in shown)
    assert shown == text or not text.isprintable()
