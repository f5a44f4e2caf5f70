"""The study: one YAML file that says which models, benchmarks, styles and protocol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, field_validator, model_validator

from gradpipe.benchmarks.config import BenchmarkConfig
from gradpipe.benchmarks.read import default_source
from gradpipe.claims.contrasts import Claim
from gradpipe.claims.inference.correction import Correction
from gradpipe.claims.paper import PAPER_CLAIMS
from gradpipe.claims.parse import parse_claim
from gradpipe.engines.settings import RayConfig
from gradpipe.errors import StudyError, nearest
from gradpipe.fields import Number, Whole
from gradpipe.generators.config import GeneratorConfig
from gradpipe.generators.judge import StudyJudge
from gradpipe.gradients.protocol import STANDARD, Protocol, make_protocol
from gradpipe.responses.build import Irrelevant
from gradpipe.responses.wrong import Wrong
from gradpipe.statistics.reductions import DEFAULT_STATISTICS, REDUCTIONS
from gradpipe.studies.base_models import require_known_bases, tuned_pairs
from gradpipe.studies.model_config import ModelConfig
from gradpipe.studies.model_entries import ModelEntry
from gradpipe.studies.names import require_distinct_names, require_known_names
from gradpipe.studies.report_words import StudyDescription, StudyTitle
from gradpipe.studies.template_files import read_chat_template
from gradpipe.styles import STYLES

Named = TypeVar("Named", ModelConfig, BenchmarkConfig)


class Study(BaseModel):
    """All settings of a run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(
        default="study", min_length=1, max_length=100, description="Short; by default its file's."
    )
    title: StudyTitle = None
    description: StudyDescription = None
    models: tuple[ModelEntry, ...] = Field(
        description=(
            "Model ids, or mappings with an ``id`` and further settings; one with ``checkpoints`` "
            "or ``revisions`` is a series."
        )
    )
    benchmarks: tuple[BenchmarkConfig, ...] = Field(
        min_length=1,
        description="Benchmark names, or mappings with a ``name`` and further settings.",
    )
    styles: tuple[str, ...] | None = Field(
        default=None,
        description="Response styles; by default every style that a benchmark's source provides.",
    )
    relevances: tuple[Literal["correct", "irrelevant", "rejected", "wrong"], ...] = Field(
        default=("correct", "irrelevant"),
        min_length=1,
        description=(
            "Any of ``correct``, ``irrelevant``, ``rejected``: the responses that the data reject, "
            "where they do, and ``wrong``: on topic, with another final answer."
        ),
    )
    wrong: Wrong = Field(
        default="edited",
        description=(
            "How wrong responses are made: ``edited``: the final answer of a correct one is "
            "replaced by another of the same form; ``mismatches``: the generator's responses whose "
            "final answer is not the gold one."
        ),
    )
    irrelevant: Irrelevant = Field(
        default="derangement",
        description=(
            "How irrelevant responses are made: ``derangement``: another item's response of "
            "the same style, with another answer and a similar length; ``sentence_shuffle``: "
            "the sentences of several items shuffled, as in the paper; ``release``: the "
            "paper's own shuffled files without the rows whose answer is right after all; "
            "``release_as_published``: with them."
        ),
    )
    correct: Literal["all", "verified"] = Field(
        default="all",
        description=(
            "Which responses count as correct: ``all`` that the source marks so, or only the "
            "``verified`` ones, whose final answer the gates found to be the gold answer."
        ),
    )
    sample: Whole | None = Field(
        default=None, ge=1, description="Items per benchmark; by default all."
    )
    sampling: Literal["first", "random"] = Field(
        default="random",
        description=(
            "Which items: the ``first``, or a seeded ``random`` draw, in which a larger "
            "sample contains a smaller one."
        ),
    )
    seed: Whole = Field(
        default=0,
        ge=0,
        le=2**63 - 1,
        description="The seed of the draw and of the pairing of irrelevant responses.",
    )
    protocol: Protocol = Field(
        default=STANDARD,
        description="``standard``, ``paper``, or a mapping with ``preset`` and changes to it.",
    )
    generator: GeneratorConfig = Field(
        default=GeneratorConfig(),
        description="Who writes the responses that a benchmark's source does not have.",
    )
    judge: StudyJudge = None
    engine: Literal["local", "ray"] = Field(
        default="local",
        description=(
            "Where gradients are computed: in the run's own process, or by actors of a Ray cluster."
        ),
    )
    ray: RayConfig = Field(
        default=RayConfig(), description="The Ray cluster and its actors, for ``engine: ray``."
    )
    statistics: tuple[str, ...] = Field(
        default=DEFAULT_STATISTICS,
        min_length=1,
        description="The statistics to compute; adding one later costs no gradient.",
    )
    claims: tuple[str, ...] = Field(
        default=(),
        description=(
            "Your own claims, judged beside the paper's, such as ``none > detailed on "
            "effective_rank``."
        ),
    )
    correction: Correction = Field(
        default="study",
        description=(
            "Over what the findings' verdicts are corrected: ``study`` for all claims, or ``none``."
        ),
    )
    unusable_limit: Number = Field(
        default=0.1,
        ge=0,
        le=1,
        description="The share of a partition's rows that may be unusable before its check warns.",
    )
    mismatch_limit: Number = Field(
        default=0.1,
        ge=0,
        le=1,
        description=(
            "The share of a style's responses that may fail the gates before their check warns."
        ),
    )
    automation: bool | Literal["nightly"] = Field(
        default=False,
        description=(
            "Whether the daemon computes what is missing: as soon as it notices (true), "
            "``nightly``, or never (false)."
        ),
    )

    #: The models and series as written, if ``models`` has one model per step of a series.
    _entries: tuple[ModelConfig, ...] | None = PrivateAttr(None)

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
        require_known_names(str(info.field_name)[:-1], value or (), known)
        return value

    @field_validator("benchmarks")
    @classmethod
    def _known_styles(cls, value: tuple[BenchmarkConfig, ...]) -> tuple[BenchmarkConfig, ...]:
        for benchmark in value:
            require_known_names("style", benchmark.styles or (), STYLES)
        return value

    @model_validator(mode="after")
    def _readable_claims(self) -> Study:
        for text in self.claims:
            parse_claim(text, self.statistics)
        return self

    @model_validator(mode="after")
    def _spans_that_texts_have(self) -> Study:
        if self.protocol.spans == "data":
            raise StudyError(
                "`spans: data` needs character offsets, which a study's responses do not have: use "
                "`spans: think` or `spans: steps`, or `gradpipe extract` on data that name spans."
            )
        return self

    @model_validator(mode="after")
    def _known_bases(self) -> Study:
        require_known_bases(self.models)
        return self

    @model_validator(mode="after")
    def _distinct_names(self) -> Study:
        for kind, entries in (("models", self.models), ("benchmarks", self.benchmarks)):
            require_distinct_names([entry.name for entry in entries], kind)
        return self

    @property
    def entries(self) -> tuple[ModelConfig, ...]:
        """The models and series as the study's author wrote them."""
        return self.models if self._entries is None else self._entries

    def with_models(self, models: tuple[ModelConfig, ...]) -> Study:
        """The study with these models in place of its series; it remembers its ``entries``."""
        changed = self.model_copy(update={"models": models})
        changed._entries = self.entries
        return changed

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Study:
        """A copy with changed settings; changed ``models`` are its ``entries`` too."""
        changed = super().model_copy(update=update, deep=deep)
        if "models" in (update or {}):
            changed._entries = None
        return changed

    def protocol_of(self, model: ModelConfig) -> Protocol:
        """The study's protocol as it applies to one model.

        Raises StudyError if the file of the model's chat template cannot be read.
        """
        protocol = self.protocol.for_model(model.id)
        names = protocol.layer_names.overridden_by(model.layer_names)
        chat = protocol.chat if model.chat is None else model.chat
        changes: dict[str, Any] = {"chat": chat, "layer_names": names}
        if model.chat_template is not None:
            changes["chat_template"] = read_chat_template(model.chat_template)
        changes["chat_template_kwargs"] = {
            **protocol.chat_template_kwargs,
            **model.chat_template_kwargs,
        }
        return protocol.model_copy(update=changes)

    def grid(self) -> set[tuple[str, str]]:
        """Every (model, benchmark) pair."""
        return {(model.name, entry.name) for model in self.models for entry in self.benchmarks}

    def all_claims(self) -> list[Claim]:
        """The claims that the report judges: the study's own, then the paper's."""
        return [*(parse_claim(text, self.statistics) for text in self.claims), *PAPER_CLAIMS]

    def model_pairs(self) -> list[tuple[str, str]]:
        """Pairs of models, (base, tuned), as the study says or as their names suggest.

        An adapter's factors are in no pair: a full model has nothing to compare them with.
        """
        return tuned_pairs([model for model in self.models if model.adapter == "merged"])

    def model(self, name: str) -> ModelConfig:
        """The model of this name; raises StudyError if the study does not have it."""
        return _named(self.models, name, "model")

    def benchmark(self, name: str) -> BenchmarkConfig:
        """The benchmark of this name; raises StudyError if the study does not have it."""
        return _named(self.benchmarks, name, "benchmark")


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
