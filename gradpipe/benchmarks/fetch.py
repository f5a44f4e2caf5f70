"""Read bytes from a local path or an fsspec URL, with checksums and a download cache."""

import contextlib
import errno
import hashlib
import re
from pathlib import Path
from typing import Any

from gradpipe.errors import DataError, nearest
from gradpipe.system.atomic_files import written_aside
from gradpipe.system.failures import Cause, connection_failed, failed_with
from gradpipe.system.hashing import content_hash
from gradpipe.system.units import format_bytes
from gradpipe.system.user_folders import cache_folder
from gradpipe.untrusted.files import read_regular
from gradpipe.untrusted.limits import LARGEST_FILE

_PINNED_GITHUB = re.compile(r"github://([^:/@]+):([^@/]+)@([0-9a-f]{40})/(.+)")

#: ORG/NAME, as the hub names data sets; a table file has an extension.
_DATASET_NAME = re.compile(r"[\w-]+/[\w-]+(?:\.\d[\w.-]*)?", re.ASCII)


def is_remote(location: str | Path) -> bool:
    """Whether ``location`` is a URL that does not refer to a local file."""
    scheme, separator, _ = str(location).partition("://")
    return bool(separator) and scheme not in ("file", "local")


def join(folder: str | Path, name: str) -> str:
    """The address of ``name`` (a relative path with slashes) inside a local folder or URL."""
    return f"{str(folder).rstrip('/')}/{name}"


def read_bytes(location: str | Path, sha256: str | None = None) -> bytes:
    """Read the whole content of a local file or an fsspec URL.

    With ``sha256`` (hex) the content must match it, and a remote file is downloaded only once:
    later reads use the user's cache folder. Raises DataError when the file is missing, unreachable
    or larger than LARGEST_FILE, or does not match the checksum.
    """
    if not is_remote(location):
        data = _read_local(location)
        return data if sha256 is None else _verified(data, sha256, location)
    if sha256 is None:
        return _read_remote(str(location), LARGEST_FILE)
    cached = _cache_file(sha256)
    with contextlib.suppress(OSError, DataError):
        return _verified(cached.read_bytes(), sha256, cached)
    data = _verified(_read_remote(_direct(str(location))), sha256, location)
    # If the cache is not writable, the file is downloaded again; the run continues.
    with contextlib.suppress(OSError):
        cached.parent.mkdir(parents=True, exist_ok=True)
        with written_aside(cached) as aside:
            aside.write_bytes(data)
    return data


def content_key(location: str | Path) -> str:
    """A hash that changes when the content of a local or remote file changes.

    A local file is read. A remote file is not downloaded: its filesystem's identity for it
    (``ukey``, with ETag, date and size where the protocol reports them) stands for the content.
    Raises DataError like read_bytes.
    """
    if not is_remote(location):
        return hashlib.sha256(_read_local(location)).hexdigest()
    try:
        filesystem, path = open_filesystem(str(location))
        filesystem.invalidate_cache()
        # An HTTP ukey hashes only the address, so the server's metadata is added.
        info = filesystem.info(path)
        reported = [str(info.get(k)) for k in ("size", "ETag", "Content-MD5", "Last-Modified")]
        return content_hash(str(filesystem.ukey(path)), reported)
    except Exception as error:
        raise unreachable(str(location), error) from error


def _read_local(location: str | Path) -> bytes:
    path = Path(re.sub(r"^(file|local)://", "", str(location)))
    try:
        path = path.expanduser()
        return read_regular(path, LARGEST_FILE)
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist: {_whereabouts(path)}") from error
    except IsADirectoryError as error:
        raise DataError(f"{path} is a folder: give the path of a file in it.") from error
    # Besides OSError: a name with a NUL byte, and a ~ of a user without a home folder.
    except (OSError, ValueError, RuntimeError) as error:
        large = getattr(error, "errno", None) == errno.EFBIG
        cure = "split it, or leave out what is not needed" if large else "check its permissions"
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path} cannot be read ({reason}): {cure}.") from error


def _whereabouts(missing: Path) -> str:
    folder = missing.parent
    if not folder.is_dir():
        hub = (
            f", or write hub:{missing} for a data set of the hub (in a study, `source: hub`)"
            if _DATASET_NAME.fullmatch(str(missing))
            else ""
        )
        return f"there is no folder {folder} either; check `path`{hub}."
    with contextlib.suppress(OSError):
        hint = nearest(missing.name, [entry.name for entry in folder.iterdir()])
        if len(hint) < 200:
            return hint
    return f"check `path` against what is in {folder}."


def open_filesystem(url: str) -> tuple[Any, str]:
    """The fsspec filesystem of a URL, and the URL's path on it."""
    # Not at the top: ``rank`` reads local files without fsspec.
    import fsspec

    # aiohttp ignores HTTPS_PROXY unless it is set to trust the environment.
    options = {"client_kwargs": {"trust_env": True}} if url.startswith("http") else {}
    filesystem, path = fsspec.core.url_to_fs(url, **options)
    return filesystem, path


def _read_remote(url: str, most: int | None = None) -> bytes:
    """Read a whole remote file; reject more than ``most`` bytes if the server reports a size.

    A pinned file needs no such limit, so its size is not requested.
    """
    try:
        filesystem, path = open_filesystem(url)
        if most is not None:
            _refuse_large(filesystem, path, url, most)
        return bytes(filesystem.cat_file(path))
    except DataError:
        raise
    # Each filesystem raises its own kinds of error; all of them mean that the file was not read.
    except Exception as error:
        raise unreachable(url, error) from error


def _refuse_large(filesystem: Any, path: str, url: str, most: int) -> None:
    size = 0
    # If the server does not answer a size request, the filesystem reports a missing file.
    with contextlib.suppress(FileNotFoundError):
        size = filesystem.size(path) or 0
    if size > most:
        raise DataError(
            f"{url} is larger than the limit of {format_bytes(most)}: split it, or leave out "
            "what is not needed."
        )


def unreachable(url: str, error: Exception) -> DataError:
    """Build the error for a URL that could not be read, with its cause and fix."""
    if isinstance(error, ImportError):
        return DataError(f"{url} needs a package that is not installed ({error}): install it.")
    if isinstance(error, FileNotFoundError):
        return DataError(f"there is no file at {url}: check the address.")
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return DataError(
        f"{url} cannot be read ({reason}): check the address and the connection, or download "
        "the files and give their local folder as `path`.",
        transient=failed_with(error, Cause.SERVER_BUSY) or connection_failed(error),
    )


def _direct(url: str) -> str:
    # GitHub's API, which github:// uses, allows 60 requests per hour: too few for a release of 56
    # files and a retry. A commit's raw address serves the same bytes without that limit.
    return _PINNED_GITHUB.sub(r"https://raw.githubusercontent.com/\1/\2/\3/\4", url)


def _verified(data: bytes, sha256: str, location: str | Path) -> bytes:
    digest = hashlib.sha256(data).hexdigest()
    if digest != sha256:
        raise DataError(
            f"{location} is not the pinned file (sha256 {digest[:12]}…, expected {sha256[:12]}…): "
            "fetch it again, or set `checksums: false` to read an altered copy on purpose."
        )
    return data


def _cache_file(sha256: str) -> Path:
    return cache_folder() / "sources" / sha256
