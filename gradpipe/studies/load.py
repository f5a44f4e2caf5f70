"""Reading study files, with errors that name the mistake, and writing them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from gradpipe.benchmarks.sources.hub import HUB_FILES
from gradpipe.errors import DataError, StudyError, nearest
from gradpipe.generators.secrets import holds_key
from gradpipe.studies.model_config import ModelConfig
from gradpipe.studies.model_entries import ENTRY_TAGS, SERIES_KEYS
from gradpipe.studies.shipped import shipped_studies, shipped_study
from gradpipe.studies.study import Study
from gradpipe.studies.template_files import is_template_file
from gradpipe.untrusted.files import read_regular
from gradpipe.untrusted.yaml import LARGEST_STUDY, RefusedYAMLError, read_yaml

#: Keys of models whose default names are short.
_SHORT_NAMED = {*SERIES_KEYS, "series"}
#: Characters of a study's name.
_LONGEST_NAME = 100
#: Settings of the generator and of `wikipedia` that are paths (or URLs).
_GENERATOR_PATHS = ("prompts", "few_shot", "batch_folder")
_WIKIPEDIA_FILES = ("titles", "titles_file", "views")


def load_study(study: str) -> Study:
    """Load a study from its YAML file, or by the name of one that ships.

    Relative paths inside the file start at the file's own folder. A leading ``~`` of a path is the
    home folder; nothing else is expanded, neither ``$HOME`` nor any other variable. A study without
    a ``name`` is named like its file, or like its folder if the file is ``study.yaml``.

    Args:
        study: The path of a .yaml or .yml file, or ``demo``, ``demo_generated``, ``paper``,
            ``quality`` or ``thinking``.

    Returns:
        The study, validated and with every default filled in.

    Raises:
        StudyError: The file is missing or too large, or a key or value in it is invalid.

    Examples:
        >>> study = gp.load_study("demo")
        >>> [benchmark.name for benchmark in study.benchmarks][:2]
        ['mini_maths', 'mini_commonsense']
    """
    try:
        path = Path(study).expanduser()
        given = path.suffix in {".yaml", ".yml"} or path.is_file()
        text = read_regular(path, LARGEST_STUDY).decode("utf-8") if given else ""
    except (OSError, RuntimeError, UnicodeDecodeError) as error:
        raise StudyError(
            f"The study file {study} cannot be read ({_reason(error)}): check the path."
        ) from error
    if given:
        return _named_by_file(parse_study(text, study, path.resolve().parent), path.absolute())
    names = shipped_studies()
    if study not in names:
        raise StudyError(
            f"There is no study {study!r}, neither a .yaml file nor a shipped study: "
            f"{nearest(study, names)}"
        )
    return parse_study(shipped_study(study), study)


def _named_by_file(study: Study, path: Path) -> Study:
    """A study without a name with that of its file; ``name`` is still not in its set fields."""
    if "name" in study.model_fields_set:
        return study
    stem = path.parent.name if path.stem == study.name else path.stem
    named = study.model_copy(update={"name": (stem or study.name)[:_LONGEST_NAME]})
    named.model_fields_set.discard("name")
    return named


def parse_study(text: str, source: str, folder: Path | None = None) -> Study:
    """Parse a study from YAML.

    ``source`` is its name in errors, ``folder`` the start of its relative paths. Raises StudyError.
    """
    if holds_key(text):
        # Wherever it is in the file, errors, pages and logs would repeat it.
        raise StudyError(
            f"The study {source} contains what looks like a key or token: put it into an "
            "environment variable, such as OPENAI_API_KEY or HF_TOKEN, and delete it from the file."
        )
    try:
        content = read_yaml(text)
    except RefusedYAMLError as error:
        raise StudyError(
            f"The study {source} is refused at line {error.line} ({error.problem}): {error.cure}."
        ) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        # ValueError: an invalid date or number, such as 2024-13-45.
        mark = getattr(error, "problem_mark", None)
        line = f" at line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise StudyError(
            f"The study {source} is not valid YAML{line} ({problem}): check its indentation, "
            "quotes and brackets."
        ) from error
    if not isinstance(content, dict):
        raise StudyError(
            f"The study {source} is not a mapping: start it with `models:` and `benchmarks:`."
        )
    try:
        return Study.model_validate(_absolute(content, folder) if folder else content)
    except ValidationError as error:
        raise StudyError(_sentence(error, source)) from None
    except (StudyError, DataError) as error:
        raise StudyError(f"In the study {source}: {error}") from None


def study_yaml(study: Study) -> str:
    """The study as YAML, from which ``parse_study`` makes the same study, series unexpanded."""
    content = study.with_models(study.entries).model_dump(mode="json", exclude_defaults=True)
    content["protocol"] = study.protocol.model_dump(mode="json")
    text: str = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    if "\x85" in text:
        # PyYAML writes this line break unescaped and reads it back as another one.
        text = yaml.safe_dump(content, sort_keys=False, allow_unicode=False)
    return text


def _absolute(content: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The content with relative local paths resolved against ``folder``."""

    def locate(path: Any) -> Any:
        if not isinstance(path, str) or "://" in path:
            return path
        try:
            return str((folder / Path(path).expanduser()).resolve())
        except (OSError, RuntimeError, ValueError) as error:
            raise StudyError(
                f"{path!r} is not a valid path ({_reason(error)}): correct it."
            ) from error

    def benchmark(entry: Any) -> Any:
        if not isinstance(entry, dict):
            return entry
        located = dict(entry)
        # The path of any other benchmark of the hub is the name of a data set.
        on_hub = entry.get("source") == "hub" and entry.get("name") not in HUB_FILES
        if "path" in entry and not on_hub:
            located["path"] = locate(entry["path"])
        pages = entry.get("wikipedia")
        if isinstance(pages, dict):
            # A list of titles is not a path and is kept.
            files = {name: locate(pages[name]) for name in _WIKIPEDIA_FILES if name in pages}
            located["wikipedia"] = {**pages, **files}
        return located

    def names() -> list[Any]:
        entries = content["models"]
        return [e.get("name", e.get("id")) if isinstance(e, dict) else e for e in entries]

    def model(entry: Any) -> Any:
        value = {"id": entry} if isinstance(entry, str) else entry
        template = value.get("chat_template") if isinstance(value, dict) else None
        if isinstance(template, str) and is_template_file(template):
            entry = value = {**value, "chat_template": locate(template)}
        tokenizer = value.get("tokenizer") if isinstance(value, dict) else None
        if isinstance(tokenizer, str) and _is_written_as_path(tokenizer):
            entry = value = {**value, "tokenizer": locate(tokenizer)}
        named = isinstance(value, dict) and isinstance(value.get("id"), str)
        local = named and _is_written_as_path(value["id"])
        if local or (named and "checkpoints" in value):
            # Its name in tables and charts is as the user wrote it, wherever the study file is.
            name = {} if _SHORT_NAMED & value.keys() else {"name": value["id"]}
            entry = value = {**name, **value, "id": locate(value["id"])}
        base = value.get("base") if isinstance(value, dict) else None
        if isinstance(base, str) and base.startswith((".", "~")) and base not in names():
            entry = {**value, "base": locate(base)}
        return entry

    def paths(value: Any, names: tuple[str, ...]) -> Any:
        if not isinstance(value, dict):
            return value
        return value | {name: locate(value[name]) for name in names if name in value}

    changed = dict(content)
    for key, names_of_paths in (("generator", _GENERATOR_PATHS), ("judge", ("prompt",))):
        if key in content:
            changed[key] = paths(content[key], names_of_paths)
    for key, change in (("benchmarks", benchmark), ("models", model)):
        if isinstance(content.get(key), list):
            changed[key] = [change(entry) for entry in content[key]]
    return changed


