"""Read a benchmark's items from its configuration, for every source."""

import polars as pl

from gradpipe.benchmarks.config import SOURCES_BY_NAME, BenchmarkConfig
from gradpipe.benchmarks.item_columns import withheld_roles
from gradpipe.benchmarks.sources import SOURCES
from gradpipe.errors import DataError, nearest
from gradpipe.system.hashing import content_hash

#: Increase this whenever a reader yields different items from the same content.
READER_VERSION = "1"


def read_items(config: BenchmarkConfig) -> pl.DataFrame:
    """Read every row of a benchmark's source as items (ITEM_SCHEMA), in order, unsampled.

    Raises DataError for an unknown name and for data that is missing, altered or malformed.
    """
    source = SOURCES_BY_NAME[config.source]
    source.check_name(config.name)
    return source.read(config)


def source_version(config: BenchmarkConfig) -> str:
    """A hash that changes when the data that ``read_items`` would read changes.

    It is cheap: local files are hashed, pinned remote files are identified by their checksums
    without network access, and other remote files are identified by their metadata without a
    download. The same content has the same version wherever it is stored. Raises DataError like
    ``read_items``, but does not parse.
    """
    source = SOURCES_BY_NAME[config.source]
    source.check_name(config.name)
    # Only where a study has them, so that the tables of other studies stay valid.
    own = [config.own_styles] if config.own_styles and source.reads_own_styles else []
    withheld = _withheld(config) if source.reads_own_styles else []
    return content_hash(
        READER_VERSION,
        config.name,
        config.source,
        config.family,
        config.columns.model_dump(),
        source.content(config),
        *own,
        *withheld,
    )


def _withheld(config: BenchmarkConfig) -> list[str]:
    """Roles that an earlier version gave to a column that has another one: it doubled questions."""
    columns = config.columns
    if columns.roles() and columns.style is None:
        # Formats of training data never did.
        return []
    return withheld_roles(columns, [*columns.responses.values(), *config.own_styles.values()])


def source_revision(config: BenchmarkConfig) -> str | None:
    """The commit that ``read_items`` would read of a data set of the hub that a study names.

    None for every other benchmark. Raises DataError if a branch cannot be resolved.
    """
    return SOURCES_BY_NAME[config.source].revision(config)


def default_source(benchmark: str) -> str:
    """The name of the source of a benchmark given only by name: ``mini`` or ``release``.

    Raises DataError for any other name.
    """
    implied = [source for source in SOURCES if source.implied_by_name]
    for source in implied:
        if benchmark in source.families:
            return source.name
    known = [name for source in implied for name in source.families]
    raise DataError(
        f"no benchmark is called {benchmark!r}, and no source is given for it: "
        f"{nearest(benchmark, known)}"
    )
