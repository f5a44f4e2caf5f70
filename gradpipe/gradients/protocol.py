"""The protocol: how an example becomes tokens and a loss."""

from __future__ import annotations

from datetime import date
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from gradpipe.conversations.think_blocks import THINK_MARKS
from gradpipe.errors import StudyError, nearest
from gradpipe.fields import Day, Whole
from gradpipe.gradients.layer_names import LayerNames
from gradpipe.gradients.setting_errors import setting_errors
from gradpipe.gradients.span_settings import ControlTokens, Division, StepPattern
from gradpipe.models.roles import Role
from gradpipe.system.hashing import content_hash

Dtype = Literal["float32", "bfloat16", "float16"]
Thinking = Literal["auto", "inside", "closed"]
LossOn = Literal["last", "assistant", "completion", "all"]
#: The date that Llama's templates write where there is no clock.
DEFAULT_TEMPLATE_DATE = date(2024, 7, 26)
#: Settings that were added after rows had been measured: at their defaults they are in no key.
_LATER_SETTINGS = (
    *("template_date", "rendering", "loss_on", "end_of_turn", "append_eos"),
    *("chat_template", "chat_template_kwargs", "think_marks", "spans", "step_pattern"),
    *("control_tokens", "heads"),
)


def _distinct(projections: tuple[Role, ...]) -> tuple[Role, ...]:
    if len(set(projections)) < len(projections):
        raise ValueError("each projection should be named once")
    return projections


