"""One way in for every source."""

from typing import Any

import pytest

from gradpipe.benchmarks.config import BenchmarkConfig
from gradpipe.benchmarks.items import FAMILIES
from gradpipe.benchmarks.read import default_source, read_items, source_version
from gradpipe.benchmarks.settings import BenchmarkSettings
from gradpipe.benchmarks.sources import SOURCES
from gradpipe.errors import DataError


def test_a_study_may_name_every_source_by_its_own_name() -> None:
    names = [source.name for source in SOURCES]
    schema = BenchmarkConfig.model_json_schema()
    assert schema["properties"]["source"]["enum"] == names
    assert len(set(names)) == len(names)


def test_every_setting_is_read_by_a_source() -> None:
    """A source's settings must also be a base class of BenchmarkConfig."""
    assert all(issubclass(BenchmarkConfig, source.settings) for source in SOURCES)
    settings = {name for source in SOURCES for name in source.settings.model_fields}
    assert settings == set(BenchmarkConfig.model_fields)


@pytest.mark.parametrize(
    ("setting", "readers"),
    [
        ({"revision": "main"}, ["hub", "wikipedia"]),
        ({"split": "test"}, ["hub"]),
        ({"line_breaks": "escaped"}, ["flan", "hub"]),
        ({"quotes": "csv"}, ["flan"]),
        ({"wikipedia": {"titles": ["Mars"]}}, ["wikipedia"]),
    ],
)
def test_a_setting_that_the_source_does_not_read_is_refused(
    setting: dict[str, Any], readers: list[str]
) -> None:
    named = " or ".join(map(repr, readers))
    assert not set(setting) & set(BenchmarkSettings.model_fields)
    for source in SOURCES:
        if source.name in readers:
            BenchmarkConfig(name="a", source=source.name, **setting)
        else:
            with pytest.raises(
                DataError, match=f"`{next(iter(setting))}`.*take the source {named}"
            ):
                BenchmarkConfig(name="a", source=source.name, **setting)


def test_every_known_benchmark_has_a_family() -> None:
    assert {f for source in SOURCES for f in source.families.values()} == set(FAMILIES)


def test_a_bare_name_has_a_source() -> None:
    assert default_source("mini_maths") == "mini"
    assert default_source("gsm8k") == "release"
    with pytest.raises(DataError, match="no benchmark is called 'gsm8'.*did you mean 'gsm8k'"):
        default_source("gsm8")


@pytest.mark.parametrize("source", ["mini", "release", "flan"])
def test_an_unknown_name_is_answered_with_the_nearest(source: str) -> None:
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


def test_only_questions_that_were_doubled_get_another_version(write: Any) -> None:
    path = str(write("a.csv", "input,output,none\nOne?,1,It is one.\n"))

    def version(**columns: Any) -> str:
        config = BenchmarkConfig(name="a", source="files", path=path, columns=columns)
        return source_version(config)

    assert version(instruction="input") != "4e94eb0ad25aae996699"
    assert version(instruction="input", output="output") == "14135a5b6abe29031ecd"


def test_a_missing_file_has_no_version(tmp_path: Any) -> None:
    config = BenchmarkConfig(name="a", source="files", path=str(tmp_path / "a.csv"))
    with pytest.raises(DataError, match="does not exist"):
        source_version(config)
