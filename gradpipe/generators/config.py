"""A study's settings for its generator, which writes the responses that its sources do not have."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator

from gradpipe.errors import StudyError, nearest
from gradpipe.fields import Number, Whole
from gradpipe.generators.secrets import check_key_name, holds_key
from gradpipe.styles import THINKING_STYLES

#: The styles that a model writes, and the default limit of tokens per response. A thinking model's
#: limit holds for its thinking and its answer together.
MAX_TOKENS = {
    "simplified": 512,
    "detailed": 2048,
    "length_100": 256,
    "length_500": 1024,
    "length_1000": 2048,
    **dict.fromkeys(THINKING_STYLES, 8192),
}
#: ``none`` is the item's own answer and needs no call.
WRITTEN_STYLES = ("none", *MAX_TOKENS)

_OPENAI = "https://api.openai.com/v1"
#: Fields of a request that have settings of their own, or that gradpipe decides.
_OWN_FIELDS = (
    *("model", "messages", "max_tokens", "max_completion_tokens", "temperature", "seed"),
    *("stream", "n"),
)
_CREDENTIALS = ("key", "token", "secret", "password", "auth")


class Budget(BaseModel):
    """Limits of one run: requests, including retries, and tokens of prompts and responses."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    requests: Whole | None = Field(
        default=None,
        ge=0,
        description="The most requests of one run, retries included; by default no limit.",
    )
    tokens: Whole | None = Field(
        default=None,
        ge=0,
        description="The most tokens of one run, prompts and responses; by default no limit.",
    )