class Protocol(BaseModel):
    """How an example becomes tokens and a loss. Part of every row's key.

    The preset ``paper`` is exactly what the reference implementation does (github
    MingLiiii/Layer_Gradient, commit e2072e8); ``standard`` fixes its known quirks. Both append no
    EOS. ``training`` has the tokens and the loss of a fine-tuning run, end of turn included. All
    take the mean cross-entropy over the tokens that carry loss, and run the model in evaluation
    mode.

    Examples:
        >>> protocol = gp.Protocol(preset="standard", chat=False, max_length=512)
        >>> protocol.projections, protocol.dtype
        (('q', 'k', 'v', 'o'), 'float32')
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    preset: Literal["paper", "standard", "training"] = Field(
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
            "response has thinking of its own (``auto``). Where conversations are rendered whole, "
            "``auto`` and ``closed`` set ``enable_thinking`` of templates with such a switch. By "
            "default ``auto`` in ``standard`` and ``inside`` in ``paper`` and ``training``."
        ),
    )
    rendering: Literal["prompt", "conversation"] = Field(
        default="prompt",
        description=(
            "What the template renders: the messages before the response, which follows unchanged "
            "(``prompt``), or the whole ``conversation``, response included."
        ),
    )
    loss_on: LossOn = Field(
        default="last",
        description=(
            "What carries loss where conversations are rendered whole: the ``last`` message, every "
            "message of the ``assistant``, the ``completion`` (everything after the prompt), or "
            "``all`` tokens."
        ),
    )
    end_of_turn: bool = Field(
        default=False,
        description="Whether what a template writes to end the assistant's turn carries loss.",
    )
    append_eos: bool = Field(
        default=False,
        description="Whether a text that no chat template wraps ends in the EOS token, with loss.",
    )
    chat_template: str | None = Field(
        default=None,
        min_length=1,
        description="The text of a chat template that replaces the tokenizer's.",
    )
    chat_template_kwargs: dict[str, Any] = Field(
        default_factory=dict,
        description="Variables for the chat template, such as ``enable_thinking``.",
    )
    think_marks: dict[str, str] = Field(
        default_factory=dict,
        description=(
            "Marks of think blocks, opening to closing, beside the known ones such as ``<think>``."
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
            default=("q", "k", "v", "o"),
            description="The projections whose gradients are computed.",
        )
    )
    spans: Division | None = Field(
        default=None,
        description=(
            "Also compute the spectra of the response's spans: thinking and answer (``think``), "
            "the parts between blank lines or by ``step_pattern`` (``steps``), the final answer "
            "and the rest (``final_answer``), or the offsets that the data give (``data``)."
        ),
    )
    step_pattern: StepPattern = Field(
        default=None,
        description=(
            "A regular expression; with ``spans: steps``, a step starts at each of its matches."
        ),
    )
    control_tokens: ControlTokens = Field(
        default=None,
        description=(
            "With ``spans``: also compute the spectra of the first k tokens (``first_k``) and of k "
            "random ones (``random_k``), as controls for length. A number, or ``answer`` for as "
            "many as the answer has; with ``spans: think`` they are tokens of the thinking."
        ),
    )
    heads: bool = Field(
        default=False,
        description="Also compute the spectra of each attention head's part of q, k, v and o.",
    )
    layer_names: LayerNames = Field(
        default=LayerNames(),
        description="Paths of the projections, for a model whose layers have unknown names.",
    )

    def for_model(self, name: str) -> Protocol:
        """Return the protocol for a model, by the name that the user gave it."""
        dropped = self.system_unless == "by_name" and "gemma" in name.lower()
        return self.model_copy(update={"system": None}) if dropped else self

    @model_validator(mode="after")
    def _loss_that_the_rendering_has(self) -> Protocol:
        if self.rendering == "prompt" and (self.loss_on != "last" or self.end_of_turn):
            setting = "end_of_turn" if self.loss_on == "last" else "loss_on"
            raise StudyError(
                f"`{setting}: {str(getattr(self, setting)).lower()}` needs conversations that are "
                "rendered whole: use the preset training, or set `rendering: conversation`."
            )
        return self

    @property
    def as_reference(self) -> bool:
        """Whether tokens are the reference's in every case, even where it loses a header."""
        return self.boundary == "prefix"

    @property
    def all_think_marks(self) -> dict[str, str]:
        """The marks of think blocks that are known, and those of ``think_marks``."""
        return {**THINK_MARKS, **self.think_marks}

    @property
    def thinking_mode(self) -> Thinking:
        """``thinking``, or what it is by default."""
        return self.thinking or self._default_thinking

    @property
    def _default_thinking(self) -> Thinking:
        whole = self.rendering == "conversation"
        return "inside" if self.as_reference or whole else "auto"

    @property
    def later_defaults(self) -> set[str]:
        """The settings of later versions that have their defaults.

        They are left out of keys, so that the rows and reports of earlier versions stay valid.
        """
        defaults = _defaults(self.preset)
        unchanged = {n for n in _LATER_SETTINGS if getattr(self, n) == getattr(defaults, n)}
        thinking = self.thinking_mode == self._default_thinking
        return unchanged | ({"thinking"} if thinking else set())

    def __hash__(self) -> int:
        # Pydantic's own would hash the fields, of which one is a dictionary.
        return hash(content_hash(self.preset, self.key()))

    def key(self) -> dict[str, Any]:
        """Return the settings that numbers depend on; the preset's name is not one of them."""
        # Added later: without paths it is left out, so that the keys of older rows stay valid.
        unset = set() if self.layer_names.paths else {"layer_names"}
        return self.model_dump(mode="json", exclude={"preset", *unset, *self.later_defaults})


@cache
def _defaults(preset: str) -> Protocol:
    return Protocol.model_construct(preset=preset)


PAPER = Protocol(
    preset="paper",
    system_unless="by_name",
    special_tokens="always",
    boundary="prefix",
    max_length=1024,
    overlong="truncate",
)
STANDARD = Protocol(preset="standard")
TRAINING = Protocol(
    preset="training",
    system=None,
    rendering="conversation",
    loss_on="assistant",
    end_of_turn=True,
    append_eos=True,
)
PRESETS = {"paper": PAPER, "standard": STANDARD, "training": TRAINING}


def make_protocol(preset: str = "standard", **changes: Any) -> Protocol:
    """Return a preset with changed settings; raise StudyError for unknown names or values."""
    if preset not in PRESETS:
        raise StudyError(f"There is no protocol {preset!r}: {nearest(preset, list(PRESETS))}")
    try:
        return Protocol.model_validate({**PRESETS[preset].model_dump(), **changes})
    except ValidationError as error:
        sentence = setting_errors(error, list(Protocol.model_fields))[0][1]
        raise StudyError(sentence) from None
