"""Whether a table of spectra is that of given examples."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gradpipe.conversations.examples import ExamplesHash
from gradpipe.errors import DataError
from gradpipe.standalone.example_chunks import ExampleChunks
from gradpipe.standalone.spectra_file import hashes_of_parts


def check_spectra_rows(rows: Sequence[int], spectra: Path, chunks: ExampleChunks) -> None:
    """Raise DataError unless the spectra, of these ``rows``, are those of the examples in order."""
    parts = hashes_of_parts(spectra)
    counts = [count for count, _ in parts or ()]
    # A part without a number of rows is alone.
    bounds = {sum(count or 0 for count in counts[: n + 1]) for n in range(len(counts) - 1)}
    hashed, hashes = ExamplesHash(), []
    passed, same = 0, True
    for chunk in chunks:
        wanted = rows[passed : passed + len(chunk.rows)]
        same = same and list(wanted) == chunk.rows
        for number, example in enumerate(chunk.examples, start=passed):
            if number in bounds:
                hashes.append(hashed.hexdigest())
                hashed = ExamplesHash()
            hashed.add([example])
        passed += len(chunk.rows)
    hashes.append(hashed.hexdigest())
    name = chunks.stream.name
    if not same or passed != len(rows):
        extent = f"{len(rows)} rows, {rows[0]} to {rows[-1]}," if rows else "no rows"
        raise DataError(
            f"{spectra} has {extent} but {name} has {passed}: extract all rows of the data, or "
            "leave out --spectra."
        )
    expected = [pairs for _, pairs in parts or ()]
    if parts and (
        len(hashes) != len(expected)
        or any(one not in (None, other) for one, other in zip(expected, hashes, strict=True))
    ):
        raise DataError(
            f"{spectra} was extracted from other texts than those in {name}, or from the same in "
            "another order: extract them again, or leave out --spectra."
        )
