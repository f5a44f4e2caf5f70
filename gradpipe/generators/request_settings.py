"""Settings of a generator's requests: prompts, sampling, and further fields of the request."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field, JsonValue, field_validator, model_validator

from gradpipe.errors import StudyError, nearest
from gradpipe.fields import Number, Whole
from gradpipe.generators.extra_fields import (
    check_extra_fields,
    check_fields_of_kind,
    merge_fields,
)
from gradpipe.generators.few_shot import WorkedExample
from gradpipe.generators.writer_settings import LOCAL_KINDS, WriterSettings
from gradpipe.generators.written_styles import MAX_TOKENS, WRITTEN_STYLES
from gradpipe.styles import THINKING_STYLES

#: Seeds are below this in every server's request.
_SEEDS = 2**63


class RequestSettings(WriterSettings):
    """What is requested of the writer. Settings that are not set leave no mark on a call's key."""

    styles: tuple[str, ...] | None = Field(
        default=None,
        description=(
            "The styles to write, even if the source has them; by default the styles that the "
            "source does not have."
        ),
    )
    prompts: str | None = Field(
        default=None,
        description="A folder with prompt templates, used instead of the packaged ones.",
    )
    system: str | None = Field(
        default=None,
        description=(
            "The system message of every request, instead of the template's; an empty text leaves "
            "it out."
        ),
    )
    few_shot: str | tuple[WorkedExample, ...] | None = Field(
        default=None,
        description=(
            "Worked examples before the question: a list of mappings with ``user`` and "
            "``assistant``, or a JSONL file of them."
        ),
    )
    temperature: Number = Field(
        default=0.0,
        ge=0,
        le=2,
        description="The sampling temperature; 0 takes the most likely token.",
    )
    max_tokens: Whole | None = Field(
        default=None,
        ge=1,
        le=10_000_000,
        description="The most tokens of one response; the default depends on its style.",
    )
    limit_field: Literal["max_tokens", "max_completion_tokens"] | None = Field(
        default=None,
        description=(
            "The limit's name in a request; by default the server's. Writing "
            "``max_completion_tokens`` instead of ``max_tokens`` sets both."
        ),
    )
    seed: Whole | None = Field(
        default=None, ge=0, le=_SEEDS - 1, description="The seed of the sampling."
    )
    samples: Whole = Field(
        default=1,
        ge=1,
        le=1000,
        description=(
            "Responses per item and style, also written ``n``; more than one needs a temperature "
            "above 0."
        ),
    )
    thinking_request: dict[str, JsonValue] = Field(
        default={"chat_template_kwargs": {"enable_thinking": True}},
        description=(
            "Fields added to the requests of ``thinking`` and ``answer_only``, over those of "
            "``extra_body``, which make the model think; for ``openai`` and ``batch``. By default "
            "those of vLLM and SGLang."
        ),
    )
    extra_body: dict[str, JsonValue] = Field(
        default={},
        description=(
            "Fields added to every request, such as ``reasoning_effort``, ``top_p`` or "
            "``chat_template_kwargs``; a local model honors those of its sampling and its template."
        ),
    )
    response_format: dict[str, JsonValue] | None = Field(
        default=None,
        description=(
            "The form of the response, such as ``{type: json_object}``; for ``openai`` and "
            "``batch``."
        ),
    )

    @field_validator("styles")
    @classmethod
    def _known_styles(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for style in value or ():
            if style not in WRITTEN_STYLES:
                raise StudyError(
                    f"Generators cannot write the style {style!r}: {nearest(style, WRITTEN_STYLES)}"
                )
        return value

    @field_validator("few_shot", mode="before")
    @classmethod
    def _pairs(cls, value: Any) -> Any:
        valid = value is None or isinstance(value, str)
        if not valid and not (isinstance(value, list | tuple) and all(map(_is_pair, value))):
            raise StudyError(
                "The generator's `few_shot` is invalid: write a list of {user: ..., assistant: "
                "...}, or the path of a JSONL file of them."
            )
        return value

    @field_validator("thinking_request", "extra_body")
    @classmethod
    def _additional(cls, value: dict[str, JsonValue], info: Any) -> dict[str, JsonValue]:
        check_extra_fields(str(info.field_name), value)
        return value

    @model_validator(mode="after")
    def _possible(self) -> RequestSettings:
        if self.samples > 1 and self.temperature == 0:
            raise StudyError(
                f"The generator's {self.samples} `samples` at temperature 0 would all be equal: "
                "set a `temperature` above 0, or `samples: 1`."
            )
        check_fields_of_kind(self.kind, self.extra_body)
        for name in ("response_format", "limit_field"):
            if self.kind in LOCAL_KINDS and getattr(self, name) is not None:
                raise StudyError(
                    f"The generator {self.kind!r} has no requests with a `{name}`: remove it, or "
                    "use a server (`kind: openai`)."
                )
        if self.response_format is not None and "response_format" in self.extra_body:
            raise StudyError("The generator sets `response_format` twice: remove it from one.")
        if self.temperature == 0 and self.kind == "transformers":
            _refuse_sampling(self.extra_body)
        return self

    def styles_to_write(self, listed: Sequence[str] | None) -> tuple[str, ...]:
        """The styles to write: ``styles``, or the default ones.

        ``listed`` are the styles that a study lists, None if it lists none: the styles of a
        thinking model are written by default only if they are among them.
        """
        if self.styles is not None:
            return self.styles
        wanted = {*MAX_TOKENS} - {*THINKING_STYLES} | {*(listed or ())}
        return tuple(style for style in MAX_TOKENS if style in wanted)

    def thinking_settings(self, style: str) -> dict[str, Any]:
        """The settings that make the model think in this style; part of the keys of its calls."""
        if style not in THINKING_STYLES or self.kind == "source":
            return {}
        if self.kind in LOCAL_KINDS:
            return {"enable_thinking": True}
        return {"request": merge_fields(self._request(), self.thinking_request)}

    def request_settings(self, style: str, sample: int = 0) -> dict[str, Any]:
        """The settings of one call beside the generator's identity, as far as they are set.

        ``request`` has the fields merged into its body; ``sample`` counts from 0. Samples of one
        prompt have different seeds, if the study sets one.
        """
        settings: dict[str, Any] = {"request": self._request()} if self._request() else {}
        settings |= self.thinking_settings(style)
        if self.limit_field is not None:
            settings["limit_field"] = self.limit_field
        if sample:
            settings["sample"] = sample
            if self.seed is not None:
                settings["seed"] = (self.seed + sample) % _SEEDS
        return settings

    def additions(self) -> dict[str, Any]:
        """Settings beside the identity and the prompts that change responses, if they are set."""
        settings = {
            "request": self._request(),
            "limit_field": self.limit_field,
            "samples": self.samples if self.samples > 1 else None,
        }
        return {name: value for name, value in settings.items() if value}

    def _request(self) -> dict[str, Any]:
        own = {} if self.response_format is None else {"response_format": self.response_format}
        return {**self.extra_body, **own}


def _is_pair(value: object) -> bool:
    if not isinstance(value, dict):
        return isinstance(value, WorkedExample)
    texts = all(isinstance(text, str) and text.strip() for text in value.values())
    return value.keys() == WorkedExample.model_fields.keys() and texts


def _refuse_sampling(fields: dict[str, JsonValue]) -> None:
    for name in fields:
        if name != "chat_template_kwargs":
            raise StudyError(
                f"The generator's `{name}` has no effect at temperature 0: set a `temperature` "
                "above 0, or remove it."
            )


def template_variables(call: Mapping[str, Any]) -> dict[str, Any]:
    """The variables of the chat template of a local model's call (a row of PLAN_SCHEMA)."""
    settings = json.loads(call["settings"])
    thinks = {"enable_thinking": True} if settings.get("enable_thinking") else {}
    return {**settings.get("request", {}).get("chat_template_kwargs", {}), **thinks}


def with_plain_names(settings: dict[Any, Any]) -> dict[Any, Any]:
    """Replace the names of requests that people write: ``n`` and ``max_completion_tokens``.

    Raises StudyError if a setting is written under both names.
    """
    changed = dict(settings)
    for alias, name in (("n", "samples"), ("max_completion_tokens", "max_tokens")):
        if alias not in changed:
            continue
        if name in changed:
            raise StudyError(f"The generator sets both `{alias}` and `{name}`: remove one.")
        changed[name] = changed.pop(alias)
        if alias == "max_completion_tokens":
            changed.setdefault("limit_field", alias)
    return changed
