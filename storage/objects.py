"""Object stores: the files of a folder behind a URL, through fsspec.

Only stores where one request replaces a whole object can hold a workspace: elsewhere fsspec moves a
file by copying it, or cannot replace one, and a reader could see a half. Nothing is remembered of a
listing, so that what another process wrote is seen at once.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from gradpipe.errors import WorkspaceError, nearest
from storage.store_errors import in_words, no_bucket

if TYPE_CHECKING:
    from upath import UPath

Item = TypeVar("Item")
Result = TypeVar("Result")


class _Store(NamedTuple):
    """What a protocol needs: a package, how to install it, its word for a content's type."""

    package: str
    install: str
    content_type: str


_S3 = _Store("s3fs", 'pip install "gradpipe[s3]"', "ContentType")
_GCS = _Store("gcsfs", "pip install gcsfs", "content_type")
_MEMORY = _Store("fsspec", "pip install fsspec", "content_type")
_STORES = {"s3": _S3, "s3a": _S3, "gs": _GCS, "gcs": _GCS, "memory": _MEMORY}
#: Requests under way at once: each waits for the network rather than for a core.
AT_ONCE = 16
#: The last bytes of a Parquet file that are fetched in one go: its footer, and small files whole.
TAIL_BYTES = 1 << 16


def open_store(url: str) -> UPath:
    """The folder behind ``url``; nothing is made there.

    Credentials and the endpoint come from where the store's package takes them, such as
    AWS_ACCESS_KEY_ID, AWS_PROFILE and AWS_ENDPOINT_URL. Raises WorkspaceError for a URL that cannot
    hold a workspace, a package that is missing, and a bucket that is missing or out of reach.
    """
    scheme, _, path = url.partition("://")
    protocol, bucket = scheme.lower(), path.partition("/")[0]
    if protocol not in _STORES:
        raise WorkspaceError(
            f"GRADPIPE_HOME is a URL of the kind {scheme[:20]!r}, which cannot hold a workspace "
            f"(what can be mounted can be named as a folder): {nearest(protocol, tuple(_STORES))}"
        )
    if "@" in bucket or ":" in bucket:
        raise WorkspaceError(
            "GRADPIPE_HOME carries a user name or password, which would end up in logs and pages: "
            "leave it out and give credentials in the environment, such as AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY."
        )
    if not bucket:
        raise WorkspaceError(f"GRADPIPE_HOME names no bucket: give {protocol}://BUCKET/FOLDER.")
    from upath import UPath

    root = UPath(f"{protocol}://{path.rstrip('/')}", use_listings_cache=False)
    try:
        with in_words(root, "read"):
            root.fs.ls(root.path, detail=False)
    except ImportError as error:
        store = _STORES[protocol]
        raise WorkspaceError(f"{store.package} is not installed: {store.install}") from error
    except FileNotFoundError as error:
        # That a folder is empty is found by looking, that a bucket is missing the store says.
        if error.__cause__ is not None:
            raise no_bucket(root) from error
    return root


def fetch(address: UPath, start: int = 0, end: int | None = None) -> bytes | None:
    """The bytes of an object from ``start`` (from its end, where negative) to ``end``.

    In one request, since two might see two versions of it. None where there is no such object.
    Raises WorkspaceError where the store does not answer.
    """
    try:
        with in_words(address, "read"):
            return _bytes(address, start, end)
    except FileNotFoundError:
        return None


def fetch_footer(address: UPath) -> bytes | None:
    """The last bytes of a Parquet file, its whole footer among them; None where there is none."""
    tail = fetch(address, -TAIL_BYTES)
    if tail is None:
        return None
    footer = int.from_bytes(tail[-8:-4], "little") + 8
    return fetch(address, -footer) if len(tail) == TAIL_BYTES < footer else tail


def send(address: UPath, content: bytes) -> None:
    """Put bytes at an address: all, or none.

    Raises WorkspaceError where the store does not take them.
    """
    kind, _ = mimetypes.guess_type(address.name)
    try:
        with in_words(address, "written"):
            address.fs.pipe_file(
                address.path,
                content,
                **{_STORES[address.protocol].content_type: kind or "application/octet-stream"},
            )
    except FileNotFoundError as error:
        raise no_bucket(address) from error


def send_folder(local: Path, folder: UPath, last: str) -> None:
    """Make an address hold the files below a local folder, the one named ``last`` after all others.

    What its subfolders held before and the local ones lack is deleted then.
    """
    names = [path.relative_to(local).as_posix() for path in local.rglob("*") if path.is_file()]
    names.sort(key=lambda name: name == last)
    kept = {(folder / name).path for name in names}
    *others, final = names
    at_once(lambda name: send(folder / name, (local / name).read_bytes()), others)
    send(folder / final, (local / final).read_bytes())
    subfolders = {name.partition("/")[0] for name in names if "/" in name}
    for subfolder in subfolders:
        _delete(folder, _below(folder / subfolder) - kept)


def sizes(folder: UPath) -> dict[str, int]:
    """The objects right below an address: name to bytes."""
    try:
        with in_words(folder, "read"):
            entries = folder.fs.ls(folder.path, detail=True)
    except FileNotFoundError:
        return {}
    return {
        entry["name"].rpartition("/")[2]: entry["size"]
        for entry in entries
        if entry["type"] == "file"
    }


def delete(folder: UPath, first: str = "") -> None:
    """Delete every object at or below an address, those named ``first`` before all others.

    Raises WorkspaceError where that is refused.
    """
    paths = _below(folder)
    before = {path for path in paths if path.rpartition("/")[2] == first}
    _delete(folder, before)
    _delete(folder, paths - before)


def objects_below(folder: UPath) -> list[UPath]:
    """Every object below an address, by name."""
    above = folder.path.rstrip("/") + "/"
    return [folder / path.removeprefix(above) for path in sorted(_below(folder))]


def at_once(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """``function`` of every item, in their order, many requests at a time."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(function, items))


def _bytes(address: UPath, start: int, end: int | None) -> bytes:
    try:
        data: bytes = address.fs.cat_file(address.path, start=start, end=end)
    except OSError as error:
        if "not satisfiable" in str(error):
            return b""
        raise
    return data


def _below(folder: UPath) -> set[str]:
    with in_words(folder, "read"):
        return set(folder.fs.find(folder.path))


def _delete(folder: UPath, paths: Iterable[str]) -> None:
    """One by one, since fsspec's deletion of many takes brackets in a name for a pattern."""

    def delete_one(path: str) -> None:
        with suppress(FileNotFoundError), in_words(folder, "deleted"):
            folder.fs.rm_file(path)

    at_once(delete_one, paths)
