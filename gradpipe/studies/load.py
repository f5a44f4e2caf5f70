"""Study files: read with their mistakes named, and written so that they read back."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from gradpipe.benchmarks.config import BenchmarkConfig
from gradpipe.engines.settings import RayConfig
from gradpipe.errors import DataError, StudyError, nearest
from gradpipe.generators.config import Budget, GeneratorConfig, Price
from gradpipe.gradients.protocol import LayerNames
from gradpipe.studies.study import ModelConfig, Study

#: Settings of `wikipedia` that are paths or URLs.
_WIKIPEDIA_FILES = ("titles", "titles_file", "views")


def shipped_studies() -> list[str]:
    """The names of the studies that come with gradpipe."""
    folder = resources.files("gradpipe.studies")
    return sorted(entry.name[:-5] for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def load_study(study: str) -> Study:
    """A study by the path of its file or by the name of one that ships.

    Relative paths inside the file are taken from the file's own folder. Raises StudyError for a
    file that is missing or says something unknown.
    """
    try:
        path = Path(study).expanduser()
        given = path.suffix in {".yaml", ".yml"} or path.is_file()
        text = path.read_text("utf-8") if given else ""
    except (OSError, RuntimeError, UnicodeDecodeError) as error:
        raise StudyError(
            f"The study file {study} cannot be read ({_reason(error)}): check the path."
        ) from error
    if given:
        return parse_study(text, study, path.resolve().parent)
    names = shipped_studies()
    if study not in names:
        raise StudyError(
            f"There is no study {study!r}, neither a .yaml file nor one that ships: "
            f"{nearest(study, names)}"
        )
    text = (resources.files("gradpipe.studies") / f"{study}.yaml").read_text("utf-8")
    return parse_study(text, study)


def parse_study(text: str, source: str, folder: Path | None = None) -> Study:
    """A study from YAML; ``source`` is what errors call it, ``folder`` where its paths start."""
    import yaml

    try:
        content = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        # ValueError: a date or number that looks like one and is none, as 2024-13-45.
        mark = getattr(error, "problem_mark", None)
        line = f" at line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise StudyError(
            f"The study {source} is no valid YAML{line} ({problem}): check its indentation, quotes "
            "and brackets."
        ) from error
    if not isinstance(content, dict):
        raise StudyError(
            f"The study {source} is no mapping: start it with `models:` and `benchmarks:`."
        )
    try:
        return Study.model_validate(_absolute(content, folder) if folder else content)
    except ValidationError as error:
        raise StudyError(_sentence(error, source)) from None
    except (StudyError, DataError) as error:
        raise StudyError(f"In the study {source}: {error}") from None


def study_yaml(study: Study) -> str:
    """The study as YAML that reads back as the same study."""
    import yaml

    content = study.model_dump(mode="json", exclude_defaults=True)
    content["protocol"] = study.protocol.model_dump(mode="json")
    text: str = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    if "\x85" in text:
        # PyYAML writes this line break as it is and reads it back as another; escaped, it stays.
        text = yaml.safe_dump(content, sort_keys=False, allow_unicode=False)
    return text


def _absolute(content: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The content with relative local paths taken from ``folder``."""

    def locate(path: Any) -> Any:
        if not isinstance(path, str) or "://" in path:
            return path
        try:
            return str((folder / Path(path).expanduser()).resolve())
        except (OSError, RuntimeError, ValueError) as error:
            raise StudyError(f"{path!r} is no path ({_reason(error)}): correct it.") from error

    def benchmark(entry: Any) -> Any:
        if not isinstance(entry, dict):
            return entry
        found = {**entry, "path": locate(entry["path"])} if "path" in entry else dict(entry)
        pages = entry.get("wikipedia")
        if isinstance(pages, dict):
            # A list of titles is no path, and stays as it is.
            files = {name: locate(pages[name]) for name in _WIKIPEDIA_FILES if name in pages}
            found["wikipedia"] = {**pages, **files}
        return found

    def model(entry: Any) -> Any:
        value = {"id": entry} if isinstance(entry, str) else entry
        named = isinstance(value, dict) and isinstance(value.get("id"), str)
        if named and (value["id"].startswith((".", "~")) or value["id"].endswith(".gguf")):
            # Tables and charts call it what its user does, wherever the study file lies.
            return {"name": value["id"], **value, "id": locate(value["id"])}
        return entry

    def generator(value: Any) -> Any:
        if isinstance(value, dict) and "prompts" in value:
            return {**value, "prompts": locate(value["prompts"])}
        return value

    changed = dict(content)
    if "generator" in content:
        changed["generator"] = generator(content["generator"])
    for key, change in (("benchmarks", benchmark), ("models", model)):
        if isinstance(content.get(key), list):
            changed[key] = [change(entry) for entry in content[key]]
    return changed


def _reason(error: Exception) -> str:
    """Why a path cannot be used, as part of a sentence."""
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8 text"
    return getattr(error, "strerror", None) or str(error).rstrip(".")


def _sentence(error: ValidationError, source: str) -> str:
    """The first thing wrong, with the nearest known key where one is misspelt."""
    # A misspelt key comes before the key that it leaves missing.
    first = min(error.errors(), key=lambda fault: fault["type"] != "extra_forbidden")
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        key = str(first["loc"][-1])
        known = list(_schema_at(first["loc"][:-1]).model_fields)
        return f"The study {source} has an unknown key {where!r}: {nearest(key, known)}"
    if first["type"] == "missing":
        return f"The study {source} lacks {where!r}: add it."
    shown = repr(first["input"])
    shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
    mapping = first["type"] in {"model_type", "dict_type"}
    cure = "input should be a mapping" if mapping else first["msg"].lower().replace("tuple", "list")
    return f"The study {source} has {shown} as {where!r}: {cure}."


def _schema_at(location: tuple[int | str, ...]) -> type[BaseModel]:
    from gradpipe.benchmarks.config import Columns, WikipediaPages

    names = [part for part in location if isinstance(part, str)]
    if "columns" in names:
        return Columns
    if "wikipedia" in names[1:]:
        return WikipediaPages
    if "layer_names" in names:
        return LayerNames
    if names[:1] == ["generator"] and names[1:2]:
        nested: dict[str, type[BaseModel]] = {"budget": Budget, "price": Price}
        return nested.get(names[1], GeneratorConfig)
    schemas: dict[str, type[BaseModel]] = {
        "benchmarks": BenchmarkConfig,
        "models": ModelConfig,
        "ray": RayConfig,
        "generator": GeneratorConfig,
    }
    return schemas.get(names[0], Study) if names else Study
