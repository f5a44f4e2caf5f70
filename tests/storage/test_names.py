"""Slugs: every name there and back, and nothing in between that a path or Dagster would trip on."""

import os
import re
from pathlib import Path
from urllib.parse import unquote

import dagster as dg
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gradpipe.errors import WorkspaceError
from storage.names import slug, unslug

#: What has a meaning in paths, in Dagster's partition keys, in URLs or in slugs themselves.
AWKWARD = [
    *"/\\.|[],=~%:*?<>\"'\0\a\n\t -_aA0",
    *("..", "...", "%2e", "=2e", "~", "=7e", "é", "日", "🙂", "\ud800", "\udc00", "\x85", "\u2028"),
]
ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()), min_size=1, max_size=16)
NAMES = ANY_TEXT | st.lists(st.sampled_from(AWKWARD), min_size=1, max_size=8).map("".join)
SAFE = re.compile(r"[A-Za-z0-9._=~@-]+")


@settings(deadline=None, derandomize=True)
@given(NAMES)
@example("\ud800\udc00")
@example("\U00010000")
@example("=2e=2e/~")
@example("a...b")
@example("sft@100")
@example("a/b@1")
@example("a@b@1")
def test_every_name_comes_back(name: str) -> None:
    assert unslug(slug(name)) == name


@settings(deadline=None, derandomize=True)
@given(NAMES, NAMES)
@example("a/b", "a~b")
@example("=2e", ".")
@example("\ud800\udc00", "\U00010000")
@example("..", "=2e.")
@example("a@1", "a=401")
@example("a@1", "a=40@1")
def test_no_two_names_share_a_slug(one: str, other: str) -> None:
    assert (slug(one) == slug(other)) == (one == other)


@settings(deadline=None, derandomize=True)
@given(NAMES)
@example(".")
@example("..")
@example("a...b")
@example("\0\a\b\f\n\r\t\v")
def test_a_slug_is_safe_in_a_path_and_as_a_partition_key(name: str) -> None:
    encoded = slug(name)
    assert SAFE.fullmatch(encoded)
    assert not encoded.startswith(".")
    assert ".." not in encoded
    dg.StaticPartitionsDefinition([encoded])


@settings(deadline=None, derandomize=True)
@given(NAMES, NAMES)
def test_a_grid_partition_knows_its_two_names(model: str, benchmark: str) -> None:
    key = dg.MultiPartitionKey({"benchmark": slug(benchmark), "model": slug(model)})
    grid = dg.MultiPartitionsDefinition(
        {
            "benchmark": dg.StaticPartitionsDefinition([slug(benchmark)]),
            "model": dg.StaticPartitionsDefinition([slug(model)]),
        }
    )
    (read,) = grid.get_partition_keys()
    assert read == key
    assert isinstance(read, dg.MultiPartitionKey)
    assert unslug(read.keys_by_dimension["model"]) == model
    assert unslug(read.keys_by_dimension["benchmark"]) == benchmark


ESCAPES = [
    *("..", "../..", "/etc/passwd", "~/.ssh", "~root", "a/../../b", ".", "./", "//", "\\..\\.."),
    *("%2e%2e%2f%2e%2e", "%2e%2e/", "..%2f", "..%c0%af", "%00", "file:///etc", "C:\\x", "a\0b"),
    *("=2e=2e~", "=2e=2e/", "~=2e=2e", "\u2024\u2024/", "\uff0e\uff0e\uff0f", "CON", "a|b", "a,b"),
]


@settings(deadline=None, derandomize=True)
@given(NAMES | st.lists(st.sampled_from(ESCAPES), min_size=1, max_size=3).map("".join))
@example("..")
def test_a_name_never_leaves_the_folder_that_it_is_a_file_of(name: str) -> None:
    folder = Path("/workspace/responses")
    encoded = slug(name)
    for written in (encoded, unquote(encoded), f"{encoded}.parquet"):
        file = folder / written
        assert file.parent == folder
        assert Path(os.path.normpath(file)) == file
        assert (folder / written).expanduser() == file


@settings(deadline=None, derandomize=True)
@given(st.text(max_size=20) | st.text(st.sampled_from("=~0123456789abcdefABCDEF.-x"), max_size=20))
@example("=ff")
@example("=c3")
@example("=C3=BC")
def test_what_is_no_slug_is_read_as_some_name_or_refused(encoded: str) -> None:
    try:
        name = unslug(encoded)
    except WorkspaceError as error:
        message = str(error)
    else:
        message = ""
        assert not name or len(name) > 16 or unslug(slug(name)) == name
    assert not message or "is not a name of a model or benchmark" in message


@settings(deadline=None, derandomize=True)
@given(NAMES, NAMES)
@example("Demo", "demo")
@example("É", "é")
@example("\u017f", "s")
@example("K", "\u212a")
def test_slugs_that_differ_in_case_only_are_of_names_that_do(one: str, other: str) -> None:
    """So that a study without such names has no two files that a file system could mix up."""
    folded = [name.encode("utf-8", "surrogatepass").lower() for name in (one, other)]
    assert (slug(one).lower() == slug(other).lower()) == (folded[0] == folded[1])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gsm8k", "gsm8k"),
        ("Qwen/Qwen2-1.5B-Instruct", "Qwen~Qwen2-1.5B-Instruct"),
        ("org/name@main", "org~name=40main"),
        (".hidden", "=2ehidden"),
        ("..", "=2e=2e"),
        ("a...b", "a.=2e=2eb"),
        ("a b", "a=20b"),
        ("ü", "=c3=bc"),
    ],
)
def test_a_slug_can_be_read_by_people(name: str, expected: str) -> None:
    assert slug(name) == expected


def test_an_empty_name_is_refused() -> None:
    with pytest.raises(WorkspaceError, match="give a shorter one"):
        slug("")


@pytest.mark.parametrize("name", ["x" * 201, "ü" * 40, "x" * 100_000])
def test_a_name_that_no_file_system_would_take_is_refused(name: str) -> None:
    with pytest.raises(WorkspaceError, match="too long: give a shorter one") as caught:
        slug(name)
    assert len(str(caught.value)) < 150


def test_the_longest_slug_still_fits_in_a_file_name_with_what_is_put_around_it() -> None:
    longest = slug("x" * 200)
    assert len(f".{longest}.parquet.{2**22}.{'0' * 8}.tmp") <= 255


def test_a_step_of_a_series_is_a_partition_of_its_own_name() -> None:
    assert slug("sft@100") == "sft@100"
    assert slug("my_run-2.b@0.5") == "my_run-2.b@0.5"
    # Names of earlier versions keep their slugs: their rows are stored under them.
    assert slug("org/name@main") == "org~name=40main"
    assert slug("org/name@1") == "org~name=401"
    assert slug("name@v1") == "name=40v1"
