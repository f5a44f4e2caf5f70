"""A study's settings for its generator, which writes the responses that its sources do not have."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from gradpipe.errors import StudyError
from gradpipe.fields import Number, Whole
from gradpipe.generators.budget import Budget, TokenPrice
from gradpipe.generators.request_settings import RequestSettings, with_plain_names
from gradpipe.generators.secrets import holds_key

_CREDENTIALS = ("key", "token", "secret", "password", "auth")


class GeneratorConfig(RequestSettings):
    """The writer of responses: the ``source`` itself, an ``openai``-compatible server, files of a
    ``batch`` API, or a local model by ``transformers`` or ``vllm``.

    ``key`` is the name of the environment variable with the server's key, None for
    OPENAI_API_KEY, which is sent to known hosts only. ``base_url`` None is the
    openai client's own default. ``styles`` None generates the styles that the source does not have;
    listed styles are always generated. ``prompts`` is a folder with templates that replace the
    packaged ones. ``timeout`` is in seconds, for one attempt. Raises StudyError for settings that
    contradict each other or contain a key.
    """

    concurrency: Whole = Field(
        default=8, ge=1, le=256, description="Requests at the same time, for ``openai``."
    )
    batch: Whole = Field(
        default=8,
        ge=1,
        le=1024,
        description="Responses that are generated together, for ``transformers``.",
    )
    batch_folder: str | None = Field(
        default=None,
        description=(
            "The folder of the requests that ``batch`` writes and of the answers that it reads; "
            "by default ``batches`` in the workspace."
        ),
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
    price: TokenPrice | None = Field(
        default=None, description="Prices of tokens, for estimates and for the cost of answers."
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
            value = with_plain_names(value)
            _refuse_credentials(value, set(cls.model_fields))
        return value

    def identity(self) -> dict[str, Any]:
        """Return everything that determines a response's text: it is part of every call's key.

        Raises ModelError if a local model is missing.
        """
        if self.kind == "source":
            return {"kind": self.kind}
        shared = {"kind": self.kind, "max_tokens": self.max_tokens, "temperature": self.temperature}
        if self.kind == "batch" and self.base_url is None:
            return shared | {"model": self.model, "seed": self.seed}
        if self.kind in ("openai", "batch"):
            # With the address: two servers may use the same name, such as `default`, for different
            # models. After a server moves, its responses are paid for again, which is the smaller
            # harm. Concurrency, budget, price and key do not change the text.
            server = {"model": self.model, "base_url": self.address, "seed": self.seed}
            return shared | server | {"kind": "openai"}
        # The batch size only affects rounding.
        seed = (self.seed or 0) if self.temperature else None
        return shared | {"weights": self.weights(), "dtype": self.dtype, "seed": seed}


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
