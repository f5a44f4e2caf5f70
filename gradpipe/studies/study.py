"""The study: one YAML file that says which models, benchmarks, styles and protocol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeVar
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from gradpipe.benchmarks.config import BenchmarkConfig
from gradpipe.benchmarks.read import default_source
from gradpipe.claims.contrasts import Claim
from gradpipe.claims.paper import PAPER_CLAIMS
from gradpipe.claims.parse import parse_claim
from gradpipe.engines.settings import RayConfig
from gradpipe.errors import StudyError, nearest
from gradpipe.fields import Number, Whole
from gradpipe.generators.config import GeneratorConfig
from gradpipe.gradients.protocol import STANDARD, LayerNames, Protocol, make_protocol
from gradpipe.models.placement import DeviceMap, MaxMemory, Placement
from gradpipe.responses.build import Irrelevant
from gradpipe.statistics.reductions import REDUCTIONS
from gradpipe.studies.base_models import twins_of
from gradpipe.styles import STYLES

#: Characters of a model's or benchmark's name as part of a file's: other than letters, digits,
#: ``-``, ``_`` and ``/`` they count three for each byte, since they are written so there.
LONGEST_NAME = 200


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
    #: The name of the study's model that this one was tuned from; by default told by their names.
    base: str | None = None

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


Named = TypeVar("Named", ModelConfig, BenchmarkConfig)


class Study(BaseModel):
    """Everything a run depends on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    #: What the report calls the study.
    name: str = Field(default="study", min_length=1, max_length=100)
    #: Model ids, or mappings with an ``id`` and further settings.
    models: tuple[ModelConfig, ...]
    #: Benchmark names, or mappings with a ``name`` and further settings.
    benchmarks: tuple[BenchmarkConfig, ...] = Field(min_length=1)
    #: Response styles; by default every style that each benchmark's source provides.
    styles: tuple[str, ...] | None = None
    #: Correct responses, irrelevant ones, or both.
    relevances: tuple[Literal["correct", "irrelevant"], ...] = Field(
        default=("correct", "irrelevant"), min_length=1
    )
    #: How irrelevant responses are made: ``derangement``: another item's response of the same
    #: style, with another answer and a similar length; ``sentence_shuffle``: the sentences of
    #: several items shuffled, as in the paper; ``release``: the paper's own shuffled files.
    irrelevant: Irrelevant = "derangement"
    #: Items per benchmark; by default all.
    sample: Whole | None = Field(default=None, ge=1)
    #: Which items: the ``first``, or a seeded ``random`` draw, in which a larger sample contains a
    #: smaller one.
    sampling: Literal["first", "random"] = "random"
    #: The seed of the draw and of the pairing of irrelevant responses.
    seed: Whole = Field(default=0, ge=0, le=2**63 - 1)
    #: ``standard``, ``paper``, or a mapping with ``preset`` and changes to it.
    protocol: Protocol = STANDARD
    #: Who writes the responses that a benchmark's source does not bring.
    generator: GeneratorConfig = GeneratorConfig()
    #: Where gradients are computed: in the run's own process, or by actors of a Ray cluster.
    engine: Literal["local", "ray"] = "local"
    #: The Ray cluster and its actors, for ``engine: ray``.
    ray: RayConfig = RayConfig()
    #: The statistics to compute; adding one later costs no gradient.
    statistics: tuple[str, ...] = Field(default=tuple(REDUCTIONS), min_length=1)
    #: Your own claims, judged beside the paper's: "none > detailed on effective_rank".
    claims: tuple[str, ...] = ()
    #: The share of a partition's rows that may be unusable before its check warns.
    unusable_limit: Number = Field(default=0.1, ge=0, le=1)
    #: The share of a style's responses that may fail the gates before their check warns.
    mismatch_limit: Number = Field(default=0.1, ge=0, le=1)
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
    def _readable_claims(self) -> Study:
        for text in self.claims:
            parse_claim(text, self.statistics)
        return self

    @model_validator(mode="after")
    def _known_bases(self) -> Study:
        for model in self.models:
            if model.base == model.name:
                raise StudyError(
                    f"The model {model.name!r} cannot be its own base: name another one."
                )
            if model.base is not None:
                self.model(model.base)
        return self

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
            _require_files_apart(names, kind)
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

    def all_claims(self) -> list[Claim]:
        """What the report judges: the study's own claims, then the paper's."""
        return [*(parse_claim(text, self.statistics) for text in self.claims), *PAPER_CLAIMS]

    def twins(self) -> list[tuple[str, str]]:
        """Models with what they were tuned from: (base, tuned), as given or told by their names."""
        given = [(model.base, model.name) for model in self.models if model.base is not None]
        tuned = {name for _, name in given}
        told = twins_of([model.name for model in self.models])
        return given + [pair for pair in told if pair[1] not in tuned]

    def model(self, name: str) -> ModelConfig:
        """The model of that name; raises StudyError where the study has none."""
        return _named(self.models, name, "model")

    def benchmark(self, name: str) -> BenchmarkConfig:
        """The benchmark of that name; raises StudyError where the study has none."""
        return _named(self.benchmarks, name, "benchmark")


def _require_files_apart(names: Sequence[str], kind: str) -> None:
    """Raise StudyError for names that cannot be files' beside each other, on any file system."""
    for name in names:
        if len(quote(name, safe="/").replace(".", "%2e").replace("~", "%7e")) > LONGEST_NAME:
            raise StudyError(
                f"The name {name[:40]!r}... among the study's {kind} is too long for a file: give "
                f"a `name` of at most {LONGEST_NAME} characters, where others than English letters "
                "and digits count up to twelve times."
            )
    # Only English letters stay letters in a file's name, so only their case may get lost.
    seen: dict[bytes, str] = {}
    for name in names:
        other = seen.setdefault(name.encode().lower(), name)
        if other != name:
            raise StudyError(
                f"The study's {kind} {other!r} and {name!r} differ in capitals only, and some file "
                "systems would take one for the other: give one of them another `name`."
            )


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
