"""The study: one YAML file that says which models, benchmarks, styles and protocol."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from gradpipe.benchmarks.config import BenchmarkConfig
from gradpipe.benchmarks.read import default_source
from gradpipe.engines.settings import RayConfig
from gradpipe.errors import DataError, StudyError, nearest
from gradpipe.generators.config import Budget, GeneratorConfig, Price
from gradpipe.gradients.protocol import STANDARD, LayerNames, Protocol, make_protocol
from gradpipe.models.placement import DeviceMap, MaxMemory, Placement
from gradpipe.responses.build import Irrelevant
from gradpipe.responses.styles import STYLES
from gradpipe.statistics.reductions import REDUCTIONS


class ModelConfig(BaseModel):
    """One model of a study: a hub id, a local folder, a .gguf file, or ``demo``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(min_length=1)
    revision: str | None = None
    #: Overrides the protocol's ``chat`` for this model: base models may carry a template too.
    chat: bool | None = None
    #: Overrides the protocol's ``layer_names`` for this model, role by role.
    layer_names: LayerNames = LayerNames()
    #: What tables, charts and partitions call it; by default the id and the revision.
    name: str = ""
    #: How the model is laid out in memory (see ``Placement``): no row's key holds any of these.
    device_map: DeviceMap | None = None
    gradient_checkpointing: bool = False
    max_memory: MaxMemory | None = None

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        value = {"id": value} if isinstance(value, str) else value
        if isinstance(value, dict) and value.get("id") and not value.get("name"):
            revision = value.get("revision")
            return {**value, "name": f"{value['id']}@{revision}" if revision else value["id"]}
        return value

    @model_validator(mode="before")
    @classmethod
    def _placed(cls, value: Any) -> Any:
        if not isinstance(value, dict) or not {"device_map", "max_memory"} & value.keys():
            return value
        # Its errors say what may stand there; a union of types would list all that it is not.
        placement = Placement(value.get("device_map"), max_memory=value.get("max_memory"))
        return {**value, "max_memory": placement.max_memory}

    @property
    def placement(self) -> Placement:
        """How the model is laid out in memory."""
        return Placement(self.device_map, self.gradient_checkpointing, self.max_memory)


#: Settings of `wikipedia` that are paths or URLs.
_WIKIPEDIA_FILES = ("titles", "titles_file", "views")

Named = TypeVar("Named", ModelConfig, BenchmarkConfig)


class Study(BaseModel):
    """Everything a run depends on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(default="study", min_length=1, max_length=100)
    models: tuple[ModelConfig, ...]
    benchmarks: tuple[BenchmarkConfig, ...] = Field(min_length=1)
    #: Response styles; none: every one that each benchmark's source provides.
    styles: tuple[str, ...] | None = None
    relevances: tuple[Literal["correct", "irrelevant"], ...] = Field(
        default=("correct", "irrelevant"), min_length=1
    )
    #: Irrelevant counterparts: other items' responses, their sentences dealt out anew, or the
    #: release's own shuffled files.
    irrelevant: Irrelevant = "derangement"
    #: Items of each benchmark; none: all.
    sample: int | None = Field(default=None, ge=1)
    sampling: Literal["first", "random"] = "random"
    seed: int = Field(default=0, ge=0, le=2**63 - 1)
    protocol: Protocol = STANDARD
    #: Who writes the responses that a benchmark's source does not bring.
    generator: GeneratorConfig = GeneratorConfig()
    #: Where gradients are taken: in the run's own process, or by actors of a Ray cluster.
    engine: Literal["local", "ray"] = "local"
    ray: RayConfig = RayConfig()
    statistics: tuple[str, ...] = Field(default=tuple(REDUCTIONS), min_length=1)
    #: The share of a partition's rows that may be unusable before its check warns.
    unusable_limit: float = Field(default=0.1, ge=0, le=1)
    #: The share of a style's responses that may fail the gates before their check warns.
    mismatch_limit: float = Field(default=0.1, ge=0, le=1)
    #: Whether the daemon computes what is missing: as soon as it sees it, every night, or never.
    automation: bool | Literal["nightly"] = False

    @field_validator("benchmarks", mode="before")
    @classmethod
    def _bare_names(cls, value: Any) -> Any:
        if not isinstance(value, (list, tuple)):
            return value
        return [_benchmark(entry) for entry in value]

    @field_validator("protocol", mode="before")
    @classmethod
    def _presets(cls, value: Any) -> Any:
        if isinstance(value, str):
            return make_protocol(value)
        if isinstance(value, dict):
            changes = {str(name): setting for name, setting in value.items() if name != "preset"}
            return make_protocol(str(value.get("preset", "standard")), **changes)
        return value

    @field_validator("styles", "statistics")
    @classmethod
    def _known(cls, value: tuple[str, ...] | None, info: Any) -> Any:
        known = STYLES if info.field_name == "styles" else tuple(REDUCTIONS)
        _require_known(str(info.field_name)[:-1], value or (), known)
        return value

    @field_validator("benchmarks")
    @classmethod
    def _known_styles(cls, value: tuple[BenchmarkConfig, ...]) -> tuple[BenchmarkConfig, ...]:
        for benchmark in value:
            _require_known("style", benchmark.styles or (), STYLES)
        return value

    @model_validator(mode="after")
    def _no_twins(self) -> Study:
        for kind, entries in (("models", self.models), ("benchmarks", self.benchmarks)):
            names = [entry.name for entry in entries]
            twins = sorted({name for name in names if names.count(name) > 1})
            if twins:
                raise StudyError(
                    f"The study names {', '.join(twins)} twice among its {kind}: "
                    "give each its own name."
                )
        return self

    def protocol_of(self, model: ModelConfig) -> Protocol:
        """The study's protocol as it applies to one model."""
        protocol = self.protocol.for_model(model.id)
        names = protocol.layer_names.overridden_by(model.layer_names)
        chat = protocol.chat if model.chat is None else model.chat
        return protocol.model_copy(update={"chat": chat, "layer_names": names})

    def grid(self) -> set[tuple[str, str]]:
        """Every (model, benchmark) pair."""
        return {(model.name, entry.name) for model in self.models for entry in self.benchmarks}

    def model(self, name: str) -> ModelConfig:
        """The model of that name; raises StudyError where the study has none."""
        return _named(self.models, name, "model")

    def benchmark(self, name: str) -> BenchmarkConfig:
        """The benchmark of that name; raises StudyError where the study has none."""
        return _named(self.benchmarks, name, "benchmark")


def _require_known(kind: str, words: Sequence[str], known: Sequence[str]) -> None:
    for word in words:
        if word not in known:
            raise StudyError(f"There is no {kind} {word!r}: {nearest(word, list(known))}")
        if words.count(word) > 1:
            raise StudyError(f"The {kind} {word!r} is named twice: name it once.")


def _named(entries: tuple[Named, ...], name: str, kind: str) -> Named:
    for entry in entries:
        if entry.name == name:
            return entry
    known = [entry.name for entry in entries]
    raise StudyError(f"The study has no {kind} {name!r}: {nearest(name, known)}")


def _benchmark(entry: Any) -> Any:
    """A benchmark's mapping, from its bare name or with the source that its name implies."""
    entry = {"name": entry} if isinstance(entry, str) else entry
    if isinstance(entry, dict) and "source" not in entry and isinstance(entry.get("name"), str):
        return {"source": default_source(entry["name"]), **entry}
    return entry


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
