"""Send one call once, with the official openai client, and return its answer or its failure."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from openai import APIStatusError, APITimeoutError, AsyncOpenAI

from gradpipe.generators.answers import GeneratedAnswer
from gradpipe.generators.attempts import FailedAttempt
from gradpipe.generators.config import GeneratorConfig
from gradpipe.generators.http_client import make_http_client, watch_connections
from gradpipe.generators.replies import ReplyReader
from gradpipe.generators.server_access import find_access
from gradpipe.generators.server_errors import ServerErrors
from gradpipe.system.failures import connection_failed, error_chain

#: The key sent to servers that need none: the client requires a value.
_NO_KEY = "none"
_LIMIT_FIELDS = ("max_tokens", "max_completion_tokens")
#: A server that closed an idle connection says so within one round trip; after more seconds, it may
#: have written a response.
_ROUND_TRIP = 5.0


class ChatClient:
    """A chat model on an OpenAI-compatible server.

    Reads the key and the proxy from the environment when created; raises GradpipeError as
    ``find_access`` does.
    """

    def __init__(self, config: GeneratorConfig) -> None:
        self.access = find_access(config)
        self._config = config
        # OpenAI's newer models reject ``max_tokens``, which all other servers support.
        own = self.access.host.endswith((".openai.com", ".openai.azure.com"))
        self._limit = "max_completion_tokens" if own else "max_tokens"
        #: The fields that the server has refused, and that are not sent again.
        self._refused: set[str] = set()
        #: What this server's errors mean.
        self.errors = ServerErrors(config, self.access)
        self._replies = ReplyReader(self.access, self.errors)
        self._client = AsyncOpenAI(
            api_key=self.access.key or _NO_KEY,
            base_url=config.address,
            timeout=config.timeout,
            max_retries=0,
            http_client=make_http_client(self.access.proxy),
        )

    @property
    def secrets(self) -> list[str]:
        """Texts that must not appear in messages, logs or answers."""
        return self.access.secrets

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def ask(self, call: Mapping[str, Any]) -> GeneratedAnswer | FailedAttempt:
        """Send a call (a row of PLAN_SCHEMA) once; failures are returned, not raised."""
        started = time.monotonic()
        settings = json.loads(call["settings"])
        fields = self._fields(call, settings)
        raw = await self._attempt(
            lambda: self._client.chat.completions.with_raw_response.create(
                model=str(self._config.model),
                messages=json.loads(call["messages"]),
                extra_body=settings.get("request"),
                extra_headers={"Idempotency-Key": str(call["key"])},
                **fields,
            ),
            self._config.timeout,
        )
        if isinstance(raw, FailedAttempt):
            return self._without_refused(raw, fields)
        reply = self.read(raw.text, time.monotonic() - started, dict(raw.headers))
        return self._without_refused(reply, fields) if isinstance(reply, FailedAttempt) else reply

    def read(
        self, body: str, seconds: float, headers: Mapping[str, str] | None = None
    ) -> GeneratedAnswer | FailedAttempt:
        """Read the body of a good response; ``seconds`` is the time that it took."""
        return self._replies.read(body, seconds, headers)

    async def models(self, timeout: float) -> list[str] | FailedAttempt:
        """Return the models that the server lists, or why it does not, within ``timeout`` s.

        The list is empty if the server has none; it need not have one.
        """
        raw = await self._attempt(self._client.models.with_raw_response.list, timeout)
        if isinstance(raw, FailedAttempt):
            return raw
        try:
            listed = json.loads(raw.text)
            return [str(model["id"]) for model in listed["data"]]
        except (ValueError, KeyError, TypeError):
            return []

    async def _attempt(self, send: Callable[[], Awaitable[Any]], timeout: float) -> Any:
        """Return a raw response, or the failure of a request to get one."""
        started, opened = time.monotonic(), watch_connections()
        try:
            async with asyncio.timeout(timeout):
                raw = await send()
        except APIStatusError as error:
            response = error.response
            if _lost_its_body(response):
                return self.errors.redirected(str(response.url))
            return self.errors.failure(response.status_code, response.text, dict(response.headers))
        except (TimeoutError, APITimeoutError):
            through = f" through {self.access.proxy}" if self.access.proxy else ""
            return FailedAttempt(
                f"the server did not answer within {timeout:g} s{through}",
                transient=True,
                billed=True,
            )
        except Exception as error:
            # Broken connections and unreadable bodies raise errors of many packages.
            closed = not opened and time.monotonic() - started < _ROUND_TRIP
            return self._connection_failure(error, closed)
        moved = _lost_its_body(raw.http_response)
        return self.errors.redirected(str(raw.http_response.url)) if moved else raw

    def _fields(self, call: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of a request that a server may refuse, and its seed."""
        limit = str(settings.get("limit_field") or self._limit)
        if limit in self._refused:
            limit = next((name for name in _LIMIT_FIELDS if name not in self._refused), limit)
        fields: dict[str, Any] = {limit: int(call["max_tokens"])}
        if "temperature" not in self._refused:
            fields["temperature"] = self._config.temperature
        seed = settings.get("seed", self._config.seed)
        return fields if seed is None else fields | {"seed": int(seed)}

    def _without_refused(self, failure: FailedAttempt, sent: Mapping[str, Any]) -> FailedAttempt:
        """Note a field that the server refuses, so that the call is sent again without it."""
        if failure.refused is None:
            return failure
        names = _LIMIT_FIELDS if failure.refused in _LIMIT_FIELDS else (failure.refused,)
        name = next((name for name in names if name in sent), None)
        other = [field for field in names if field != name and field not in self._refused]
        if name is None or (names is _LIMIT_FIELDS and not other):
            return failure
        self._refused.add(name)
        return replace(failure, again=True)

    def _connection_failure(self, error: Exception, closed: bool) -> FailedAttempt:
        """The failure of a connection; ``closed``: an idle one, which the server closed."""
        through = f" through {self.access.proxy}" if self.access.proxy else ""
        if connection_failed(error):
            cause = error.__cause__ or error
            what = f"the connection{through} failed or broke off"
            # Without a connection, nothing was generated.
            kinds = {type(link).__name__ for link in error_chain(error)}
            unsent = any(name.startswith(("Connect", "Proxy")) for name in kinds)
            return FailedAttempt(
                self.errors.reason(what, str(cause)),
                transient=True,
                billed=not (unsent or closed),
                again=closed and not unsent,
                unreachable=unsent,
            )
        what = f"the server's answer cannot be read ({type(error).__name__})"
        return self.errors.unexpected(what)


def _lost_its_body(response: Any) -> bool:
    """Whether a redirect turned the request into one for a page, as most redirects do."""
    sent = response.history[0].request.method if response.history else ""
    return bool(sent == "POST" and response.request.method != sent)
