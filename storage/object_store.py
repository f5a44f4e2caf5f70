"""Object stores: the files of a workspace behind a URL, through fsspec.

Only stores where one request replaces a whole object can hold a workspace. For others, fsspec
cannot replace a file or moves it by copying it, so a reader could see half of it.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from fnmatch import fnmatch
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from gradpipe.errors import WorkspaceError, nearest
from gradpipe.system.extras import install_command
from storage.concurrency import map_concurrently
from storage.filesystem import Filesystem
from storage.object_reads import fetch, fetch_footer, scan_objects
from storage.store_errors import as_workspace_error, missing_bucket

if TYPE_CHECKING:
    from upath import UPath


class _Protocol(NamedTuple):
    """A URL's protocol: its package, how to install it, its option for a file's media type."""

    package: str
    install: str
    content_type: str


_S3 = _Protocol("s3fs", install_command("s3fs"), "ContentType")
_GCS = _Protocol("gcsfs", "pip install gcsfs", "content_type")
_MEMORY = _Protocol("fsspec", "pip install fsspec", "content_type")
_PROTOCOLS = {"s3": _S3, "s3a": _S3, "gs": _GCS, "gcs": _GCS, "memory": _MEMORY}


def open_store(url: str, setting: str = "GRADPIPE_HOME") -> UPath:
    """The folder behind ``url``, which ``setting`` names; nothing is created there.

    The store's package reads credentials and the endpoint from the environment, such as
    AWS_ACCESS_KEY_ID, AWS_PROFILE and AWS_ENDPOINT_URL. Raises WorkspaceError if the URL cannot
    hold a workspace, a package is missing, or the bucket is missing or cannot be reached.
    """
    scheme, _, path = url.partition("://")
    protocol, bucket = scheme.lower(), path.partition("/")[0]
    if protocol not in _PROTOCOLS:
        raise WorkspaceError(
            f"{setting} is a URL of the kind {scheme[:20]!r}, which cannot hold a workspace "
            "(mount it and name the folder instead): "
            f"{nearest(protocol, tuple(_PROTOCOLS))}"
        )
    if "@" in bucket or ":" in bucket:
        raise WorkspaceError(
            f"{setting} contains a user name or password, which would appear in logs and pages: "
            "remove it and set credentials in the environment, such as AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY."
        )
    if not bucket:
        raise WorkspaceError(f"{setting} names no bucket: give {protocol}://BUCKET/FOLDER.")
    # Imported here, since a local workspace does not need the extra `pipeline`.
    from upath import UPath

    root = UPath(f"{protocol}://{path.rstrip('/')}", use_listings_cache=False)
    try:
        with as_workspace_error(root, "read"):
            root.fs.ls(root.path, detail=False)
    except ImportError as error:
        store = _PROTOCOLS[protocol]
        raise WorkspaceError(f"{store.package} is not installed: {store.install}") from error
    except FileNotFoundError as error:
        # fsspec itself reports an empty folder; only a missing bucket has the store's own cause.
        if error.__cause__ is not None:
            raise missing_bucket(root) from error
    return root


class ObjectStore(Filesystem["UPath"]):
    """Objects behind URLs, each written in one request."""

    def local_path(self, location: UPath) -> None:
        """None: no object is on this machine."""
        return

    def read(self, location: UPath) -> bytes | None:
        """The whole object in one request."""
        return fetch(location)

    def read_footer(self, location: UPath) -> bytes | None:
        """The end of a Parquet file, in one request unless its footer is long."""
        return fetch_footer(location)

    def write(self, location: UPath, content: bytes) -> None:
        """Send the object in one request, with the media type that its name implies."""
        kind, _ = mimetypes.guess_type(location.name)
        option = _PROTOCOLS[location.protocol].content_type
        try:
            with as_workspace_error(location, "written"):
                location.fs.pipe_file(
                    location.path, content, **{option: kind or "application/octet-stream"}
                )
        except FileNotFoundError as error:
            raise missing_bucket(location) from error

    def written(self, location: UPath) -> float | None:
        """The time that the store keeps of the object, in one request."""
        try:
            with as_workspace_error(location, "read"):
                written: float = location.fs.modified(location.path).timestamp()
                return written
        except FileNotFoundError:
            return None

    def delete(self, location: UPath, first: str = "") -> None:
        """Delete every object at or below an address."""
        paths = _paths_below(location)
        before = {path for path in paths if path.rpartition("/")[2] == first}
        _delete(location, before)
        _delete(location, paths - before)

    def rename(self, location: UPath, name: str) -> UPath | None:
        """Copy the object, then delete the original: stores cannot rename."""
        content = self.read(location)
        if content is None:
            return None
        target = location.with_name(name)
        self.write(target, content)
        self.delete(location)
        return target

    def files_below(self, folder: UPath) -> list[UPath]:
        """Every object below an address, sorted."""
        above = folder.path.rstrip("/") + "/"
        return [folder / path.removeprefix(above) for path in sorted(_paths_below(folder))]

    def sizes(self, folder: UPath, pattern: str) -> dict[UPath, int]:
        """The objects directly below an address whose names match, sorted, with their bytes."""
        try:
            with as_workspace_error(folder, "read"):
                entries = folder.fs.ls(folder.path, detail=True)
        except FileNotFoundError:
            return {}
        sizes: dict[str, int] = {
            entry["name"].rpartition("/")[2]: entry["size"]
            for entry in entries
            if entry["type"] == "file"
        }
        return {folder / name: sizes[name] for name in sorted(sizes) if fnmatch(name, pattern)}

    def scan_parquet(
        self, files: Mapping[UPath, int], schema: pl.Schema, whole: set[UPath]
    ) -> pl.LazyFrame:
        """Fetch only the footers and the columns that a query needs."""
        return scan_objects(files, schema)

    @contextmanager
    def local_folder(self, folder: UPath, last: str) -> Iterator[Path]:
        """As in Filesystem; files that the block did not write are deleted from its subfolders."""
        with TemporaryDirectory(prefix="gradpipe-") as temporary:
            local = Path(temporary) / folder.name
            yield local
            self._send_folder(local, folder, last)

    def _send_folder(self, local: Path, folder: UPath, last: str) -> None:
        names = [path.relative_to(local).as_posix() for path in local.rglob("*") if path.is_file()]
        names.sort(key=lambda name: name == last)
        sent = {(folder / name).path for name in names}

        def send(name: str) -> None:
            self.write(folder / name, (local / name).read_bytes())

        for _ in map_concurrently(send, names[:-1]):
            pass
        send(names[-1])
        for subfolder in {name.partition("/")[0] for name in names if "/" in name}:
            _delete(folder, _paths_below(folder / subfolder) - sent)


def _paths_below(folder: UPath) -> set[str]:
    with as_workspace_error(folder, "read"):
        return set(folder.fs.find(folder.path))


def _delete(folder: UPath, paths: Iterable[str]) -> None:
    """One by one, since fsspec's deletion of many takes brackets in a name for a pattern."""

    def delete_one(path: str) -> None:
        with suppress(FileNotFoundError), as_workspace_error(folder, "deleted"):
            folder.fs.rm_file(path)

    for _ in map_concurrently(delete_one, paths):
        pass
