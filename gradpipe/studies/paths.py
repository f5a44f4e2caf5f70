"""The local paths of a study, which start at the folder of its file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from gradpipe.benchmarks.hub_datasets import is_dataset_name
from gradpipe.benchmarks.sources.hub import HUB_FILES
from gradpipe.errors import StudyError
from gradpipe.studies.mistakes import Mistake, Place
from gradpipe.studies.model_entries import SERIES_KEYS
from gradpipe.studies.template_files import is_template_file

#: Keys of models whose default names are short.
_SHORT_NAMED = {*SERIES_KEYS, "series"}
#: Settings of the generator, the judge and `wikipedia` that are paths (or URLs).
_PATHS = {"generator": ("prompts", "few_shot", "batch_folder"), "judge": ("prompt",)}
_WIKIPEDIA_FILES = ("titles", "titles_file", "views")


class StudyPaths:
    """The content of a study with absolute paths; its invalid paths are ``mistakes``.

    An entry with an invalid path stays as it was written.
    """

    def __init__(self, content: dict[str, Any], folder: Path) -> None:
        self.mistakes: list[Mistake] = []
        self._folder = folder
        models = content.get("models")
        entries = models if isinstance(models, list) else []
        self._names = [e.get("name", e.get("id")) if isinstance(e, dict) else e for e in entries]
        self.content = dict(content)
        for key, names in _PATHS.items():
            if isinstance(content.get(key), dict):
                self.content[key] = self._try((key,), self._settings(names), content[key])
        for key, change in (("benchmarks", self._benchmark), ("models", self._model)):
            if isinstance(content.get(key), list):
                numbered = enumerate(content[key])
                self.content[key] = [self._try((key, n), change, entry) for n, entry in numbered]

    def _try(self, place: Place, change: Callable[[Any], Any], value: Any) -> Any:
        try:
            return change(value)
        except StudyError as error:
            self.mistakes.append(Mistake(place, str(error)))
            return value

    def _locate(self, path: Any) -> Any:
        if not isinstance(path, str) or "://" in path:
            return path
        try:
            return str((self._folder / Path(path).expanduser()).resolve())
        except (OSError, RuntimeError, ValueError) as error:
            raise StudyError(
                f"{path!r} is not a valid path ({path_reason(error)}): correct it."
            ) from error

    def _settings(self, names: tuple[str, ...]) -> Callable[[Any], Any]:
        """A change of settings in which the paths have these names."""
        return lambda value: value | {n: self._locate(value[n]) for n in names if n in value}

    def _benchmark(self, entry: Any) -> Any:
        if not isinstance(entry, dict):
            return entry
        located = dict(entry)
        # The path of any other benchmark of the hub is the name of a data set.
        on_hub = entry.get("source") == "hub" and entry.get("name") not in list(HUB_FILES)
        if "path" in entry and not on_hub and not self._is_other_dataset(entry):
            located["path"] = self._locate(entry["path"])
        pages = entry.get("wikipedia")
        if isinstance(pages, dict):
            # A list of titles is not a path and is kept.
            files = {name: self._locate(pages[name]) for name in _WIKIPEDIA_FILES if name in pages}
            located["wikipedia"] = {**pages, **files}
        return located

    def _is_other_dataset(self, entry: dict[str, Any]) -> bool:
        """Whether a known benchmark of the hub has a path that only a data set can be.

        As it is written, its error names the data set.
        """
        path = entry["path"]
        named = entry.get("source") == "hub" and isinstance(path, str) and is_dataset_name(path)
        return named and not (self._folder / path).exists()

    def _model(self, entry: Any) -> Any:
        value = {"id": entry} if isinstance(entry, str) else entry
        if not isinstance(value, dict):
            return entry
        changes = {}
        template, tokenizer = value.get("chat_template"), value.get("tokenizer")
        if isinstance(template, str) and is_template_file(template):
            changes["chat_template"] = self._locate(template)
        if isinstance(tokenizer, str) and is_written_as_path(tokenizer):
            changes["tokenizer"] = self._locate(tokenizer)
        identifier, base = value.get("id"), value.get("base")
        if isinstance(identifier, str) and (
            is_written_as_path(identifier) or "checkpoints" in value
        ):
            # Its name in tables and charts is as the user wrote it, wherever the study file is.
            if "name" not in value and not _SHORT_NAMED & value.keys():
                changes["name"] = identifier
            changes["id"] = self._locate(identifier)
        if isinstance(base, str) and base.startswith((".", "~")) and base not in self._names:
            changes["base"] = self._locate(base)
        return {**value, **changes} if changes else entry


def is_written_as_path(model: str) -> bool:
    """Whether the name of a model is read as a path in a study, even if it does not exist."""
    return model.startswith((".", "~")) or model.endswith(".gguf")


def path_reason(error: Exception) -> str:
    """Why a path cannot be used, as part of a sentence."""
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8 text"
    return getattr(error, "strerror", None) or str(error).rstrip(".")