def _is_written_as_path(model: str) -> bool:
    return model.startswith((".", "~")) or model.endswith(".gguf")


def _reason(error: Exception) -> str:
    """Why a path cannot be used, as part of a sentence."""
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8 text"
    return getattr(error, "strerror", None) or str(error).rstrip(".")


def _sentence(error: ValidationError, source: str) -> str:
    """The first mistake as a sentence, with the nearest known key if a key is misspelled."""
    # A misspelled key goes before the key that is missing because of it.
    first = min(error.errors(), key=lambda mistake: mistake["type"] != "extra_forbidden")
    keys = [str(part) for part in first["loc"] if part not in ENTRY_TAGS]
    where = _short(".".join(keys), 32)
    if first["type"] == "extra_forbidden":
        key = str(first["loc"][-1])[:80]
        schema = _schema_at(first["loc"][:-1])
        # With one of these keys, the model would be a series.
        known = [*schema.model_fields, *(SERIES_KEYS if schema is ModelConfig else ())]
        return f"The study {source} has an unknown key {where!r}: {nearest(key, known)}"
    if first["type"] == "missing":
        return f"The study {source} has no {where!r}: add it."
    shown = _short(repr(first["input"]), 60)
    mapping = first["type"] in {"model_type", "dict_type"}
    message = first["msg"].removeprefix("Value error, ").lower().replace("tuple", "list")
    expected = "input should be a mapping" if mapping else message
    return f"The study {source} has {shown} as {where!r}: {expected}."


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."


def _schema_at(location: tuple[int | str, ...]) -> type[BaseModel]:
    """The settings class at a location of a study, given as its keys from the outside in."""
    schema: type[BaseModel] = Study
    for key in location:
        if key in ENTRY_TAGS:
            schema = ENTRY_TAGS[str(key)]
        elif isinstance(key, str) and key in schema.model_fields:
            schema = _settings(schema.model_fields[key].annotation) or schema
    return schema


def _settings(annotation: Any) -> type[BaseModel] | None:
    """The first settings class in an annotation such as ``tuple[ModelConfig, ...]``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_settings, get_args(annotation))), None)
