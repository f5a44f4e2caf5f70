"""Decompress one file, never to more than a data file may have."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import IO

from gradpipe.errors import DataError
from gradpipe.system.units import format_bytes
from gradpipe.untrusted import limits

#: Supported compressions of a text file, by extension.
COMPRESSIONS = {".gz": "gzip", ".zst": "zstandard"}
_BLOCK_BYTES = 2**20


def decompress(data: bytes, ending: str, name: str) -> bytes:
    """Decompress a file of one of COMPRESSIONS.

    Raises DataError if it is damaged, has another format, or unpacks to more than LARGEST_FILE.
    """
    unpacked = bytearray()
    try:
        with _stream(data, ending) as stream:
            while block := stream.read(_BLOCK_BYTES):
                unpacked += block
                if len(unpacked) > limits.LARGEST_FILE:
                    raise DataError(
                        f"{name} unpacks to more than the limit of "
                        f"{format_bytes(limits.LARGEST_FILE)}: split it, or leave out what is not "
                        "needed."
                    )
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{name} is not a complete {COMPRESSIONS[ending]} file ({error}): write it again, or "
            "give it the extension of its real format."
        ) from error
    return bytes(unpacked)


def compress(data: bytes, ending: str) -> bytes:
    """Compress a file's content; equal content gives equal bytes."""
    if ending == ".gz":
        return gzip.compress(data, mtime=0)
    # Not at the top: `import definitions` stays quick.
    import pyarrow

    return bytes(pyarrow.compress(data, codec="zstd", asbytes=True))


@contextmanager
def compressed_file(path: Path, ending: str) -> Iterator[IO[bytes]]:
    """A file to write, compressed as its final ``ending`` says; equal content gives equal bytes."""
    if ending == ".gz":
        with path.open("wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed:
            yield packed  # type: ignore[misc]
    elif ending == ".zst":
        import pyarrow

        with pyarrow.CompressedOutputStream(str(path), "zstd") as stream:
            yield stream
    else:
        with path.open("wb") as plain:
            yield plain


def _stream(data: bytes, ending: str) -> IO[bytes] | gzip.GzipFile:
    if ending == ".gz":
        return gzip.GzipFile(fileobj=BytesIO(data))
    import pyarrow

    stream: IO[bytes] = pyarrow.CompressedInputStream(pyarrow.BufferReader(data), "zstd")
    return stream