class TokenPrice(BaseModel):
    """The price per million tokens, in the currency of the server's bill."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prompt: Number = Field(ge=0, description="The price per million prompt tokens.")
    response: Number = Field(ge=0, description="The price per million response tokens.")

    def cost(self, prompt_tokens: int, response_tokens: int) -> float:
        """Return the cost of these tokens, in the same currency."""
        return (prompt_tokens * self.prompt + response_tokens * self.response) / 1e6


class GeneratorConfig(BaseModel):
    """The writer of responses: the ``source`` itself, an ``openai``-compatible server, or a local
    ``transformers`` model.

    ``key`` is the name of the environment variable with the server's key, None for
    OPENAI_API_KEY, which is sent to known hosts only. ``base_url`` None is the
    openai client's own default. ``styles`` None generates the styles that the source does not have;
    listed styles are always generated. ``prompts`` is a folder with templates that replace the
    packaged ones. ``timeout`` is in seconds, for one attempt. Raises StudyError for settings that
    contradict each other or contain a key.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    kind: Literal["source", "openai", "transformers"] = Field(
        default="source",
        description=(
            "The writer of responses: none (``source``), an OpenAI-compatible server, or a "
            "local model."
        ),
    )
    model: str | None = Field(
        default=None,
        min_length=1,
        description="The model's name on the server, or its hub id or folder.",
    )
    revision: str | None = Field(
        default=None, description="A branch, tag or commit of a hub model, for ``transformers``."
    )
    dtype: Literal["float32", "bfloat16", "float16"] = Field(
        default="float32", description="The precision of the weights, for ``transformers``."
    )
    base_url: str | None = Field(
        default=None,
        description="The server's address; by default OPENAI_BASE_URL, or OpenAI's own.",
    )
    key: str | None = Field(
        default=None,
        description=(
            "The name of the environment variable that holds the server's key; by default "
            "OPENAI_API_KEY, which is not sent to unknown hosts."
        ),
    )
    styles: tuple[str, ...] | None = Field(
        default=None,
        description=(
            "The styles to write, even if the source has them; by default the styles that the "
            "source does not have."
        ),
    )
    thinking_request: dict[str, JsonValue] = Field(
        default={"chat_template_kwargs": {"enable_thinking": True}},
        description=(
            "Fields added to the requests of ``thinking`` and ``answer_only``, which make the "
            "model think; for ``openai``. By default those of vLLM and SGLang."
        ),
    )
    prompts: str | None = Field(
        default=None,
        description="A folder with prompt templates, used instead of the packaged ones.",
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
    seed: Whole | None = Field(
        default=None, ge=0, le=2**63 - 1, description="The seed of the sampling."
    )
    concurrency: Whole = Field(
        default=8, ge=1, le=256, description="Requests at the same time, for ``openai``."
    )
    batch: Whole = Field(
        default=8,
        ge=1,
        le=1024,
        description="Responses that are generated together, for ``transformers``.",
    )
    attempts: Whole = Field(
        default=5,
        ge=1,
        le=100,
        description="The most attempts at one request.",
    )
    timeout: Number = Field(
        default=180.0, gt=0, le=86_400, description="The timeout of one attempt, in seconds."
    )
    budget: Budget = Field(default=Budget(), description="Limits of one run.")
    price: TokenPrice | None = Field(default=None, description="Prices of tokens, for estimates.")
    mismatches: Literal["exclude", "keep"] = Field(
        default="exclude",
        description=("Whether responses that do not reach the item's answer are excluded or kept."),
    )

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        value = {"kind": value} if isinstance(value, str) else value
        if isinstance(value, dict):
            _refuse_credentials(value, set(cls.model_fields))
        return value

    @field_validator("key")
    @classmethod
    def _names_a_variable(cls, value: str | None) -> str | None:
        if value is not None:
            check_key_name(value)
        return value

    @field_validator("base_url")
    @classmethod
    def _plain_address(cls, value: str | None) -> str | None:
        return None if value is None else plain_address(value)

    @field_validator("styles")
    @classmethod
    def _known_styles(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for style in value or ():
            if style not in WRITTEN_STYLES:
                raise StudyError(
                    f"Generators cannot write the style {style!r}: {nearest(style, WRITTEN_STYLES)}"
                )
        return value

    @field_validator("thinking_request")
    @classmethod
    def _additional(cls, value: dict[str, JsonValue]) -> dict[str, JsonValue]:
        for field in value:
            if field in _OWN_FIELDS:
                raise StudyError(
                    f"The generator's `thinking_request` may not contain {field!r}: leave it out; "
                    "the model, its limits and its sampling have settings of their own."
                )
        return value

    @model_validator(mode="after")
    def _complete(self) -> GeneratorConfig:
        if self.kind != "source" and self.model is None:
            raise StudyError(
                f"The generator {self.kind!r} needs a model: set the generator's `model`."
            )
        if self.kind != "transformers" and self.revision is not None:
            raise StudyError(
                f"The generator {self.kind!r} has no revisions: remove `revision`, or use the "
                "generator 'transformers'."
            )
        return self

    @property
    def address(self) -> str:
        """The server's base URL, with the openai client's defaults; raises StudyError."""
        return self.base_url or plain_address(os.environ.get("OPENAI_BASE_URL") or _OPENAI)

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
        if self.kind == "openai":
            return {"request": self.thinking_request}
        return {"enable_thinking": True}

    def identity(self) -> dict[str, Any]:
        """Return everything that determines a response's text: it is part of every call's key.

        Raises ModelError if a ``transformers`` model is missing.
        """
        if self.kind == "source":
            return {"kind": self.kind}
        shared = {"kind": self.kind, "max_tokens": self.max_tokens, "temperature": self.temperature}
        if self.kind == "openai":
            # With the address: two servers may use the same name, such as `default`, for different
            # models. After a server moves, its responses are paid for again, which is the smaller
            # harm. Concurrency, budget, price and key do not change the text.
            server = {"model": self.model, "base_url": self.address, "seed": self.seed}
            return shared | server
        from gradpipe.models.find import find_model
        from gradpipe.models.fingerprint import fingerprint

        # By content, as in a spectrum's key: a moved model keeps its identity, a model trained
        # further at the same path does not. The batch size only affects rounding.
        weights = fingerprint(find_model(str(self.model), self.revision))
        seed = (self.seed or 0) if self.temperature else None
        return shared | {"weights": weights, "dtype": self.dtype, "seed": seed}


def plain_address(url: str) -> str:
    """Return a server's base URL in normal form; raises StudyError for URLs with credentials.

    The error does not repeat the URL: it would end up in logs.
    """
    try:
        parts = urlsplit(url.strip())
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.username or parts.password or parts.query or parts.fragment:
        raise StudyError(
            "The generator's `base_url` is not a plain address: use http:// or https://, host and "
            "path, such as http://localhost:8000/v1, without user name, password or query."
        )
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/')}"


def _refuse_credentials(settings: dict[Any, Any], known: set[str]) -> None:
    # Before pydantic validates them: its errors would repeat the values.
    for name, value in settings.items():
        unknown = str(name) not in known
        named = unknown and any(word in str(name).lower() for word in _CREDENTIALS)
        if named or holds_key(str(name)) or (str(name) != "key" and holds_key(str(value))):
            raise StudyError(
                "The generator's settings contain a key: put it into an environment variable, and "
                "set `key` to the variable's name."
            )
