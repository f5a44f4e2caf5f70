"""Read Parquet files of data sets, local or on the hub, without running remote code.

Files at a URL are streamed with ``datasets``, which retries a failed read 20 times and raises an
error for a damaged page. Two shorter ways, tried on a local web server, do not replace it. Polars
2.1.0 retries too, but ``pl.scan_parquet(url)`` aborts the process for a damaged page; to prevent
this as for a local file, pyarrow would have to download the whole file first. fsspec 2026.9.0 does
not retry: one response 503 makes ``fsspec.parquet.open_parquet_file`` raise a TypeError.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl

from gradpipe.benchmarks.fetch import is_remote
from gradpipe.errors import DataError
from gradpipe.system.failures import Cause, caused_by, connection_failed
from gradpipe.untrusted.files import require_regular
from gradpipe.untrusted.limits import check_parquet, refuse_large, refuse_large_table


def read_parquet(
    location: str,
    columns: Sequence[str] | None = None,
    among: tuple[str, Sequence[str]] | None = None,
) -> pl.DataFrame:
    """Read the rows of one Parquet file: local with Polars, from a URL with ``datasets``.

    ``columns`` and ``among`` (a column, and its allowed values) limit the rows and columns in
    memory. If no row is left, the frame has ``columns`` of text. The file is read in place and not
    kept. If a web server does not support range requests, the file is downloaded into a temporary
    folder. Raises DataError when the file is missing, unreachable, not a Parquet file, or unpacks
    to more than LARGEST_TABLE. A local file's size is taken from its footer before reading; at a
    URL, the rows read so far are counted.
    """
    location = absolute_location(location)
    try:
        with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            file = _seekable(location, Path(folder))
            if is_remote(file):
                with quiet_datasets():
                    frames = list(_streamed(file, columns, among, folder))
            else:
                frames = [_local(Path(file), location, columns, among)]
    except DataError:
        raise
    # Each file system raises its own kinds of error, and datasets wraps them in its own.
    except (Exception, pl.exceptions.PanicException) as error:
        raise refusal(location, error) from error
    frames = [frame for frame in frames if not frame.is_empty()]
    return pl.concat(frames) if frames else pl.DataFrame(schema=dict.fromkeys(columns or (), str))


def _local(
    file: Path,
    location: str,
    columns: Sequence[str] | None,
    among: tuple[str, Sequence[str]] | None,
) -> pl.DataFrame:
    """Read the rows of a local file.

    Polars stores a text that many rows share only once. pyarrow, and so datasets, would copy it per
    row, and a few kilobytes of such a file could fill the memory.
    """
    require_regular(file)
    with file.open("rb") as content:
        check_parquet(content, location, columns or ())
    rows = pl.scan_parquet(file, glob=False)
    if among is not None:
        column, values = among
        rows = rows.filter(pl.col(column).is_in(values))
    table = (rows if columns is None else rows.select(columns)).collect()
    refuse_large_table(table, location)
    return table


def _streamed(
    url: str,
    columns: Sequence[str] | None,
    among: tuple[str, Sequence[str]] | None,
    folder: str,
) -> Iterator[pl.DataFrame]:
    """Read the rows of a file at a URL, up to the size limit of a table."""
    from datasets import load_dataset

    rows = load_dataset(
        "parquet",
        data_files=[url],
        split="train",
        columns=None if columns is None else list(columns),
        filters=None if among is None else [(among[0], "in", list(among[1]))],
        streaming=True,
        # datasets creates this folder even if it stores nothing there.
        cache_dir=folder,
    )
    held = 0
    for frame in map(_frame, rows.with_format("arrow").iter(batch_size=1000)):
        held += int(frame.estimated_size())
        refuse_large(held, url)
        yield frame


def absolute_location(location: str) -> str:
    """Convert a location for ``datasets``: an absolute local path, or an unchanged URL.

    Raises DataError for the ~ of a user without a home folder.
    """
    if is_remote(location):
        return location
    path = location.split("://", 1)[-1]
    try:
        return str(Path(path).expanduser().absolute())
    except RuntimeError as error:
        raise DataError(f"unknown user in {path}: check the name after the ~.") from error


def refusal(location: str, error: BaseException) -> DataError:
    """Build the error for a file that could not be read, with its cause and fix."""
    said = " ".join(str(_root(error)).split()).rstrip(".")[:200] or type(_root(error)).__name__
    if isinstance(_root(error), ImportError):
        return DataError(f"{location} needs a package that is not installed ({said}): install it.")
    if not connection_failed(error):
        if caused_by(error, Cause.UNREADABLE_TABLE):
            return DataError(
                f"{location} is not a Parquet file with the columns of this data set ({said}): "
                "fetch it again, or give the folder of an unaltered copy as `path`."
            )
        if caused_by(error, Cause.NO_SUCH_FILE) or caused_by(error, Cause.NOT_ON_HUB):
            return DataError(
                f"there is no file at {location}: check `path`, `revision` and `split`; a folder "
                "must have the same files as the hub's repository."
            )
        if isinstance(_root(error), OSError) and _root(error).strerror:
            return DataError(
                f"{location} cannot be read ({said}): check its permissions and the free space "
                "on the disk."
            )
    return DataError(
        f"{location} cannot be read ({said}): check the address and the connection, or download "
        "the repository and give its local folder as `path`.",
        transient=connection_failed(error),
    )


@contextmanager
def quiet_datasets() -> Iterator[None]:
    """Silence progress bars and logs of ``datasets`` and the hub client, then restore them.

    A caller that shows progress has its own display, and errors are reported in one sentence.
    """
    import huggingface_hub.utils
    from datasets import utils
    from datasets.utils import logging

    loggers = (logging, huggingface_hub.utils.logging)
    verbosities = [logger.get_verbosity() for logger in loggers]
    drawn = [
        package
        for package in (utils, huggingface_hub.utils)
        if not package.are_progress_bars_disabled()
    ]
    for logger in loggers:
        logger.set_verbosity(logging.CRITICAL + 1)
    for package in drawn:
        package.disable_progress_bars()
    try:
        yield
    finally:
        for logger, verbosity in zip(loggers, verbosities, strict=True):
            logger.set_verbosity(verbosity)
        for package in drawn:
            package.enable_progress_bars()


def _seekable(location: str, folder: Path) -> str:
    """A location that supports partial reads: the original, or a copy in ``folder``."""
    if not location.startswith(("http://", "https://")):
        return location
    import fsspec
    import requests

    head = requests.head(location, allow_redirects=True, timeout=60)
    if head.status_code in {404, 410}:
        raise FileNotFoundError(location)
    if head.headers.get("Accept-Ranges") == "bytes":
        return location
    copy = folder / "fetched.parquet"
    filesystem, path = fsspec.core.url_to_fs(location, client_kwargs={"trust_env": True})
    filesystem.get_file(path, str(copy))
    return str(copy)


def _frame(table: Any) -> pl.DataFrame:
    return pl.DataFrame(pl.from_arrow(table))


def _root(error: BaseException) -> Any:
    """The root cause of an error."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error
