"""Wikipedia's pages are chosen by a list or by their views, and cut to the study's lengths."""

import bz2
import gzip
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from gradpipe.benchmarks.config import BenchmarkConfig
from gradpipe.benchmarks.read import read_items, source_version
from gradpipe.benchmarks.sources import page_views, wikipedia
from gradpipe.benchmarks.sources.page_views import read_views
from gradpipe.benchmarks.sources.wikipedia_settings import WikipediaPages
from gradpipe.benchmarks.texts import estimated_tokens
from gradpipe.errors import DataError

SENTENCE = "Sentence {} of this article says a little more about what it is called. "
#: Title → sentences, in the order of the snapshot's files, two files of four.
PAGES = {
    "Anarchism": 200,
    "Alan Turing": 80,
    "Tiny moth": 2,
    "Plain beetle": 3,
    "Ada Lovelace": 120,
    "Some station": 4,
    "C++ (language)": 90,
    "Small creek": 90,
}
DUMP = """\
de.wikipedia Anarchism 9 desktop 900000 A1
en.wikipedia Ada_Lovelace 974 desktop 5000 A1
en.wikipedia Ada_Lovelace 974 mobile-web 2000 A1
en.wikipedia Alan_Turing 1208 desktop 6000 A6000
en.wikipedia Anarchism 12 desktop 800 A1
en.wikipedia Main_Page 15580374 desktop 9000000 A1
en.wikipedia Not_in_the_snapshot 7 desktop 6500 A1
en.wikipedia Plain_beetle desktop 7 A7
en.wikipedia Small_creek null mobile-web 12 A1
en.wikipedia Some_station 8 mobile-app 30 A1
en.wikipedia Special:Search null desktop 8000000 A1
en.wikipedia Talk:Alan_Turing 5 desktop 7000000 A1
en.wikipedia Tiny_moth 3 desktop 3 A1
en.wikipedia Tiny_moth 3 mobile-web 2 A1
en.wikipedia.org Elsewhere 1 desktop 5 A1
"""


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    """A repository laid out as wikimedia/wikipedia, with two files."""
    rows = [
        {
            "id": str(number),
            "url": f"https://en.wikipedia.org/wiki/{title}",
            "title": title,
            "text": "".join(SENTENCE.format(n) for n in range(count)) + "\n\nA last line",
        }
        for number, (title, count) in enumerate(PAGES.items())
    ]
    folder = tmp_path / "wikipedia" / "20231101.en"
    folder.mkdir(parents=True)
    for part in range(2):
        table = pl.DataFrame(rows[4 * part : 4 * part + 4])
        table.write_parquet(folder / f"train-{part:05}-of-00002.parquet", row_group_size=2)
    return folder.parent


@pytest.fixture
def dump(write: Any) -> Path:
    path: Path = write("pageviews-202311-user.bz2", bz2.compress(DUMP.encode()))
    return path


def config(path: Path | str | None, **pages: Any) -> BenchmarkConfig:
    given = None if path is None else str(path)
    return BenchmarkConfig(name="encyclopedia", source="wikipedia", path=given, wikipedia=pages)


def texts(items: pl.DataFrame, row: int = 0) -> dict[str, str]:
    return {response["style"]: response["text"] for response in items["responses"][row]}


def test_pages_of_a_list_come_in_its_order(snapshot: Path) -> None:
    items = read_items(config(snapshot, titles=["C++ (language)", "Alan_Turing"]))
    assert items["answer"].to_list() == ["C++ (language)", "Alan Turing"]
    assert items["instruction"].to_list() == [
        "Tell me about C++ (language).",
        "Tell me about Alan Turing.",
    ]
    assert items["family"].unique().to_list() == ["knowledge"]
    assert items["rationale"].null_count() == 2


def test_a_popular_page_is_cut_at_three_lengths(snapshot: Path) -> None:
    cut = texts(read_items(config(snapshot, titles=["Anarchism"])))
    assert list(cut) == ["length_100", "length_500", "length_1000"]
    for style, text in cut.items():
        assert text.endswith("what it is called.")
        assert int(style[7:]) <= estimated_tokens(text) < int(style[7:]) + 20
    assert cut["length_1000"].startswith(cut["length_500"])
    assert cut["length_500"].startswith(cut["length_100"])


def test_an_unpopular_page_is_taken_whole_up_to_a_limit(snapshot: Path) -> None:
    titles = ["Tiny moth", "Small creek"]
    moth, creek = (
        texts(read_items(config(snapshot, titles=titles, popularity="unpopular")), row)
        for row in (0, 1)
    )
    assert list(moth) == ["article"]
    assert moth["article"].endswith("called. \n\nA last line")
    assert 1000 <= estimated_tokens(creek["article"]) < 1020
    short = config(snapshot, titles=titles, popularity="unpopular", article_tokens=20)
    assert estimated_tokens(texts(read_items(short), 1)["article"]) < 40


