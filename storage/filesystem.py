"""Places: where the files of a workspace are, in a local folder or in an object store.

Writes are atomic for every reader, even if the process is killed: a local file is written to a
temporary name, synced to disk and renamed; an object is sent in one request.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeAlias
from uuid import uuid4

from gradpipe.errors import WorkspaceError
from gradpipe.system.atomic_files import written_aside

if TYPE_CHECKING:
    from upath import UPath

    #: A path in a local folder, or an address in an object store.
    Place: TypeAlias = Path | UPath

#: Suffix of files that were set aside.
ASIDE = ".aside"


def place_of(home: str) -> Place:
    """The folder that ``home`` names: a path (made where it is missing), or a URL.

    Raises WorkspaceError where the folder cannot be made, and for a URL that cannot hold a
    workspace or whose store cannot be reached.
    """
    if "://" in home and not home.startswith("file://"):
        from storage.objects import open_store

        return open_store(home)
    path = _path_of(home) if home.startswith("file://") else Path(home)
    try:
        root = path.expanduser().resolve()
        root.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or str(error).rstrip(".")
        raise WorkspaceError(
            f"The workspace {path.absolute()} cannot be made ({reason}): set GRADPIPE_HOME to a "
            "folder that you may write."
        ) from error
    return root


def put(place: Place, write: Callable[[IO[bytes]], object]) -> None:
    """Let ``write`` fill a file, then put it in its place at once.

    Raises WorkspaceError where the place cannot be written, or the disk is full.
    """
    if not isinstance(place, Path):
        from storage.objects import send

        buffer = BytesIO()
        write(buffer)
        send(place, buffer.getvalue())
        return
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with written_aside(place) as aside, aside.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise WorkspaceError(
            f"{place} cannot be written ({error.strerror or error}): check the folder's "
            "permissions and the disk's free space."
        ) from error


def get(place: Place) -> bytes | None:
    """A whole file, or None where there is none; raises WorkspaceError where it is not readable."""
    if not isinstance(place, Path):
        from storage.objects import fetch

        return fetch(place)
    if not place.is_file():
        return None
    try:
        return place.read_bytes()
    except OSError as error:
        raise WorkspaceError(
            f"{place} cannot be read ({error.strerror}): check the file's permissions."
        ) from error


def remove(place: Place, first: str = "") -> None:
    """Delete a file, or a folder and everything in it, files named ``first`` before all others.

    Nothing happens where there is none; raises WorkspaceError where something cannot be deleted.
    """
    if not isinstance(place, Path):
        from storage.objects import delete

        delete(place, first)
        return
    import shutil

    try:
        for file in place.rglob(first) if first else ():
            file.unlink()
        if place.is_file():
            place.unlink()
        else:
            shutil.rmtree(place)
    except FileNotFoundError:
        return
    except OSError as error:
        raise WorkspaceError(
            f"{place} cannot be deleted ({error.strerror}): check the folder's permissions."
        ) from error


def move(place: Place, target: Place) -> Place | None:
    """Give a file another name, and return it; None where there is no such file.

    Raises WorkspaceError where it cannot be moved.
    """
    if not isinstance(place, Path):
        content = get(place)
        if content is None:
            return None
        put(target, lambda file: file.write(content))
        remove(place)
        return target
    if not place.is_file():
        return None
    try:
        os.rename(place, str(target))
    except OSError as error:
        raise WorkspaceError(
            f"{place} cannot be moved ({error.strerror}): check the folder's permissions."
        ) from error
    return target


def set_aside(place: Place) -> Place | None:
    """Give a file another name beside it, which no reader takes for its own; as ``move``."""
    return move(place, place.with_name(f"{place.name}.{uuid4().hex[:8]}{ASIDE}"))


def files_below(folder: Place) -> list[Place]:
    """Every file in a folder and its folders, by name; none where there is no such folder."""
    if isinstance(folder, Path):
        return sorted(path for path in folder.rglob("*") if path.is_file())
    from storage.objects import objects_below

    return [*objects_below(folder)]


def _path_of(url: str) -> Path:
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    return Path(url2pathname(urlsplit(url).path))
