"""Wikipedia page views, and the popular and unpopular articles they select."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import polars as pl

from gradpipe.benchmarks.fetch import is_remote, read_bytes
from gradpipe.benchmarks.remote_parquet import absolute_location, refusal
from gradpipe.benchmarks.sources.wikipedia_settings import WikipediaPages
from gradpipe.benchmarks.table_files import parse_table, text_column
from gradpipe.errors import DataError
from gradpipe.system.hashing import content_hash
from gradpipe.tables.kinds import table_extension
from gradpipe.untrusted.files import require_regular
from gradpipe.untrusted.limits import (
    ARCHIVE_ENDINGS,
    archive_refusal,
    refuse_archive,
    refuse_long_line,
)

#: Bytes of a dump that are processed at once.
BLOCK_BYTES = 1 << 26
#: Supported compression of a dump: streams that are decompressed block by block.
PACKED = {".gz": "gzip", ".bz2": "bz2"}
#: Number of blocks whose views are summed together.
BLOCKS_PER_SUM = 16
#: Candidates per requested page: most titles with few views are redirects, and part of a snapshot
#: contains only part of the articles.
CANDIDATES = 50

#: A line of a dump: wiki, title, page id (sometimes missing), device, views, hourly views.
_LINE = r"^\S+ (\S+) (?:\S+ )?(?:desktop|mobile-web|mobile-app) (\d+)(?: |$)"
_NO_ARTICLE = (
    r"^(Main Page|-|(Special|Media|MediaWiki|Talk|User|Wikipedia|Project|File|Image|Template|Help|"
    r"Category|Portal|Draft|TimedText|Module|Book)( talk)?:.*)$"
)


def read_views(location: str, project: str) -> pl.DataFrame:
    """Read ``title`` and ``views`` of every page of ``project`` (such as ``en.wikipedia``).

    ``location`` is a local path or URL: a Wikimedia page-view dump (plain, .gz or .bz2), or a table
    (CSV, TSV, JSON, JSONL, Parquet) with these columns. Views of the same title are summed,
    underscores become spaces, and pages that are not articles are excluded. A dump is read in
    blocks, so only the titles are held in memory. Raises DataError when the file is missing,
    unreachable, another kind of archive, or neither a dump nor such a table.
    """
    kind = _kind(location)
    parts = [_table(location)] if kind == "table" else _dump(location, project)
    views = _summed(parts)
    if views.is_empty():
        raise DataError(
            f"{location} has no views of an article of {project}: give a page-view dump with lines "
            f"such as '{project} Alan_Turing 1208 desktop 57 A57', or a table of title and views."
        )
    return views


def candidates(views: pl.DataFrame, pages: WikipediaPages) -> pl.DataFrame:
    """The ``title`` and ``rank`` (0 first) of pages to search for, more than requested.

    Popular pages are sorted by descending views, then title. Unpopular pages, viewed ``min_views``
    to ``max_views`` times, have a random order per seed that does not depend on other pages.
    """
    if pages.popularity == "popular":
        ordered = views.sort("views", "title", descending=[True, False])
    else:
        tail = views.filter(pl.col("views").is_between(pages.min_views, pages.max_views))
        if tail.is_empty():
            raise DataError(
                f"{pages.views} has no article with {pages.min_views} to {pages.max_views} views: "
                "set `min_views` and `max_views` so that some lie between them."
            )
        drawn = [content_hash(pages.seed, title) for title in tail["title"]]
        ordered = tail.sort(pl.Series(drawn, dtype=pl.String))
    return ordered.select("title").head(CANDIDATES * pages.pages).with_row_index("rank")


def with_spaces(title: pl.Expr) -> pl.Expr:
    """Titles as the snapshot writes them: spaces for underscores, stripped."""
    return title.str.replace_all("_", " ", literal=True).str.strip_chars()


def _kind(location: str) -> str:
    table = {".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet"}
    return "table" if table_extension(location) in table else "dump"


def _table(location: str) -> pl.DataFrame:
    table = parse_table(read_bytes(location), location)
    try:
        views = text_column(table, "views", location).cast(pl.Int64)
    except pl.exceptions.InvalidOperationError as error:
        raise DataError(
            f"the column `views` of {location} has a value that is not a whole number: fix it."
        ) from error
    return pl.DataFrame([text_column(table, "title", location), views])


def _dump(location: str, project: str) -> Iterator[pl.DataFrame]:
    start = f"{project} ".encode()
    for block in _blocks(location):
        # Polars would decompress data that was compressed twice.
        refuse_archive(block, location)
        if start not in block:
            continue
        lines = pl.read_csv(
            block,
            has_header=False,
            new_columns=["line"],
            # No title contains this character, so every line is one column.
            separator="\x01",
            quote_char=None,
            infer_schema=False,
            encoding="utf8-lossy",
        )
        fields = pl.col("line").str.extract_groups(_LINE).struct
        yield (
            lines.filter(pl.col("line").str.starts_with(f"{project} "))
            .select(title=fields.field("1"), views=fields.field("2").cast(pl.Int64))
            .drop_nulls()
        )


def _blocks(location: str) -> Iterator[bytes]:
    """Yield the uncompressed bytes of a file in blocks of whole lines."""
    import fsspec

    address, ending = absolute_location(location), table_extension(location)
    if ending in ARCHIVE_ENDINGS - PACKED.keys():
        raise DataError(archive_refusal(location, ending))
    options: dict[str, Any] = {}
    if address.startswith("http"):
        # aiohttp's default download timeout is five minutes; a month of views takes longer.
        options = {"client_kwargs": {"trust_env": True, "timeout": _no_timeout()}}
    try:
        if not is_remote(address):
            require_regular(Path(address))
        with fsspec.open(address, "rb", compression=PACKED.get(ending), **options) as file:
            rest = b""
            while block := file.read(BLOCK_BYTES):
                whole, newline, rest = (rest + block).rpartition(b"\n")
                yield whole + newline
                refuse_long_line(rest, location)
            yield rest
    except DataError:
        raise
    # Each file system and decompressor raises its own kinds of error.
    except Exception as error:
        raise refusal(location, error) from error


def _no_timeout() -> Any:
    import aiohttp

    return aiohttp.ClientTimeout(total=None, sock_connect=60, sock_read=300)


def _summed(parts: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Sum the views per title, several parts at once since each sum scans all titles."""
    held = [pl.DataFrame(schema={"title": pl.String, "views": pl.Int64})]
    for part in parts:
        articles = (
            part.with_columns(with_spaces(pl.col("title")))
            .drop_nulls()
            .filter(~pl.col("title").str.contains(_NO_ARTICLE) & (pl.col("title") != ""))
        )
        held.append(_added(articles))
        if len(held) > BLOCKS_PER_SUM:
            held = [_added(pl.concat(held))]
    return _added(pl.concat(held))


def _added(views: pl.DataFrame) -> pl.DataFrame:
    return views.group_by("title").agg(pl.col("views").sum())
