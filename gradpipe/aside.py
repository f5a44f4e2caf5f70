"""Files that are whole or not there: written beside their place, then renamed into it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from gradpipe.processes import is_gone, process_name

_SUFFIX = ".tmp"


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """A path to write to, in ``path``'s folder; it takes ``path``'s place when the block ends well.

    Readers see the old file or the new one. Where the block raises, nothing is left of it, and the
    error goes on to the caller. What a killed process leaves has a name that nothing reads, and
    ``sweep_asides`` deletes it.
    """
    aside = path.with_name(f".{path.name}.{process_name()}.{uuid4().hex[:8]}{_SUFFIX}")
    try:
        yield aside
        aside.replace(path)
    finally:
        with suppress(OSError):
            aside.unlink()


def sweep_asides(folder: Path) -> int:
    """Delete what killed processes of this machine left half-written below a folder; how many.

    Files of processes that live, and of other machines, are left alone.
    """
    swept = 0
    for place, _, names in os.walk(folder):
        for name in names:
            # As in .NAME.PROCESS.UNIQUE.tmp
            hidden = name.startswith(".") and name.endswith(_SUFFIX)
            if hidden and is_gone(name.split(".")[-3:][0]):
                with suppress(OSError):
                    Path(place, name).unlink()
                    swept += 1
    return swept
