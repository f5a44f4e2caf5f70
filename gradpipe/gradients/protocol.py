"""The protocol: how an example becomes tokens and a loss."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_serializer

from gradpipe.errors import StudyError, nearest
from gradpipe.fields import Whole

Role = Literal["q", "k", "v", "o", "gate", "up", "down"]
LayerPath = Annotated[str, Field(min_length=1)]
Dtype = Literal["float32", "bfloat16", "float16"]


class LayerNames(BaseModel):
    """The path inside a decoder layer of the linear layer in each role, where gradpipe has to ask.

    A layer that is named for several roles holds them all.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    q: LayerPath | None = None
    k: LayerPath | None = None
    v: LayerPath | None = None
    o: LayerPath | None = None
    gate: LayerPath | None = None
    up: LayerPath | None = None
    down: LayerPath | None = None

    @property
    def paths(self) -> dict[str, str]:
        """The paths that are given, by role."""
        return {role: path for role, path in self if path is not None}

    @model_serializer
    def _given(self) -> dict[str, str]:
        return self.paths

    def overridden_by(self, other: LayerNames) -> LayerNames:
        """These names, and another's where it has them."""
        return LayerNames(**{**self.paths, **other.paths})


def _distinct(projections: tuple[Role, ...]) -> tuple[Role, ...]:
    if len(set(projections)) < len(projections):
        raise ValueError("each projection should be named once")
    return projections


class Protocol(BaseModel):
    """How an example becomes tokens and a loss: part of every row's key.

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

    preset: Literal["paper", "standard"]
    #: Use the tokenizer's chat template; None: where it has one.
    chat: bool | None = None
    #: The system message in front of a chat; None: none.
    system: str | None = "You are a helpful assistant."
    #: ``by_name`` drops the system message where the model's path contains "gemma", as the
    #: reference does; ``by_template`` where the template refuses one.
    system_unless: Literal["by_name", "by_template"] = "by_template"
    #: ``always`` adds the tokenizer's default special tokens even behind a template that wrote its
    #: own (a second BOS on Llama and Gemma); ``once`` does not.
    special_tokens: Literal["always", "once"] = "once"
    #: Where the response starts: after as many tokens as the encoded prefix has (``prefix``; off by
    #: one where a token straddles the boundary), or at the first token that holds a character of
    #: the response (``offsets``).
    boundary: Literal["prefix", "offsets"] = "offsets"
    #: Tokens of prompt and response together; what lies beyond is cut off.
    max_length: Whole = Field(default=2048, ge=2, le=1_000_000)
    #: A response that is longer than the window all by itself: cut it, or refuse the data.
    overlong: Literal["truncate", "refuse"] = "refuse"
    dtype: Dtype = "float32"
    projections: Annotated[tuple[Role, ...], Field(min_length=1), AfterValidator(_distinct)] = (
        "q",
        "k",
        "v",
        "o",
    )
    #: Where the projections are, in a model whose layers bear names that gradpipe does not know.
    layer_names: LayerNames = LayerNames()

    def for_model(self, name: str) -> Protocol:
        """The protocol as it applies to a model that the user calls ``name``."""
        dropped = self.system_unless == "by_name" and "gemma" in name.lower()
        return self.model_copy(update={"system": None}) if dropped else self

    def key(self) -> dict[str, Any]:
        """What of the protocol the numbers depend on (a preset's name is not)."""
        # What came later stays out where it says nothing: earlier rows keep their keys.
        unsaid = set() if self.layer_names.paths else {"layer_names"}
        return self.model_dump(mode="json", exclude={"preset", *unsaid})


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
    """A preset with some settings changed; raises StudyError for unknown names or values."""
    from pydantic import ValidationError

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
        where = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            hint = nearest(str(first["loc"][-1]), list(LayerNames.model_fields))
            raise StudyError(f"A protocol has no setting {where!r}: {hint}") from None
        message = first["msg"].removeprefix("Value error, ")
        raise StudyError(
            f"The protocol's setting {where!r} cannot be {first['input']!r}: {message}."
        ) from None
