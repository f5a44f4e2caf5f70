"""Bytes come from anywhere, are what they should be, and are fetched once."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from gradpipe.benchmarks import fetch
from gradpipe.benchmarks.fetch import content_key, is_remote, join, read_bytes
from gradpipe.errors import DataError

CONTENT = b"some text\n"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def test_a_local_file_is_read_by_path_or_file_url(write: Any) -> None:
    path = write("a.txt", CONTENT)
    assert read_bytes(path) == read_bytes(str(path)) == read_bytes(f"file://{path}") == CONTENT


def test_a_tilde_is_the_home_folder(write: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write("a.txt", CONTENT)
    assert read_bytes("~/a.txt") == CONTENT


def test_only_other_machines_are_remote() -> None:
    assert is_remote("https://host/a")
    assert is_remote("github://org:repo@main/a")
    assert not is_remote("/a/b")
    assert not is_remote("file:///a/b")
    assert not is_remote(Path("a"))


def test_names_join_to_folders_and_urls() -> None:
    assert join("https://host/data/", "a/b.json") == "https://host/data/a/b.json"
    assert join(Path("/data"), "a/b.json") == "/data/a/b.json"


def test_a_missing_file_is_answered_with_the_nearest_name(write: Any) -> None:
    path = write("answers.json", CONTENT)
    with pytest.raises(DataError, match="did you mean 'answers.json'"):
        read_bytes(path.with_name("answer.json"))


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no folder .*nowhere either"):
        read_bytes(tmp_path / "nowhere" / "a.json")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is a folder: give the path of a file"):
        read_bytes(tmp_path)


def test_an_altered_file_is_refused_with_the_cure(write: Any) -> None:
    path = write("a.txt", b"altered")
    with pytest.raises(DataError, match="a.txt is not the pinned file.*checksums: false"):
        read_bytes(path, SHA256)


def test_a_pinned_remote_file_is_fetched_once(write: Any, site: Any, cache: Path) -> None:
    url = f"{site.serve(write('a.txt', CONTENT).parent)}/a.txt"
    assert read_bytes(url, SHA256) == read_bytes(url, SHA256) == CONTENT
    assert site.requests == ["GET /a.txt"]
    assert [entry.name for entry in cache.iterdir()] == [SHA256]


def test_a_damaged_cache_is_fetched_again(write: Any, site: Any, cache: Path) -> None:
    url = f"{site.serve(write('a.txt', CONTENT).parent)}/a.txt"
    cache.mkdir(parents=True)
    (cache / SHA256).write_bytes(b"half a fi")
    assert read_bytes(url, SHA256) == (cache / SHA256).read_bytes() == CONTENT


def test_an_unwritable_cache_does_not_stop_the_reading(write: Any, site: Any, cache: Path) -> None:
    url = f"{site.serve(write('a.txt', CONTENT).parent)}/a.txt"
    cache.parent.parent.mkdir()
    cache.parent.write_text("a file where the folder should be")
    assert read_bytes(url, SHA256) == CONTENT


def test_a_remote_file_that_is_not_the_pinned_one_is_not_kept(
    write: Any, site: Any, cache: Path
) -> None:
    url = f"{site.serve(write('a.txt', b'altered').parent)}/a.txt"
    with pytest.raises(DataError, match="is not the pinned file"):
        read_bytes(url, SHA256)
    assert not cache.exists()


def test_an_unpinned_remote_file_is_read_anew(write: Any, site: Any, cache: Path) -> None:
    path = write("a.txt", CONTENT)
    url = f"{site.serve(path.parent)}/a.txt"
    assert read_bytes(url) == CONTENT
    path.write_bytes(b"new")
    assert read_bytes(url) == b"new"
    assert not cache.exists()


def test_a_remote_file_that_is_not_there_is_named(tmp_path: Path, site: Any) -> None:
    url = f"{site.serve(tmp_path)}/b.txt"
    with pytest.raises(DataError, match="no file at http://127.0.0.1:.*/b.txt") as refused:
        read_bytes(url)
    assert not refused.value.transient


def test_an_unreachable_host_says_what_to_do(site: Any) -> None:
    with pytest.raises(
        DataError, match="cannot be read .*check the address and the connection"
    ) as refused:
        read_bytes("http://127.0.0.1:1/a.txt")
    assert refused.value.transient


def test_a_server_that_is_busy_may_answer_later(monkeypatch: Any) -> None:
    class Busy(Exception):
        status = 503

    def busy(url: str) -> None:
        raise Busy("Service Unavailable")

    monkeypatch.setattr(fetch, "open_filesystem", busy)
    with pytest.raises(DataError) as refused:
        read_bytes("http://host/a.txt")
    assert refused.value.transient


def test_an_unknown_protocol_says_so() -> None:
    with pytest.raises(DataError, match="Protocol not known"):
        read_bytes("htpps://host/a.txt")


def test_a_missing_package_is_named(monkeypatch: Any) -> None:
    def not_installed(url: str) -> None:
        raise ImportError("HTTPFileSystem requires aiohttp")

    monkeypatch.setattr(fetch, "open_filesystem", not_installed)
    with pytest.raises(DataError, match="needs a package .*aiohttp.*: install it"):
        read_bytes("https://host/a.txt")


def test_a_pinned_github_file_avoids_the_rate_limited_api(monkeypatch: Any) -> None:
    asked: list[str] = []

    def answer(url: str, most: int | None = None) -> bytes:
        asked.append(url)
        return CONTENT

    monkeypatch.setattr(fetch, "_read_remote", answer)
    commit = "e2072e8daa9f250cea025b2d3fa9590a901ca766"
    read_bytes(f"github://org:repo@{commit}/data/a.json", SHA256)
    read_bytes("github://org:repo@main/data/a.json")
    assert asked == [
        f"https://raw.githubusercontent.com/org/repo/{commit}/data/a.json",
        "github://org:repo@main/data/a.json",
    ]


def test_a_content_key_follows_the_content_of_a_local_file(write: Any) -> None:
    path = write("a.txt", CONTENT)
    assert content_key(path) == SHA256
    path.write_bytes(b"new")
    assert content_key(path) != SHA256


def test_a_content_key_of_a_remote_file_changes_with_it_and_downloads_nothing(
    write: Any, site: Any
) -> None:
    path = write("a.txt", CONTENT)
    url = f"{site.serve(path.parent)}/a.txt"
    before = content_key(url)
    assert content_key(url) == before
    path.write_bytes(CONTENT * 2)
    assert content_key(url) != before
    assert {request.split()[0] for request in site.requests} == {"HEAD"}


def test_a_content_key_of_a_missing_remote_file_is_an_error(tmp_path: Path, site: Any) -> None:
    with pytest.raises(DataError, match="there is no file at"):
        content_key(f"{site.serve(tmp_path)}/b.txt")
