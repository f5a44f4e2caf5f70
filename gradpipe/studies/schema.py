"""The JSON schema of a study file, for editors: keys, types, bounds, defaults and meanings."""

from __future__ import annotations

from typing import Any

from gradpipe.benchmarks.sources import SOURCES
from gradpipe.gradients.protocol import PRESETS
from gradpipe.statistics.reductions import REDUCTIONS
from gradpipe.studies.study import Study
from gradpipe.studies.study_styles import COLOR, COLOR_KEY, MOST_CHARACTERS, STYLE_NAME
from gradpipe.styles import STYLES

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def study_schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of the files that ``load_study`` reads.

    It has the short forms too: bare names of models, benchmarks and protocols. Settings that
    contradict each other, and names of an entry elsewhere, are checked only by ``load_study``.
    """
    schema: dict[str, Any] = _in_plain_text(Study.model_json_schema())
    definitions, settings = schema["$defs"], schema["properties"]
    # The kind of an entry follows from its keys, and a model's keys are a series' too.
    entries = settings["models"]["items"].pop("oneOf")
    settings["models"]["items"] = {
        "anyOf": [_text("A hub id, a folder, a file or demo."), *entries]
    }
    names = [name for source in SOURCES if source.implied_by_name for name in source.families]
    known = {"enum": names, "description": "The name of a built-in benchmark."}
    settings["benchmarks"]["items"] = {"anyOf": [known, settings["benchmarks"]["items"]]}
    # A known name implies the source, and a mapping without a preset changes the standard one.
    definitions["BenchmarkConfig"]["required"].remove("source")
    definitions["Protocol"].pop("required")
    _or(settings["protocol"], {"enum": list(PRESETS), "description": "The name of a preset."})
    kinds = definitions["GeneratorConfig"]["properties"]["kind"]["enum"]
    _or(settings["generator"], {"enum": kinds, "description": "The kind of generator."})
    generator = definitions["GeneratorConfig"]["properties"]
    generator["n"] = generator["samples"]
    for name in ("GeneratorConfig", "JudgeConfig"):
        properties = definitions[name]["properties"]
        properties["max_completion_tokens"] = properties["max_tokens"]
    titles = definitions["WikipediaPages"]["properties"]["titles"]
    _or(titles, _text("The path or URL of a text file."), "type", "items")
    settings["statistics"]["items"]["enum"] = list(REDUCTIONS)
    settings["styles"]["anyOf"].append(_declared_styles())
    settings["styles"]["examples"] = [list(STYLES[:3])]
    return {"$schema": _DIALECT, **schema, "title": "A study of gradpipe"}


def _declared_styles() -> dict[str, Any]:
    """The schema of a mapping of styles, which may have settings."""
    color = {**_text("The color, #RRGGBB in quotes."), "pattern": f"^{COLOR.pattern}$"}
    short = {"maxLength": MOST_CHARACTERS}
    settings = {
        "label": _text("The name that readers see.") | short,
        "color": color,
        "column": _text("The column of the responses, or the style's value.") | short,
    }
    entry = {
        "type": "object",
        "properties": settings,
        # The other spelling too.
        "patternProperties": {COLOR_KEY.pattern: color},
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "minProperties": 1,
        "propertyNames": {"pattern": f"^{STYLE_NAME.pattern}$"},
        "additionalProperties": {"anyOf": [{"type": "null"}, entry]},
    }


def _text(description: str) -> dict[str, Any]:
    return {"type": "string", "minLength": 1, "description": description}


def _or(setting: dict[str, Any], short: dict[str, Any], *keys: str) -> None:
    """Allow a short form beside the form that ``keys`` of a setting describe."""
    full = {key: setting.pop(key) for key in keys or ("$ref",)}
    setting["anyOf"] = [short, full]


def _in_plain_text(value: Any) -> Any:
    """A schema whose descriptions mark code as Markdown does, which editors show."""
    if isinstance(value, list):
        return [_in_plain_text(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    plain = {key: _in_plain_text(entry) for key, entry in value.items()}
    if isinstance(text := plain.get("description"), str):
        plain["description"] = text.replace("``", "`")
    return plain
