"""The protocol: how an example becomes tokens and a loss."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    model_serializer,
)

from gradpipe.errors import StudyError, nearest
from gradpipe.fields import Day, Whole

Role = Literal["q", "k", "v", "o", "gate", "up", "down"]
LayerPath = Annotated[str, Field(min_length=1)]
Dtype = Literal["float32", "bfloat16", "float16"]
Division = Literal["think", "steps", "data"]
Thinking = Literal["auto", "inside", "closed"]
#: The date that Llama's templates write where there is no clock.
DEFAULT_TEMPLATE_DATE = date(2024, 7, 26)


class LayerNames(BaseModel):
    """Paths inside a decoder layer of linear layers with names that gradpipe does not know.

    A fused layer is named for each of its roles.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    q: LayerPath | None = Field(
        default=None, description="The path of the linear layer of ``q`` inside a decoder layer."
    )
    k: LayerPath | None = Field(
        default=None, description="The path of the linear layer of ``k`` inside a decoder layer."
    )
    v: LayerPath | None = Field(
        default=None, description="The path of the linear layer of ``v`` inside a decoder layer."
    )
    o: LayerPath | None = Field(
        default=None, description="The path of the linear layer of ``o`` inside a decoder layer."
    )
    gate: LayerPath | None = Field(
        default=None, description="The path of the linear layer of ``gate`` inside a decoder layer."
    )
    up: LayerPath | None = Field(
        default=None, description="The path of the linear layer of ``up`` inside a decoder layer."
    )
    down: LayerPath | None = Field(
        default=None, description="The path of the linear layer of ``down`` inside a decoder layer."
    )

    @property
    def paths(self) -> dict[str, str]:
        """The given paths by role."""
        return {role: path for role, path in self if path is not None}

    @model_serializer
    def _given(self) -> dict[str, str]:
        return self.paths

    def overridden_by(self, other: LayerNames) -> LayerNames:
        """Return these names updated with the given paths of ``other``."""
        return LayerNames(**{**self.paths, **other.paths})


def _distinct(projections: tuple[Role, ...]) -> tuple[Role, ...]:
    if len(set(projections)) < len(projections):
        raise ValueError("each projection should be named once")
    return projections


def _pattern(pattern: str | None, settings: ValidationInfo) -> str | None:
    if pattern is not None:
        if settings.data.get("spans") != "steps":
            raise ValueError("it needs spans: steps")
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"it is not a regular expression ({error})") from None
    return pattern


