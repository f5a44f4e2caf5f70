"""Text files as editors and spreadsheets write them become UTF-8, or the error names the cure."""

import codecs

import pytest

from gradpipe.errors import DataError
from gradpipe.tables.parts import open_part
from gradpipe.tables.text_encoding import to_utf8
from tests.tables.texts import frame

TEXT = "instruction,output\r\nGröße?,日本\r\n"


def test_utf8_is_returned_unchanged_but_for_its_mark() -> None:
    assert to_utf8(TEXT.encode(), "a.csv") == TEXT.encode()
    assert to_utf8(codecs.BOM_UTF8 + TEXT.encode(), "a.csv") == TEXT.encode()
    assert to_utf8(b"a\0b\n", "a.csv") == b"a\0b\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "be"])
@pytest.mark.parametrize("kind", ["csv", "tsv", "json", "jsonl"])
def test_every_text_format_is_read_in_every_encoding_with_a_mark(encoding: str, kind: str) -> None:
    text = {
        "csv": TEXT,
        "tsv": TEXT.replace(",", "\t"),
        "json": '[{"instruction": "Größe?",\r\n"output": "日本"}]\r\n',
        "jsonl": '{"instruction": "Größe?", "output": "日本"}\r\n\r\n',
    }[kind]
    data = codecs.BOM_UTF16_BE + text.encode("utf-16-be") if encoding == "be" else None
    rows = frame(data or text.encode(encoding), f"a.{kind}").rows(named=True)
    assert rows == [{"instruction": "Größe?", "output": "日本"}]


def test_a_long_text_is_checked_to_its_end() -> None:
    # A character of three bytes that no block of a power of two divides evenly.
    text = ("日" * 2**20).encode()
    assert to_utf8(text, "a.csv") == text
    with pytest.raises(DataError, match="line 2 has the byte 0x92"):
        to_utf8(text + b"\nWhat\x92s\n", "a.csv")


@pytest.mark.parametrize(
    ("data", "cure"),
    [
        ("What’s a café?".encode("cp1252"), "iconv -f WINDOWS-1252 -t UTF-8"),
        ("instruction".encode("utf-16-le"), "iconv -f UTF-16LE -t UTF-8"),
        ("instruction".encode("utf-16-be"), "iconv -f UTF-16BE -t UTF-8"),
        ("これは日本".encode("shift-jis"), "iconv -f ENCODING -t UTF-8"),
        ("日本".encode()[:-1], "incomplete character at the end: write the file again"),
        (codecs.BOM_UTF16_LE + b"a", "in UTF-8"),
    ],
)
def test_another_encoding_is_refused_with_its_name_and_the_cure(data: bytes, cure: str) -> None:
    with pytest.raises(DataError) as caught:
        open_part(data, "rows.csv")
    message = str(caught.value)
    assert message.startswith("rows.csv ")
    assert cure in message
    assert "\n" not in message
