"""The one way in: a benchmark's configuration becomes its items, whatever its source."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import polars as pl

from gradpipe.benchmarks.config import BenchmarkConfig, Source
from gradpipe.benchmarks.sources import flan, hub, mini, paper_release, user_files, wikipedia
from gradpipe.errors import DataError, nearest
from gradpipe.system.hashing import content_hash

#: Raised whenever a reader yields other items from the same content.
READER_VERSION = "1"


@dataclass(frozen=True)
class Reader:
    """How one source is read: its items, what identifies their content, and the names it knows.

    ``families`` maps each known benchmark to its family; an empty one admits any name.
    """

    read: Callable[[BenchmarkConfig], pl.DataFrame]
    content: Callable[[BenchmarkConfig], dict[str, str]]
    families: Mapping[str, str]


#: A new source is a module with ``read``, ``content`` and ``FAMILIES``, a line here, and its word
#: in ``config.Source``.
SOURCES: dict[Source, Reader] = {
    "mini": Reader(mini.read, mini.content, mini.FAMILIES),
    "release": Reader(paper_release.read, paper_release.content, paper_release.FAMILIES),
    "flan": Reader(flan.read, flan.content, flan.FAMILIES),
    "hub": Reader(hub.read, hub.content, hub.FAMILIES),
    "wikipedia": Reader(wikipedia.read, wikipedia.content, wikipedia.FAMILIES),
    "files": Reader(user_files.read, user_files.content, user_files.FAMILIES),
}


def read_items(config: BenchmarkConfig) -> pl.DataFrame:
    """Every row of a benchmark's source as items (ITEM_SCHEMA), in source order, not sampled.

    Raises DataError for an unknown name and for data that is missing, altered or malformed.
    """
    return _reader(config).read(config)


def source_version(config: BenchmarkConfig) -> str:
    """A hash that changes when what ``read_items`` would read changes.

    It is cheap: local files are hashed, pinned remote files are known by their checksums and cost
    no network, and other remote files are asked for their identity, not fetched. The same content
    has the same version wherever it lies. Raises DataError like ``read_items``, but does not parse.
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
    """The source that a bare benchmark name stands for: ``mini`` or ``release``.

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
