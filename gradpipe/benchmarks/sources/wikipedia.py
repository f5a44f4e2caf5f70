"""Popular and unpopular Wikipedia articles, from the hub's snapshots."""

import polars as pl

from gradpipe.benchmarks.fetch import content_key, is_remote, join, open_filesystem, read_bytes
from gradpipe.benchmarks.items import build_items
from gradpipe.benchmarks.remote_parquet import absolute_location, read_parquet, refusal
from gradpipe.benchmarks.repository import Repository, check_folder_or_revision
from gradpipe.benchmarks.sources.page_views import candidates, read_views, with_spaces
from gradpipe.benchmarks.sources.source import Source
from gradpipe.benchmarks.sources.wikipedia_settings import WikipediaPages, WikipediaSettings
from gradpipe.benchmarks.texts import cut_column
from gradpipe.errors import DataError
from gradpipe.styles import LENGTH_STYLES
from gradpipe.system.hashing import content_hash

REPOSITORY = Repository("wikimedia/wikipedia", "b04c8d1ceb2f5cd4588862100d08de323dccfbaa")
#: Number of files per snapshot, for snapshots where it is known without a request.
SHARDS = {"20231101.en": 41}

_ENDS = 1 << 16


class Wikipedia(Source[WikipediaSettings]):
    """Pages of a Wikipedia snapshot; any benchmark name is accepted."""

    name = "wikipedia"
    settings = WikipediaSettings

    def check(self, config: WikipediaSettings) -> None:
        """Raise DataError for a ``path`` together with a ``revision``."""
        check_folder_or_revision(config)

    def content(self, config: WikipediaSettings) -> dict[str, str]:
        """Identify the pages that ``read`` would read, without reading the snapshot.

        A snapshot on the hub is identified by its commit. A file of a ``path`` is identified by its
        size and its first and last bytes, where a Parquet file describes its content. A remote file
        is identified by its server's metadata.
        """
        pages = config.wikipedia
        settings = pages.model_dump(mode="json", exclude={"views", "titles_file", "shards"})
        identity = {"settings": content_hash(settings)}
        for name, location in (("views", pages.views), ("titles", pages.titles_file)):
            if location is not None:
                identity[name] = content_key(absolute_location(location))
        if config.path is None:
            return identity | REPOSITORY.content(config, [pages.snapshot])
        files = _files(config)
        return identity | {name: _shard_key(join(config.path, name)) for name in files}

    def read(self, config: WikipediaSettings) -> pl.DataFrame:
        """Read the chosen pages as items: ``Tell me about TITLE.``, with the article's own text.

        Popular pages have the styles ``length_100``, ``length_500`` and ``length_1000``, cut at the
        first sentence end after that many estimated tokens. Unpopular pages have ``article``, the
        whole text up to ``article_tokens``. The snapshot's files are searched one by one, and only
        candidate pages are held in memory. Pages chosen by views are taken from the files searched.
        A listed title that is in none of the files is an error, since a study that lists its pages
        must use exactly those. Raises DataError when a file is missing or unreachable, titles are
        not found, or there are fewer pages than requested.
        """
        pages = config.wikipedia
        wanted = _wanted(config)
        table = _selected_pages(config, wanted).select(
            instruction=pl.format("Tell me about {}.", "title"),
            answer="title",
            rationale=pl.lit(None, dtype=pl.String),
            **{style: cut_column(pl.col("text"), size) for style, size in _lengths(pages).items()},
        )
        responses = {(style, "correct"): style for style in _lengths(pages)}
        return build_items(table, config.name, self.family(config) or "knowledge", responses)


def _wanted(config: WikipediaSettings) -> pl.DataFrame:
    """The ``title`` and ``rank`` of the pages to search for."""
    pages = config.wikipedia
    named = bool(pages.titles) or pages.titles_file is not None
    if named == (pages.views is not None):
        raise DataError(
            f"the benchmark {config.name!r} has {'both' if named else 'neither'} `titles` "
            f"{'and' if named else 'nor'} `views`: set one of them "
            "under `wikipedia`."
        )
    if pages.views is not None:
        language = pages.snapshot.partition(".")[2]
        return candidates(read_views(pages.views, f"{language}.wikipedia"), pages)
    listed = list(pages.titles)
    if pages.titles_file is not None:
        listed = read_bytes(pages.titles_file).decode("utf-8-sig", "replace").splitlines()
    titles = pl.DataFrame({"title": listed}, schema={"title": pl.String})
    titles = titles.select(with_spaces(pl.col("title"))).filter(pl.col("title") != "")
    if titles.is_empty():
        raise DataError(f"{pages.titles_file} names no title: write one per line.")
    return titles.unique(maintain_order=True).with_row_index("rank")


