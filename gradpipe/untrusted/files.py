"""Read untrusted files, only if they are regular files of a bounded size."""

import errno
import stat
from pathlib import Path

from gradpipe.system.units import format_bytes


def read_regular(path: Path, most: int) -> bytes:
    """The content of a file of at most ``most`` bytes.

    Reading a pipe could block forever, and a device may never end: both are refused before they
    are opened. Raises OSError as ``open`` does, with ``errno`` EFBIG for a larger file.
    """
    require_regular(path)
    with path.open("rb") as file:
        # It may have grown since, so what counts is what is read.
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"larger than the limit of {format_bytes(most)}", str(path))
    return data


def require_regular(path: Path) -> None:
    """Raise OSError if there is no file at ``path`` or it is not a regular file."""
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "Is a directory", str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "a pipe, device or socket, not an ordinary file", str(path))
