"""UTF-8 from the encodings that editors and spreadsheets write."""

import codecs

from gradpipe.errors import DataError

#: Byte-order marks; that of UTF-32 begins with that of UTF-16.
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_BLOCK_BYTES = 2**20
#: Characters from which UTF-16 without a mark is recognized.
_FIRST_CHARACTERS = 8
#: The largest share of letters beyond ASCII in a text of a Western language; other alphabets have
#: more. A few bytes say nothing.
_MOST_ACCENTS = 0.3
_FEW_BYTES = 10


def to_utf8(data: bytes, name: str) -> bytes:
    """The text of a file in UTF-8, without a byte-order mark.

    UTF-8 is returned unchanged; UTF-16 is recognized by its byte-order mark. Raises DataError,
    which names the likely encoding and how to convert it, for anything else.
    """
    for mark, encoding in _MARKS.items():
        if data.startswith(mark):
            try:
                return data.decode(encoding).encode()
            except UnicodeDecodeError as error:
                raise DataError(
                    f"{name} begins as {encoding.upper()} but is not ({error.reason}): write it "
                    "again, in UTF-8."
                ) from error
    data = data.removeprefix(codecs.BOM_UTF8)
    zeros = [data[start : 2 * _FIRST_CHARACTERS : 2] for start in (0, 1)]
    for zero, encoding in zip(zeros, ("UTF-16BE", "UTF-16LE"), strict=True):
        if zero == bytes(_FIRST_CHARACTERS) and any(zeros[0] + zeros[1]):
            raise DataError(f"{name} is not text in UTF-8: {_cure(encoding)}")
    if not data.isascii():
        _require_utf8(data, name)
    return data


def _require_utf8(data: bytes, name: str) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")()
    # In blocks, since the whole text may take four times the memory.
    for start in range(0, len(data), _BLOCK_BYTES):
        held = len(decoder.getstate()[0])
        try:
            decoder.decode(data[start : start + _BLOCK_BYTES], start + _BLOCK_BYTES >= len(data))
        except UnicodeDecodeError as error:
            raise _refuse_encoding(data, start - held + error.start, name) from error


def _refuse_encoding(data: bytes, place: int, name: str) -> DataError:
    byte = data[place]
    line = data.count(b"\n", 0, place) + 1
    where = f"{name} is not text in UTF-8: line {line} has the byte 0x{byte:02X}"
    if place >= len(data) - 3 and byte >= 0xC2 and not data[:place].isascii():
        # All text before it was UTF-8, and not only ASCII.
        return DataError(f"{where} of an incomplete character at the end: write the file again.")
    sample = data[place : place + _BLOCK_BYTES]
    try:
        character = sample.decode("cp1252")[0]
    except UnicodeDecodeError:
        character = ""
    beyond_ascii = len(sample.translate(None, bytes(range(128))))
    if not character or beyond_ascii > _MOST_ACCENTS * max(len(sample), _FEW_BYTES):
        return DataError(
            f"{where}: convert it, for example with `iconv -f ENCODING -t UTF-8`, where ENCODING "
            "is the one that its program wrote."
        )
    # A control character would end the sentence's line.
    shown = f" ({character!r} there)" if character.isprintable() else ""
    return DataError(f"{where}{shown}: {_cure('WINDOWS-1252')}")


def _cure(encoding: str) -> str:
    return (
        f"it is probably {encoding.replace('WINDOWS', 'Windows')}, so convert it, for example with "
        f"`iconv -f {encoding} -t UTF-8`."
    )
