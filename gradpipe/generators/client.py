"""One attempt at one call, with the official openai client: an answer, or what went wrong."""

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

from gradpipe.generators.answers import GeneratedAnswer
from gradpipe.generators.config import GeneratorConfig
from gradpipe.generators.retries import read_retry_after
from gradpipe.generators.secrets import read_key, redact
from gradpipe.system.failures import connection_failed

#: What a server that knows no keys is sent in place of one.
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
    """A chat model on an OpenAI-compatible server; the key is read when it is made.

    Raises GradpipeError where the environment has no key and the server is another machine.
    """

    def __init__(self, config: GeneratorConfig) -> None:
        host = urlsplit(config.address).hostname or ""
        key = read_key(config.key, needed=not _is_loopback(host))
        #: What must not appear in any text.
        self.secrets = [] if key is None else [key]
        self._config = config
        # OpenAI's newer models refuse the field that everybody else knows.
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
        """One attempt at a call (a row of PLAN_SCHEMA), within the timeout; never raises for it."""
        started = time.monotonic()
        try:
            async with asyncio.timeout(self._config.timeout):
                body = await self._send(call)
        except APIStatusError as error:
            return self._refused(error.status_code, dict(error.response.headers), error.body)
        except (TimeoutError, APITimeoutError):
            seconds = f"{self._config.timeout:g} s"
            return FailedAttempt(
                f"the server did not answer within {seconds}", transient=True, billed=True
            )
        except Exception as error:
            # Whatever the client raises for a broken connection or a body it cannot read.
            return self._broken(error)
        return self._read(body, time.monotonic() - started)

    async def _send(self, call: Mapping[str, Any]) -> str:
        settings: dict[str, Any] = {self._limit: int(call["max_tokens"])}
        if self._config.seed is not None:
            settings["seed"] = self._config.seed
        raw = await self._client.chat.completions.with_raw_response.create(
            model=str(self._config.model),
            messages=json.loads(call["messages"]),
            temperature=self._config.temperature,
            extra_headers={"Idempotency-Key": str(call["key"])},
            **settings,
        )
        return str(raw.text)

    def _refused(self, status: int, headers: Mapping[str, str], body: object) -> FailedAttempt:
        reason = self._reason(f"the server answered {status}", _message(body))
        quota = isinstance(body, dict) and _QUOTA in (body.get("code"), body.get("type"))
        cure = self._cure(402 if quota else status)
        transient = cure is None and (status in _TRANSIENT or status >= 500)
        return FailedAttempt(
            reason, transient=transient, cure=cure, retry_after=read_retry_after(headers)
        )

    def _cure(self, status: int) -> str | None:
        """What to do about a refusal that the next call would meet as well; None for others."""
        key = self._config.key
        cures = {
            401: f"set the environment variable {key} to a key of this server",
            402: "see to the account's credit",
            403: f"take a key (in the environment variable {key}) that may use this model",
            404: f"check the model {self._config.model!r} and the address {self._config.address}",
        }
        return cures.get(status)

    def _broken(self, error: Exception) -> FailedAttempt:
        if connection_failed(error):
            cause = error.__cause__ or error
            what = "the connection failed or broke off"
            # A connection that was never made cannot have cost anything.
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
        text, why = choice.message.content or "", choice.finish_reason
        if why == "content_filter" or choice.message.refusal:
            return FailedAttempt("the server's content filter held the response back", billed=True)
        if not text.strip():
            how = f"finish reason {redact(str(why), self.secrets)}"
            if why == "length":
                how += ", so raise the generator's max_tokens"
            return FailedAttempt(f"the response is empty ({how})", billed=True)
        if any(secret in text for secret in self.secrets):
            return FailedAttempt("the response repeats the API key", billed=True)
        return GeneratedAnswer(
            text=text,
            finish_reason=None if why is None else redact(why, self.secrets)[:40],
            prompt_tokens=_count(completion.usage, "prompt_tokens"),
            response_tokens=_count(completion.usage, "completion_tokens"),
            seconds=seconds,
        )

    def _reason(self, what: str, detail: str) -> str:
        # Redacted before it is cut: half a key would no longer be recognised.
        detail = " ".join(redact(detail, self.secrets).split())[:_REASON_LENGTH].rstrip(".")
        return f"{what}: {detail}" if detail else what


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Completion(BaseModel):
    """As much of a chat completion as is used: compatible servers leave out or add the rest."""

    choices: list[_Choice] = Field(min_length=1)
    usage: Any = None


def _count(usage: Any, field: str) -> int | None:
    value = usage.get(field) if isinstance(usage, dict) else None
    return value if type(value) is int and 0 <= value < 2**40 else None


def _describe(body: str) -> str:
    if not body.strip():
        return "the server answered with nothing"
    try:
        found = json.loads(body)
    except ValueError:
        kind = "HTML" if body.lstrip()[:1] == "<" else "text"
        return f"the server answered with {kind} that is no JSON"
    if isinstance(found, dict) and found.get("choices") == []:
        return "the server's answer has no choices"
    return "the server's answer is no chat completion"


def _message(body: object) -> str:
    """What an error's body says: its message where it has one."""
    for field in ("error", "message", "detail"):
        if isinstance(body, dict) and body.get(field):
            body = body[field]
    return body if isinstance(body, str) and not body.lstrip().startswith("<") else ""


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