def test_titles_may_be_a_file(snapshot: Path, write: Any) -> None:
    path = write("titles.txt", "Alan_Turing\n\nAda Lovelace\nAlan Turing\n")
    chosen = config(snapshot, titles=str(path))
    assert read_items(chosen)["answer"].to_list() == ["Alan Turing", "Ada Lovelace"]
    before = source_version(chosen)
    path.write_text("Ada Lovelace\n")
    assert source_version(chosen) != before


def test_every_title_that_is_not_there_is_named(snapshot: Path) -> None:
    with pytest.raises(DataError, match="'Alan Touring', 'Nobody' are in no file of the snapshot"):
        read_items(config(snapshot, titles=["Alan Touring", "Anarchism", "Nobody"]))
    many = [f"Nobody {n}" for n in range(50)]
    with pytest.raises(DataError, match="'Nobody 19' and 30 more are in no file"):
        read_items(config(snapshot, titles=many))


def test_the_most_viewed_pages_are_popular(snapshot: Path, dump: Path) -> None:
    items = read_items(config(snapshot, views=str(dump), pages=3))
    assert items["answer"].to_list() == ["Ada Lovelace", "Alan Turing", "Anarchism"]


def test_unpopular_pages_are_drawn_from_the_long_tail(snapshot: Path, dump: Path) -> None:
    def drawn(seed: int, pages: int = 3, **more: Any) -> list[str]:
        chosen = config(
            snapshot, views=str(dump), popularity="unpopular", pages=pages, seed=seed, **more
        )
        return read_items(chosen)["answer"].to_list()

    tail = {"Tiny moth", "Plain beetle", "Small creek", "Some station"}
    assert set(drawn(0, pages=4)) == tail
    assert drawn(0) == drawn(0, pages=4)[:3]
    assert len({tuple(drawn(seed)) for seed in range(6)}) > 1
    assert set(drawn(0, pages=2, min_views=6, max_views=12)) == {"Plain beetle", "Small creek"}
    with pytest.raises(DataError, match="no article with 31 to 40 views: set `min_views`"):
        drawn(0, min_views=31, max_views=40)


def test_fewer_pages_than_asked_for_are_an_error(snapshot: Path, dump: Path) -> None:
    with pytest.raises(DataError, match="only 7 of the 8 popular pages.*`pages` asks for 8"):
        read_items(config(snapshot, views=str(dump), pages=8))
    with pytest.raises(DataError, match="only 4 of the 8 popular pages.* the first 1 files"):
        read_items(config(snapshot, views=str(dump), pages=5, max_shards=1, max_views=9))


def test_some_of_the_files_may_be_enough(snapshot: Path, dump: Path) -> None:
    items = read_items(config(snapshot, views=str(dump), pages=2, max_shards=1))
    assert items["answer"].to_list() == ["Alan Turing", "Anarchism"]


def test_files_after_the_last_title_are_not_opened(snapshot: Path) -> None:
    (snapshot / "20231101.en" / "train-00001-of-00002.parquet").write_text("no parquet")
    assert read_items(config(snapshot, titles=["Anarchism"])).height == 1
    with pytest.raises(DataError, match="00001-of-00002.parquet is not a Parquet file"):
        read_items(config(snapshot, titles=["Ada Lovelace"]))


@pytest.mark.parametrize("kind", ["bz2", "gz", "txt", "csv", "parquet"])
def test_views_are_read_from_any_kind_of_file(
    kind: str, write: Any, monkeypatch: Any, site: Any
) -> None:
    # Blocks that end in the middle of a line, as those of a real dump do.
    monkeypatch.setattr(page_views, "BLOCK_BYTES", 37)
    monkeypatch.setattr(page_views, "BLOCKS_PER_SUM", 2)
    views = {"Ada Lovelace": 7000, "Tiny moth": 5}
    table = pl.DataFrame({"title": list(views), "views": list(views.values())})
    path = write(f"views.{kind}", "")
    if kind == "csv":
        table.write_csv(path)
    elif kind == "parquet":
        table.write_parquet(path)
    else:
        compress: dict[str, Callable[[bytes], bytes]] = {"bz2": bz2.compress, "gz": gzip.compress}
        path.write_bytes(compress.get(kind, bytes)(DUMP.encode()))
    for location in (str(path), f"{site.serve(path.parent)}/{path.name}"):
        found = dict(read_views(location, "en.wikipedia").rows())
        assert found["Ada Lovelace"] == 7000
        assert found["Tiny moth"] == 5
        if kind not in ("csv", "parquet"):
            assert found["Plain beetle"] == 7
            assert len(found) == 8
            assert not {"Main Page", "Special:Search", "Talk:Alan Turing", "Elsewhere"} & set(found)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("views.txt", "de.wikipedia A 1 desktop 5 A5\n", "no views of an article of en.wikipedia"),
        ("views.csv", "page,views\nA,1\n", "no column 'title'"),
        ("views.csv", "title,views\nA,many\n", "`views` of .* a value that is not a whole number"),
        ("views.bz2", "no archive", "views.bz2 cannot be read"),
    ],
)
def test_views_that_are_none_are_refused(name: str, text: str, message: str, write: Any) -> None:
    with pytest.raises(DataError, match=message):
        read_views(str(write(name, text)), "en.wikipedia")


