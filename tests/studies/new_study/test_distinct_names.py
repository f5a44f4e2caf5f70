"""Each entry of a new study has a name of its own."""

from gradpipe.studies.new_study.data_entry import DataEntry
from gradpipe.studies.new_study.distinct_names import with_distinct_names
from gradpipe.studies.new_study.model_entry import ModelChoice


def data(name: str, path: str) -> DataEntry:
    return DataEntry({"name": name, "source": "files", "path": path}, name)


def test_a_name_that_is_taken_gets_a_number() -> None:
    entries = [data(name, f"{n}.csv") for n, name in enumerate(("p", "p", "p-2", "p"))]
    distinct = with_distinct_names(entries)
    assert [entry.name for entry in distinct] == ["p", "p-3", "p-2", "p-4"]
    settings = [entry.setting for entry in distinct]
    assert settings[1] == {"name": "p-3", "source": "files", "path": "1.csv"}
    assert settings[0] == entries[0].setting


def test_a_built_in_benchmark_keeps_its_name() -> None:
    entries = [data("mini_maths", "mini_maths.csv"), DataEntry("mini_maths", "mini_maths")]
    assert [entry.name for entry in with_distinct_names(entries)] == ["mini_maths-2", "mini_maths"]


def test_a_series_gets_a_name_too() -> None:
    series = {"id": "./b/sft", "checkpoints": "checkpoint-*"}
    entries = [
        ModelChoice({"id": "./a/sft", "name": "sft"}, "sft", ""),
        ModelChoice(series, "sft", ""),
    ]
    assert with_distinct_names(entries)[1].setting == {**series, "name": "sft-2"}


def test_the_same_entry_twice_stays_a_mistake() -> None:
    entries = [data("p", "a.csv"), data("p", "a.csv")]
    assert with_distinct_names(entries) == entries
