"""The settings of one model of a study."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator

from gradpipe.fields import Number
from gradpipe.gradients.layer_names import LayerNames
from gradpipe.models.placement import DeviceMap, MaxMemory, Placement
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
    series: str | None = Field(
        default=None, description="The training run that this model is a checkpoint of."
    )
    step: Number | None = Field(
        default=None, ge=0, description="The training step of a checkpoint of a series."
    )
    base: str | None = Field(
        default=None,
        description=(
            "The name of the study's model that this one was tuned from; by default found by "
            "their names."
        ),
    )

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        value = {"id": value} if isinstance(value, str) else value
        if isinstance(value, dict) and value.get("id") and not value.get("name"):
            series, step = value.get("series"), value.get("step")
            if series is not None and isinstance(step, int | float):
                return {**value, "name": f"{series}@{step:g}"}
            revision = value.get("revision")
            return {**value, "name": f"{value['id']}@{revision}" if revision else value["id"]}
        return value

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

    @property
    def placement(self) -> Placement:
        """How the model is laid out in memory."""
        return Placement(self.device_map, self.gradient_checkpointing, self.max_memory)
