"""Send one call once, with the official openai client, and return its answer or its failure."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from openai import APIStatusError, APITimeoutError, AsyncOpenAI
from pydantic import BaseModel, Field, ValidationError

from gradpipe.conversations.generated_text import GeneratedText, divide_generated
from gradpipe.generators.answers import GeneratedAnswer
from gradpipe.generators.config import GeneratorConfig
from gradpipe.generators.retries import read_retry_after
from gradpipe.generators.secrets import read_key, redact
from gradpipe.system.failures import connection_failed

#: The key sent to servers that need none: the client requires a value.
_NO_KEY = "none"
_TRANSIENT = {408, 409, 425, 429}
_QUOTA = "insufficient_quota"
_REASON_LENGTH = 300


@dataclass(frozen=True)
class FailedAttempt:
    """An attempt without an answer.

    ``transient``: another attempt may work. ``cure``: what to do if every other call would fail the
    same way. ``retry_after``: the seconds that the server asks to wait. ``billed``: the server may
    have written a response and may charge for it.
    """

    reason: str
    transient: bool = False
    cure: str | None = None
    retry_after: float | None = None
    billed: bool = False


class ChatClient:
    """A chat model on an OpenAI-compatible server.

    Reads the key from the environment when created; raises GradpipeError if it is missing and the
    server is another machine.
    """

    def __init__(self, config: GeneratorConfig) -> None:
        host = urlsplit(config.address).hostname or ""
        key = read_key(config.key, needed=not _is_loopback(host))
        #: Texts that must not appear in messages, logs or answers.
        self.secrets = [] if key is None else [key]
        self._config = config
        # OpenAI's newer models reject ``max_tokens``, which all other servers support.
        own = host.endswith((".openai.com", ".openai.azure.com"))
        self._limit = "max_completion_tokens" if own else "max_tokens"
        self._client = AsyncOpenAI(
            api_key=key or _NO_KEY,
            base_url=config.address,
            timeout=config.timeout,
            max_retries=0,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def ask(self, call: Mapping[str, Any]) -> GeneratedAnswer | FailedAttempt:
        """Send a call (a row of PLAN_SCHEMA) once; failures are returned, not raised."""
        started = time.monotonic()
        try:
            async with asyncio.timeout(self._config.timeout):
                body = await self._send(call)
        except APIStatusError as error:
            return self._status_failure(error.status_code, dict(error.response.headers), error.body)
        except (TimeoutError, APITimeoutError):
            seconds = f"{self._config.timeout:g} s"
            return FailedAttempt(
                f"the server did not answer within {seconds}", transient=True, billed=True
            )
        except Exception as error:
            # Broken connections and unreadable bodies raise errors of many packages.
            return self._connection_failure(error)
        return self._read(body, time.monotonic() - started)

    async def _send(self, call: Mapping[str, Any]) -> str:
        asked = json.loads(call["settings"])
        settings: dict[str, Any] = {asked.get("limit_field", self._limit): int(call["max_tokens"])}
        if (seed := asked.get("seed", self._config.seed)) is not None:
            settings["seed"] = seed
        raw = await self._client.chat.completions.with_raw_response.create(
            model=str(self._config.model),
            messages=json.loads(call["messages"]),
            temperature=self._config.temperature,
            extra_body=asked.get("request"),
            extra_headers={"Idempotency-Key": str(call["key"])},
            **settings,
        )
        return str(raw.text)

    def _status_failure(
        self, status: int, headers: Mapping[str, str], body: object
    ) -> FailedAttempt:
        reason = self._reason(f"the server answered {status}", _message(body))
        quota = isinstance(body, dict) and _QUOTA in (body.get("code"), body.get("type"))
        cure = self._cure(402 if quota else status)
        transient = cure is None and (status in _TRANSIENT or status >= 500)
        return FailedAttempt(
            reason, transient=transient, cure=cure, retry_after=read_retry_after(headers)
        )

    def _cure(self, status: int) -> str | None:
        """Return what to do about a status that every call would get; None for others."""
        key = self._config.key
        cures = {
            401: f"set the environment variable {key} to a key of this server",
            402: "add credit to the account",
            403: f"set the environment variable {key} to a key that may use this model",
            404: f"check the model {self._config.model!r} and the address {self._config.address}",
        }
        return cures.get(status)

    def _connection_failure(self, error: Exception) -> FailedAttempt:
        if connection_failed(error):
            cause = error.__cause__ or error
            what = "the connection failed or broke off"
            # Without a connection, nothing was generated.
            billed = not type(cause).__name__.startswith("Connect")
            return FailedAttempt(self._reason(what, str(cause)), transient=True, billed=billed)
        what = f"the server's answer cannot be read ({type(error).__name__})"
        return FailedAttempt(self._reason(what, ""), transient=True, billed=True)

    def _read(self, body: str, seconds: float) -> GeneratedAnswer | FailedAttempt:
        try:
            completion = _Completion.model_validate_json(body)
        except ValidationError:
            return FailedAttempt(_describe(body), transient=True, billed=True)
        choice = completion.choices[0]
        part, why = choice.message.divided(), choice.finish_reason
        if why == "content_filter" or choice.message.refusal:
            return FailedAttempt("the server's content filter removed the response", billed=True)
        if not part.answer.strip() and part.reasoning is None:
            how = f"finish reason {redact(str(why), self.secrets)}"
            if why == "length":
                how += ": raise the generator's max_tokens"
            return FailedAttempt(f"the response is empty ({how})", billed=True)
        if any(secret in f"{part.reasoning} {part.answer}" for secret in self.secrets):
            return FailedAttempt("the response repeats the API key", billed=True)
        return GeneratedAnswer(
            text=part.answer,
            finish_reason=None if why is None else redact(why, self.secrets)[:40],
            prompt_tokens=_count(completion.usage, "prompt_tokens"),
            response_tokens=_count(completion.usage, "completion_tokens"),
            seconds=seconds,
            reasoning=part.reasoning,
        )

    def _reason(self, what: str, detail: str) -> str:
        # Redacted before it is cut: part of a key would not be recognized.
        detail = " ".join(redact(detail, self.secrets).split())[:_REASON_LENGTH].rstrip(".")
        return f"{what}: {detail}" if detail else what


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None
    #: The thinking, in the fields of vLLM, SGLang and DeepSeek; of OpenRouter and newer versions of
    #: vLLM; and of Ollama.
    reasoning_content: Any = None
    reasoning: Any = None
    thinking: Any = None

    def divided(self) -> GeneratedText:
        """The thinking, from its own field or from within the content, and the answer."""
        part = divide_generated(self.content or "")
        for field in (self.reasoning_content, self.reasoning, self.thinking):
            if isinstance(field, str) and field.strip():
                texts = [field.strip(), *([part.reasoning] if part.reasoning else [])]
                return part._replace(reasoning="\n\n".join(texts))
        return part


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Completion(BaseModel):
    """The parts of a chat completion that are used; servers differ in the rest."""

    choices: list[_Choice] = Field(min_length=1)
    usage: Any = None


def _count(usage: Any, field: str) -> int | None:
    value = usage.get(field) if isinstance(usage, dict) else None
    return value if type(value) is int and 0 <= value < 2**40 else None


def _describe(body: str) -> str:
    if not body.strip():
        return "the server's answer is empty"
    try:
        value = json.loads(body)
    except ValueError:
        kind = "HTML" if body.lstrip()[:1] == "<" else "text"
        return f"the server answered with {kind} instead of JSON"
    if isinstance(value, dict) and value.get("choices") == []:
        return "the server's answer has no choices"
    return "the server's answer is not a chat completion"


def _message(body: object) -> str:
    """Return the message in an error's body, or an empty text."""
    for field in ("error", "message", "detail"):
        if isinstance(body, dict) and body.get(field):
            body = body[field]
    return body if isinstance(body, str) and not body.lstrip().startswith("<") else ""


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