def test_missing_views_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no file at .*/views.bz2"):
        read_views(str(tmp_path / "views.bz2"), "en.wikipedia")


@pytest.mark.parametrize(
    ("pages", "message"),
    [
        ({}, "neither `titles` nor `views`"),
        ({"titles": ["A"], "views": "views.csv"}, "both `titles` and `views`"),
    ],
)
def test_what_to_take_is_said_once(pages: dict[str, Any], message: str, snapshot: Path) -> None:
    with pytest.raises(DataError, match=message):
        read_items(config(snapshot, **pages))


def test_bounds_out_of_order_are_refused() -> None:
    with pytest.raises(DataError, match="`min_views` 9 above `max_views` 3"):
        WikipediaPages(min_views=9, max_views=3)


def test_a_folder_without_a_snapshot_is_refused(tmp_path: Path, snapshot: Path) -> None:
    with pytest.raises(DataError, match="there is no file at .*/20231101.en"):
        read_items(config(tmp_path, titles=["A"]))
    (tmp_path / "20231101.en").mkdir()
    with pytest.raises(DataError, match="lists no file such as train-00000-of-00041"):
        read_items(config(tmp_path, titles=["A"]))
    with pytest.raises(DataError, match="there is no file at .*train-00000-of-00003"):
        read_items(config(snapshot, titles=["A"], shards=3))


class _Ranged(SimpleHTTPRequestHandler):
    """A web server that hands over parts of files, as the hub does, and lists no folder."""

    ranges: list[str]

    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path))
        asked = self.headers.get("Range")
        if path.is_dir() or asked is None:
            super().do_GET()
            return
        data = path.read_bytes()
        first, _, last = asked.removeprefix("bytes=").partition("-")
        part = data[int(first) : int(last) + 1 if last else None]
        self.ranges.append(asked)
        self.send_response(206)
        end = int(first) + len(part) - 1
        self.send_header("Content-Range", f"bytes {first}-{end}/{len(data)}")
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.wfile.write(part)

    def list_directory(self, path: Any) -> None:
        self.send_error(404)

    def end_headers(self) -> None:
        self.send_header("Accept-Ranges", "bytes")
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def ranged(snapshot: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, list[str]]]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    ranges: list[str] = []
    handler = partial(type("Ranged", (_Ranged,), {"ranges": ranges}), directory=str(snapshot))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", ranges
    server.shutdown()
    server.server_close()


def test_web_servers_with_and_without_parts_give_the_same_pages(
    snapshot: Path, dump: Path, site: Any, ranged: Any
) -> None:
    items = read_items(config(snapshot, views=str(dump), pages=3))
    assert read_items(config(site.serve(snapshot), views=str(dump), pages=3)).equals(items)
    url, ranges = ranged
    assert read_items(config(url, views=str(dump), pages=3, shards=2)).equals(items)
    assert ranges
    with pytest.raises(DataError, match="there is no file at .*20231101.en"):
        read_items(config(url, views=str(dump), pages=3))


def test_a_version_follows_the_settings_the_views_and_the_files(
    snapshot: Path, dump: Path, site: Any
) -> None:
    url = site.serve(snapshot)
    chosen: list[dict[str, Any]] = [
        {"titles": ["Anarchism"]},
        {"titles": ["Anarchism"], "popularity": "unpopular"},
        {"views": str(dump)},
        {"views": str(dump), "seed": 1},
        {"views": str(dump), "max_shards": 1},
    ]
    versions = [source_version(config(path, **c)) for path in (snapshot, url) for c in chosen]
    assert len(set(versions)) == len(versions)
    assert versions == [
        source_version(config(path, **c)) for path in (snapshot, url) for c in chosen
    ]
    first = snapshot / "20231101.en" / "train-00000-of-00002.parquet"
    pl.read_parquet(first).with_columns(text=pl.lit("new")).write_parquet(first)
    dump.write_bytes(bz2.compress(DUMP.replace("5000", "5001").encode()))
    again = [source_version(config(path, **c)) for path in (snapshot, url) for c in chosen]
    assert not set(again) & set(versions)


def test_the_hubs_own_snapshot_is_known_by_its_commit() -> None:
    version = wikipedia.Wikipedia().content(config(None, titles=["Anarchism"]))
    assert version["wikimedia/wikipedia/20231101.en"] == wikipedia.REPOSITORY.revision
    files = wikipedia._files(config(None, titles=["Anarchism"]))
    assert (len(files), files[-1]) == (41, "20231101.en/train-00040-of-00041.parquet")
