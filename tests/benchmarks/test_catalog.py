"""The list of built-in benchmarks is that of the sources."""

import pytest

from gradpipe.benchmarks.catalog import built_in_benchmarks, find_built_in
from gradpipe.benchmarks.sources import SOURCES
from gradpipe.errors import DataError
from gradpipe.styles import STYLES


def test_every_benchmark_of_every_source_is_listed_once() -> None:
    listed = [(one.source, one.name) for one in built_in_benchmarks()]
    known = [(source.name, name) for source in SOURCES for name in source.families]
    assert sorted(listed) == sorted(known)


def test_what_is_listed_is_what_the_source_has() -> None:
    by_source = {source.name: source for source in SOURCES}
    for one in built_in_benchmarks():
        assert one.family == by_source[one.source].families[one.name]
        assert one.by_name == by_source[one.source].implied_by_name
        assert set(one.styles) <= set(STYLES)
        assert one.items is None or one.items >= 6


def test_a_name_alone_finds_what_a_study_would_read() -> None:
    assert find_built_in("gsm8k").source == "release"
    assert find_built_in("mini_popular").items == 6
    with pytest.raises(DataError, match="'gsm8k'"):
        find_built_in("gsm8")
