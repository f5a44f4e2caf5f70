"""What a study says of its generator: who writes the responses that its sources do not bring."""

from __future__ import annotations

import os
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from gradpipe.errors import StudyError, nearest
from gradpipe.fields import Number, Whole
from gradpipe.generators.secrets import check_key_name, holds_key

#: The styles that a model writes, and how many tokens it may take for each unless a study says.
MAX_TOKENS = {
    "simplified": 512,
    "detailed": 2048,
    "length_100": 256,
    "length_500": 1024,
    "length_1000": 2048,
}
#: ``none`` is the item's own answer and costs no call.
WRITTEN_STYLES = ("none", *MAX_TOKENS)

_OPENAI = "https://api.openai.com/v1"
_CREDENTIALS = ("key", "token", "secret", "password", "auth")


class Budget(BaseModel):
    """How much one run may send: requests (retries count) and tokens, prompt and response."""

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
    """What a million tokens cost, in whatever currency the server bills."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prompt: Number = Field(ge=0, description="The price per million prompt tokens.")
    response: Number = Field(ge=0, description="The price per million response tokens.")

    def cost(self, prompt_tokens: int, response_tokens: int) -> float:
        """What these tokens cost, in the same currency."""
        return (prompt_tokens * self.prompt + response_tokens * self.response) / 1e6


class GeneratorConfig(BaseModel):
    """Who writes responses: the ``source`` itself, an ``openai``-compatible server, or a local
    ``transformers`` model.

    ``key`` names the environment variable that holds the server's key. ``base_url`` None is the
    openai client's own default. ``styles`` None generates what the source lacks; a style that is
    named is written even where the source has it. ``prompts`` is a folder with templates to use in
    place of the packaged ones. ``timeout`` is in seconds, for one attempt. Raises StudyError for
    settings that do not fit together or hold a key.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    kind: Literal["source", "openai", "transformers"] = Field(
        default="source",
        description=(
            "Who writes responses: nobody (``source``), an OpenAI-compatible server, or a "
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
    key: str = Field(
        default="OPENAI_API_KEY",
        description="The name of the environment variable that holds the server's key.",
    )
    styles: tuple[str, ...] | None = Field(
        default=None,
        description=(
            "The styles to write, even if the source has them; by default those that it does "
            "not have."
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
        description=("The most tokens of one response; by default as many as its style needs."),
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
        description="How often one request is attempted at most.",
    )
    timeout: Number = Field(
        default=180.0, gt=0, le=86_400, description="Seconds until one attempt is given up."
    )
    budget: Budget = Field(default=Budget(), description="The most that one run may send.")
    price: TokenPrice | None = Field(
        default=None, description="The price of tokens, for estimates."
    )
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
    def _names_a_variable(cls, value: str) -> str:
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
                    f"No generator writes the style {style!r}: {nearest(style, WRITTEN_STYLES)}"
                )
        return value

    @model_validator(mode="after")
    def _complete(self) -> GeneratorConfig:
        if self.kind != "source" and self.model is None:
            raise StudyError(
                f"The generator {self.kind!r} needs a model: name it as the generator's `model`."
            )
        if self.kind != "transformers" and self.revision is not None:
            raise StudyError(
                f"The generator {self.kind!r} has no revisions: leave `revision` out, or choose "
                "the generator 'transformers'."
            )
        return self

    @property
    def address(self) -> str:
        """The server's base URL, found as the openai client finds it; raises StudyError."""
        return self.base_url or plain_address(os.environ.get("OPENAI_BASE_URL") or _OPENAI)

    def identity(self) -> dict[str, Any]:
        """What decides the text of a response, and so is part of every call's key.

        Raises ModelError where a ``transformers`` model cannot be found.
        """
        if self.kind == "source":
            return {"kind": self.kind}
        shared = {"kind": self.kind, "max_tokens": self.max_tokens, "temperature": self.temperature}
        if self.kind == "openai":
            # The address belongs: servers give their own meaning to names such as `default`, and
            # text by another model would be taken for this one's. A server that moves pays again,
            # which is the smaller harm. Concurrency, budget, price and key change no text.
            server = {"model": self.model, "base_url": self.address, "seed": self.seed}
            return shared | server
        from gradpipe.models.fingerprint import fingerprint
        from gradpipe.models.source import resolve_model

        # By content, as in a spectrum's key: a model that moves is the same one, one that is
        # trained further in its place is not. Batches change roundings only.
        weights = fingerprint(resolve_model(str(self.model), self.revision))
        seed = (self.seed or 0) if self.temperature else None
        return shared | {"weights": weights, "dtype": self.dtype, "seed": seed}


def plain_address(url: str) -> str:
    """A server's base URL in one spelling; raises StudyError, which repeats no part of it.

    A name, password or query in it would end up in tables and logs.
    """
    try:
        parts = urlsplit(url.strip())
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.username or parts.password or parts.query or parts.fragment:
        raise StudyError(
            "The generator's `base_url` is no plain address: write http:// or https://, host and "
            "path, such as http://localhost:8000/v1, and no name, password or query."
        )
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/')}"


def _refuse_credentials(settings: dict[Any, Any], known: set[str]) -> None:
    # Before pydantic sees them: its errors would repeat the values.
    for name, value in settings.items():
        unknown = str(name) not in known
        named = unknown and any(word in str(name).lower() for word in _CREDENTIALS)
        if named or holds_key(str(name)) or (str(name) != "key" and holds_key(str(value))):
            raise StudyError(
                "The generator's settings hold a key: put it into an environment variable, and "
                "name that variable with `key`."
            )
