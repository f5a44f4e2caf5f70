"""Replace a whole folder in one step, so that readers see the old one or the new one."""

import ctypes
import os
import shutil
import sys
from pathlib import Path

from gradpipe.system.atomic_files import aside_path


def put_folder_in_place(new: Path, folder: Path) -> None:
    """Rename ``new``, a folder beside ``folder``, to ``folder``.

    An earlier folder is left under the name of ``new``, or deleted.
    """
    if not folder.exists():
        new.rename(folder)
    elif not _exchanged(new, folder):
        before = aside_path(folder)
        folder.rename(before)
        new.rename(folder)
        shutil.rmtree(before, ignore_errors=True)


def _exchanged(one: Path, other: Path) -> bool:
    """Swap two folders in one step; False if the system cannot (Linux and macOS can)."""
    paths = os.fsencode(one), os.fsencode(other)
    swap = 2
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if sys.platform == "darwin":
            return bool(libc.renamex_np(*paths, swap) == 0)
        here = -100
        return bool(libc.renameat2(here, paths[0], here, paths[1], swap) == 0)
    except (OSError, AttributeError, TypeError):
        return False
