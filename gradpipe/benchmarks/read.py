"""Read a benchmark's items from its configuration, for every source."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import polars as pl

from gradpipe.benchmarks.config import BenchmarkConfig, Source
from gradpipe.benchmarks.sources import flan, hub, mini, paper_release, user_files, wikipedia
from gradpipe.errors import DataError, nearest
from gradpipe.system.hashing import content_hash

#: Increase this whenever a reader yields different items from the same content.
READER_VERSION = "1"


@dataclass(frozen=True)
class Reader:
    """The functions of one source that read and identify its items, and the names it knows.

    ``families`` maps each known benchmark to its family; an empty mapping accepts any name.
    """

    read: Callable[[BenchmarkConfig], pl.DataFrame]
    content: Callable[[BenchmarkConfig], dict[str, str]]
    families: Mapping[str, str]


#: To add a source, add a module with ``read``, ``content`` and ``FAMILIES``, a line here, and its
#: name in ``config.Source``.
SOURCES: dict[Source, Reader] = {
    "mini": Reader(mini.read, mini.content, mini.FAMILIES),
    "release": Reader(paper_release.read, paper_release.content, paper_release.FAMILIES),
    "flan": Reader(flan.read, flan.content, flan.FAMILIES),
    "hub": Reader(hub.read, hub.content, hub.FAMILIES),
    "wikipedia": Reader(wikipedia.read, wikipedia.content, wikipedia.FAMILIES),
    "files": Reader(user_files.read, user_files.content, user_files.FAMILIES),
}


def read_items(config: BenchmarkConfig) -> pl.DataFrame:
    """Read every row of a benchmark's source as items (ITEM_SCHEMA), in order, unsampled.

    Raises DataError for an unknown name and for data that is missing, altered or malformed.
    """
    return _reader(config).read(config)


def source_version(config: BenchmarkConfig) -> str:
    """A hash that changes when the data that ``read_items`` would read changes.

    It is cheap: local files are hashed, pinned remote files are identified by their checksums
    without network access, and other remote files are identified by their metadata without a
    download. The same content has the same version wherever it is stored. Raises DataError like
    ``read_items``, but does not parse.
    """
    return content_hash(
        READER_VERSION,
        config.name,
        config.source,
        config.family,
        config.columns.model_dump(),
        _reader(config).content(config),
    )


def default_source(name: str) -> Source:
    """The source of a benchmark given only by name: ``mini`` or ``release``.

    Raises DataError for any other name.
    """
    defaults: tuple[Source, ...] = ("mini", "release")
    for source in defaults:
        if name in SOURCES[source].families:
            return source
    known = [known for source in defaults for known in SOURCES[source].families]
    raise DataError(
        f"no benchmark is called {name!r}, and no source is given for it: {nearest(name, known)}"
    )


def _reader(config: BenchmarkConfig) -> Reader:
    reader = SOURCES[config.source]
    if reader.families and config.name not in reader.families:
        raise DataError(
            f"the source {config.source!r} has no benchmark {config.name!r}: "
            f"{nearest(config.name, list(reader.families))}"
        )
    return reader
