"""One way in for every source."""

from typing import Any, get_args

import pytest

from gradpipe.benchmarks.config import BenchmarkConfig, Source
from gradpipe.benchmarks.items import FAMILIES
from gradpipe.benchmarks.read import SOURCES, default_source, read_items, source_version
from gradpipe.errors import DataError


def test_every_source_that_a_study_may_name_has_a_reader() -> None:
    assert set(SOURCES) == set(get_args(Source))


def test_every_known_benchmark_has_a_family() -> None:
    assert {f for reader in SOURCES.values() for f in reader.families.values()} == set(FAMILIES)


def test_a_bare_name_has_a_source() -> None:
    assert default_source("mini_maths") == "mini"
    assert default_source("gsm8k") == "release"
    with pytest.raises(DataError, match="no benchmark is called 'gsm8'.*did you mean 'gsm8k'"):
        default_source("gsm8")


@pytest.mark.parametrize("source", ["mini", "release", "flan"])
def test_an_unknown_name_is_answered_with_the_nearest(source: Source) -> None:
    wrong = {"mini": "mini_math", "release": "math_algebr", "flan": "aquaa"}[source]
    right = {"mini": "mini_maths", "release": "math_algebra", "flan": "aqua"}[source]
    config = BenchmarkConfig(name=wrong, source=source)
    for question in (read_items, source_version):
        with pytest.raises(DataError, match=f"no benchmark {wrong!r}: did you mean {right!r}"):
            question(config)


def test_a_version_changes_with_what_would_be_read_and_not_with_the_sample(write: Any) -> None:
    path = write("a.csv", "instruction,none,long\nOne?,1,It is one.\n")
    config = BenchmarkConfig(name="a", source="files", path=str(path))
    version = source_version(config)
    assert source_version(config.model_copy(update={"sample": 5, "styles": ["none"]})) == version
    columns = {"responses": {"detailed": "long"}}
    others: list[dict[str, Any]] = [{"name": "b"}, {"family": "math"}, {"columns": columns}]
    changed = [
        source_version(BenchmarkConfig(**{**config.model_dump(), **other})) for other in others
    ]
    path.write_text("instruction,none,long\nOne?,1,It is two.\n")
    assert len({version, *changed, source_version(config)}) == 5


def test_a_missing_file_has_no_version(tmp_path: Any) -> None:
    config = BenchmarkConfig(name="a", source="files", path=str(tmp_path / "a.csv"))
    with pytest.raises(DataError, match="does not exist"):
        source_version(config)
