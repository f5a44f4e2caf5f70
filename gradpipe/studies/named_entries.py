"""Entries of a study's lists: by their name, and as they are written."""

from typing import Any, TypeVar

from gradpipe.benchmarks.config import BenchmarkConfig
from gradpipe.benchmarks.read import default_source
from gradpipe.errors import StudyError, nearest
from gradpipe.studies.model_config import ModelConfig

Named = TypeVar("Named", ModelConfig, BenchmarkConfig)


def find_named(entries: tuple[Named, ...], name: str, kind: str) -> Named:
    """The entry of this name; raises StudyError, which calls it a ``kind``, without one."""
    for entry in entries:
        if entry.name == name:
            return entry
    known = [entry.name for entry in entries]
    raise StudyError(f"The study has no {kind} {name!r}: {nearest(name, known)}")


def with_default_source(entry: Any) -> Any:
    """A benchmark's mapping, from its bare name or with the source that its name implies."""
    entry = {"name": entry} if isinstance(entry, str) else entry
    if isinstance(entry, dict) and "source" not in entry and isinstance(entry.get("name"), str):
        return {"source": default_source(entry["name"]), **entry}
    return entry
