"""The settings of one model of a study."""

from __future__ import annotations

from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    PrivateAttr,
    field_validator,
    model_validator,
)

from gradpipe.checkpoints.checkpoint import Checkpoint, StepRecord, step_model_name
from gradpipe.errors import StudyError
from gradpipe.fields import Number, Whole
from gradpipe.gradients.layer_names import LayerNames
from gradpipe.models.placement import DeviceMap, MaxMemory, Placement
from gradpipe.models.source import AdapterReading
from gradpipe.studies.template_files import read_chat_template


class ModelConfig(BaseModel):
    """One model of a study: a hub id, a local folder, a .gguf file, or ``demo``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(
        min_length=1, description="A hub id, a local folder, a .gguf file, or ``demo``."
    )
    revision: str | None = Field(
        default=None,
        description="A commit, tag or branch of a hub model; by default its main branch.",
    )
    chat: bool | None = Field(
        default=None,
        description=(
            "Overrides the protocol's ``chat`` for this model: base models may have a chat "
            "template too."
        ),
    )
    chat_template: str | None = Field(
        default=None,
        description=(
            "A chat template that replaces the tokenizer's own: a .jinja file, or ``think``, which "
            "ships and opens a think block."
        ),
    )
    chat_template_kwargs: dict[str, JsonValue] = Field(
        default={},
        description=(
            "Settings that are passed to the chat template, such as ``enable_thinking``; added to "
            "the protocol's."
        ),
    )
    layer_names: LayerNames = Field(
        default=LayerNames(),
        description="Overrides the protocol's ``layer_names`` for this model, role by role.",
    )
    name: str = Field(
        default="",
        description=(
            "The model's name in tables, charts and partitions; by default its id and revision."
        ),
    )
    device_map: DeviceMap | None = Field(
        default=None,
        description=(
            "Where the model's parts are in memory: ``auto``, ``balanced``, "
            "``balanced_low_0``, ``sequential``, one device such as ``cuda:1``, or a mapping "
            "from parts of the model to devices. By default the best device. Numbers do not "
            "depend on it beyond rounding."
        ),
    )
    gradient_checkpointing: bool = Field(
        default=False,
        description=(
            "Recompute each layer's activations in the backward pass: needs less memory and a "
            "third more time."
        ),
    )
    max_memory: MaxMemory | None = Field(
        default=None,
        description=(
            "The memory that an automatic ``device_map`` may use per GPU number, ``cpu`` and "
            "``disk``, in bytes or as a size such as 20GiB."
        ),
    )
    base: str | None = Field(
        default=None,
        description=(
            "The name of the study's model that this one was tuned from; by default found by "
            "their names. An adapter is loaded onto it, by default onto the base that it names."
        ),
    )
    adapter: AdapterReading = Field(
        default="merged",
        description=(
            "What is measured of an adapter: the gradients at the ``merged`` weights, comparable "
            "with full models, or those at its ``factors`` A and B, which training changes."
        ),
    )
    series: str | None = Field(
        default=None,
        min_length=1,
        description="The series of checkpoints that this model is a step of; with ``step``.",
    )
    step: Whole | Number | None = Field(
        default=None, ge=0, description="The step of its series at which the model was saved."
    )
    #: The checkpoint of a series that this model is, or what is known of one that is gone.
    _checkpoint: Checkpoint | StepRecord | None = PrivateAttr(None)

    @classmethod
    def default_name(cls, value: dict[str, Any]) -> str:
        """The name of a model whose settings have none."""
        revision, series, step = (value.get(key) for key in ("revision", "series", "step"))
        if isinstance(series, str) and isinstance(step, int | float):
            return step_model_name(series, step)
        return f"{value['id']}@{revision}" if revision else str(value["id"])

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        value = {"id": value} if isinstance(value, str) else value
        if isinstance(value, dict) and isinstance(value.get("id"), str) and value["id"]:
            return value if value.get("name") else {**value, "name": cls.default_name(value)}
        return value

    @model_validator(mode="after")
    def _series_with_step(self) -> ModelConfig:
        if (self.series is None) != (self.step is None):
            given, missing = ("series", "step") if self.series else ("step", "series")
            raise StudyError(f"The model {self.name!r} has `{given}`: give its `{missing}` too.")
        return self

    @model_validator(mode="before")
    @classmethod
    def _placed(cls, value: Any) -> Any:
        if not isinstance(value, dict) or not {"device_map", "max_memory"} & value.keys():
            return value
        # Its errors say what is allowed; those of a union of types list everything that failed.
        placement = Placement(value.get("device_map"), max_memory=value.get("max_memory"))
        return {**value, "max_memory": placement.max_memory}

    @field_validator("chat_template")
    @classmethod
    def _readable(cls, value: str | None) -> str | None:
        if value is not None:
            read_chat_template(value)
        return value

    def at_checkpoint(self, checkpoint: Checkpoint | StepRecord) -> ModelConfig:
        """This model as a step of a series, with what was found of its checkpoint."""
        changed = self.model_copy()
        changed._checkpoint = checkpoint
        return changed

    @property
    def checkpoint(self) -> Checkpoint | None:
        """The checkpoint that exists now; None for models that are no step of a series."""
        return self._checkpoint if isinstance(self._checkpoint, Checkpoint) else None

    @property
    def record(self) -> StepRecord | None:
        """What is known of a step whose weights are gone; None for all other models."""
        return self._checkpoint if isinstance(self._checkpoint, StepRecord) else None

    @property
    def placement(self) -> Placement:
        """How the model is laid out in memory."""
        return Placement(self.device_map, self.gradient_checkpointing, self.max_memory)