class Protocol(BaseModel):
    """How an example becomes tokens and a loss. Part of every row's key.

    The preset ``paper`` is exactly what the reference implementation does (github
    MingLiiii/Layer_Gradient, commit e2072e8); ``standard`` fixes its known quirks. Both take the
    mean cross-entropy over the response's tokens, append no EOS, and run the model in evaluation
    mode.

    Examples:
        >>> protocol = gp.Protocol(preset="standard", chat=False, max_length=512)
        >>> protocol.projections, protocol.dtype
        (('q', 'k', 'v', 'o'), 'float32')
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    preset: Literal["paper", "standard"] = Field(
        description="The preset that the other settings change."
    )
    chat: bool | None = Field(
        default=None, description="Use the tokenizer's chat template; by default if it has one."
    )
    system: str | None = Field(
        default="You are a helpful assistant.",
        description="The system message of a chat; null for none.",
    )
    system_unless: Literal["by_name", "by_template"] = Field(
        default="by_template",
        description=(
            "When the system message is left out: ``by_name`` if the model's path contains "
            '"gemma", as in the reference; ``by_template`` if the template rejects it.'
        ),
    )
    special_tokens: Literal["always", "once"] = Field(
        default="once",
        description=(
            "``always`` adds the tokenizer's default special tokens even after a template that "
            "wrote its own (a second BOS on Llama and Gemma); ``once`` does not."
        ),
    )
    boundary: Literal["prefix", "offsets"] = Field(
        default="offsets",
        description=(
            "Where the response starts: after as many tokens as the encoded prefix has "
            "(``prefix``; off by one if a token straddles the boundary), or at the first token "
            "that holds a character of the response (``offsets``)."
        ),
    )
    thinking: Thinking | None = Field(
        default=None,
        description=(
            "How to treat a prompt that ends in an opened ``<think>``: leave the block open "
            "(``inside``), close it before every response (``closed``), or close it unless the "
            "response has thinking of its own (``auto``). By default ``inside`` with "
            "``boundary: prefix``, as in ``paper``; otherwise ``auto``."
        ),
    )
    template_date: Day = Field(
        default=DEFAULT_TEMPLATE_DATE,
        description=(
            "The date that a chat template reads as today's, so that numbers are the same on every "
            "day. Any date but the default also replaces a template's own constant date."
        ),
    )
    max_length: Whole = Field(
        default=2048,
        ge=2,
        le=1_000_000,
        description="The most tokens of prompt and response together; the rest is cut off.",
    )
    overlong: Literal["truncate", "refuse"] = Field(
        default="refuse",
        description=(
            "If the response alone is longer than the window: cut it, or reject the data."
        ),
    )
    dtype: Dtype = Field(default="float32", description="The precision of weights and activations.")
    projections: Annotated[tuple[Role, ...], Field(min_length=1), AfterValidator(_distinct)] = (
        Field(
            default=(
                "q",
                "k",
                "v",
                "o",
            ),
            description="The projections whose gradients are computed.",
        )
    )
    spans: Division | None = Field(
        default=None,
        description=(
            "Also compute the spectra of the response's spans: thinking and answer (``think``), "
            "the parts between blank lines or by ``step_pattern`` (``steps``), or the character "
            "offsets that the data give (``data``)."
        ),
    )
    step_pattern: Annotated[str | None, AfterValidator(_pattern)] = Field(
        default=None,
        description=(
            "A regular expression; with ``spans: steps``, a step starts at each of its matches."
        ),
    )
    layer_names: LayerNames = Field(
        default=LayerNames(),
        description="Paths of the projections, for a model whose layers have unknown names.",
    )

    def for_model(self, name: str) -> Protocol:
        """Return the protocol for a model, by the name that the user gave it."""
        dropped = self.system_unless == "by_name" and "gemma" in name.lower()
        return self.model_copy(update={"system": None}) if dropped else self

    @property
    def as_reference(self) -> bool:
        """Whether tokens are the reference's in every case, even where it loses a header."""
        return self.boundary == "prefix"

    @property
    def thinking_mode(self) -> Thinking:
        """``thinking``, or what it is by default."""
        return self.thinking or self._default_thinking

    @property
    def _default_thinking(self) -> Thinking:
        return "inside" if self.as_reference else "auto"

    @property
    def later_defaults(self) -> set[str]:
        """The settings of later versions that have their defaults.

        They are left out of keys, so that the rows and reports of earlier versions stay valid.
        """
        thinking = self.thinking_mode == self._default_thinking
        undated = self.template_date == DEFAULT_TEMPLATE_DATE
        unset = {name for name in ("spans", "step_pattern") if getattr(self, name) is None}
        dated = ["template_date"] if undated else []
        return {*(["thinking"] if thinking else []), *dated, *unset}

    def key(self) -> dict[str, Any]:
        """Return the settings that numbers depend on; the preset's name is not one of them."""
        # Added later: without paths it is left out, so that the keys of older rows stay valid.
        unset = set() if self.layer_names.paths else {"layer_names"}
        return self.model_dump(mode="json", exclude={"preset", *unset, *self.later_defaults})


PAPER = Protocol(
    preset="paper",
    system_unless="by_name",
    special_tokens="always",
    boundary="prefix",
    max_length=1024,
    overlong="truncate",
)
STANDARD = Protocol(preset="standard")
PRESETS = {"paper": PAPER, "standard": STANDARD}


def make_protocol(preset: str = "standard", **changes: Any) -> Protocol:
    """Return a preset with changed settings; raise StudyError for unknown names or values."""
    if preset not in PRESETS:
        raise StudyError(f"There is no protocol {preset!r}: {nearest(preset, list(PRESETS))}")
    for name in changes:
        if name not in Protocol.model_fields:
            known = list(Protocol.model_fields)
            raise StudyError(f"A protocol has no setting {name!r}: {nearest(name, known)}")
    try:
        return Protocol.model_validate({**PRESETS[preset].model_dump(), **changes})
    except ValidationError as error:
        first = error.errors()[0]
        setting = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            hint = nearest(str(first["loc"][-1]), list(LayerNames.model_fields))
            raise StudyError(f"A protocol has no setting {setting!r}: {hint}") from None
        message = first["msg"].removeprefix("Value error, ")
        raise StudyError(
            f"The protocol's setting {setting!r} cannot be {first['input']!r}: {message}."
        ) from None