def _selected_pages(config: WikipediaSettings, wanted: pl.DataFrame) -> pl.DataFrame:
    """The ``title`` and ``text`` of the selected pages, by rank."""
    pages = config.wikipedia
    most = wanted.height if pages.views is None else pages.pages
    selected = pl.DataFrame(schema={"rank": pl.UInt32, "title": pl.String, "text": pl.String})
    for file in _files(config):
        rows = _rows(config, file, wanted["title"].to_list())
        ranked = wanted.join(rows, on="title").select("rank", "title", "text")
        # Keep only the best so far: fifty candidates per page may be long articles.
        selected = pl.concat([selected, ranked]).sort("rank").unique("title", maintain_order=True)
        selected = selected.head(most)
        if pages.views is None and selected.height == most:
            break
    _check_selection(config, wanted, selected, most)
    return selected.drop("rank")


def _check_selection(
    config: WikipediaSettings, wanted: pl.DataFrame, selected: pl.DataFrame, most: int
) -> None:
    pages = config.wikipedia
    looked = f"the first {pages.max_shards} files of " if pages.max_shards else ""
    where = f"{looked}the snapshot {pages.snapshot}"
    if pages.views is None:
        missing = wanted.join(selected, on="title", how="anti").sort("rank")["title"].to_list()
        if missing:
            more = f" and {len(missing) - 20} more" if len(missing) > 20 else ""
            raise DataError(
                f"{', '.join(map(repr, missing[:20]))}{more} are in no file of {where}: write "
                "titles as Wikipedia does, without redirects, or take them from the list."
            )
    elif selected.height < most:
        raise DataError(
            f"only {selected.height} of the {wanted.height} {pages.popularity} pages looked for "
            f"are in {where}, and `pages` asks for {most}: ask for fewer or look in more files."
        )


def _rows(config: WikipediaSettings, file: str, titles: list[str]) -> pl.DataFrame:
    location = join(REPOSITORY.folder(config), file)
    return read_parquet(location, ("title", "text"), ("title", titles)).drop_nulls()


def _files(config: WikipediaSettings) -> list[str]:
    """List the paths of the snapshot's files in its repository, in order."""
    pages = config.wikipedia
    known = None if config.path else SHARDS.get(pages.snapshot)
    count = pages.shards or known
    if count is None:
        names = _listed(join(REPOSITORY.folder(config), pages.snapshot))
    else:
        names = [f"train-{number:05}-of-{count:05}.parquet" for number in range(count)]
    return [f"{pages.snapshot}/{name}" for name in names[: pages.max_shards]]


def _listed(folder: str) -> list[str]:
    try:
        filesystem, path = open_filesystem(absolute_location(folder))
        listed = [entry.rpartition("/")[2] for entry in filesystem.ls(path, detail=False)]
    except Exception as error:
        raise refusal(folder, error) from error
    names = sorted(n for n in listed if n.startswith("train-") and n.endswith(".parquet"))
    if not names:
        raise DataError(
            f"{folder} lists no file such as train-00000-of-00041.parquet: check `path` and "
            "`snapshot`, or say with `shards` how many files there are."
        )
    return names


def _shard_key(location: str) -> str:
    location = absolute_location(location)
    if is_remote(location):
        return content_key(location)
    try:
        with open(location, "rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _ENDS))
            tail = file.read()
            file.seek(0)
            return content_hash(size, file.read(_ENDS).hex(), tail.hex())
    except OSError as error:
        raise refusal(location, error) from error


def _lengths(pages: WikipediaPages) -> dict[str, int]:
    return LENGTH_STYLES if pages.popularity == "popular" else {"article": pages.article_tokens}
