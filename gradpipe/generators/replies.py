"""Read the body of a good status into an answer, or into the failure that it is."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from gradpipe.conversations.generated_text import GeneratedText, divide_generated
from gradpipe.conversations.stop_tokens import CutText, cut_stop_tokens
from gradpipe.generators.answers import GeneratedAnswer
from gradpipe.generators.attempts import FailedAttempt
from gradpipe.generators.error_details import holds_error
from gradpipe.generators.event_stream import is_event_stream, join_events
from gradpipe.generators.message_parts import MessageParts, called_tool, read_message
from gradpipe.generators.server_access import ServerAccess
from gradpipe.generators.server_errors import ServerErrors

#: What servers call the end of an answer and its limit, besides OpenAI's "stop" and "length".
_FINISH = {
    **dict.fromkeys(("eos_token", "eos", "stop_sequence", "end_turn", "stop_token"), "stop"),
    **dict.fromkeys(("max_tokens", "model_length", "max_output_tokens", "limit"), "length"),
}
#: The fields of which a message has at least one.
_FIELDS = {"content", "text", "refusal", "tool_calls", "function_call"}
_NAME_LENGTH = 200


class _Reply(NamedTuple):
    """A choice as read: its message, its thinking and answer, what was cut, and why it ended."""

    message: dict[str, Any]
    divided: GeneratedText
    cut: str | None
    finish: str | None


class ReplyReader:
    """Reads the replies of one server; what it stores holds no key."""

    def __init__(self, access: ServerAccess, errors: ServerErrors) -> None:
        self._access = access
        self._errors = errors

    def read(
        self, body: str, seconds: float, headers: Mapping[str, str] | None = None
    ) -> GeneratedAnswer | FailedAttempt:
        """Return the answer in a chat completion, or in a stream of one, or the failure."""
        completion = join_events(body) if is_event_stream(body) else _parsed(body)
        if holds_error(completion):
            return self._errors.failure(200, completion, headers)
        choice = _first_choice(completion)
        if choice.get("error"):
            return self._errors.failure(200, {"error": choice["error"]}, headers, billed=True)
        message = choice.get("message") or choice.get("delta") or choice
        parts = read_message(message) if isinstance(message, dict) else None
        if parts is None or not (parts.reasoning or _FIELDS & message.keys()):
            return self._errors.unexpected(_describe(body))
        reply = _Reply(message, *_divide(parts), self._finish_reason(choice))
        return self._answer(reply, completion if isinstance(completion, dict) else {}, seconds)

    def _answer(
        self, reply: _Reply, completion: dict[str, Any], seconds: float
    ) -> GeneratedAnswer | FailedAttempt:
        divided, cut, finish = reply.divided, reply.cut, reply.finish
        usage = _Usage(completion.get("usage"))
        refused = finish in ("error", "content_filter") or reply.message.get("refusal")
        failure = self._fault(reply, usage) if refused or not divided.answer.strip() else None
        if failure is not None:
            return failure
        if self._access.repeats_key(divided.answer, divided.reasoning, cut):
            return FailedAttempt("the response repeats the API key", billed=True)
        return GeneratedAnswer(
            text=divided.answer,
            # The model had finished, and wrote on after the end of its turn.
            finish_reason="stop" if cut is not None and finish == "length" else finish,
            prompt_tokens=usage.count("prompt_tokens"),
            response_tokens=usage.count("completion_tokens"),
            seconds=seconds,
            reasoning=divided.reasoning,
            reasoning_tokens=usage.reasoning_tokens,
            cut=cut,
            answered_by=self._name(completion.get("model")),
            fingerprint=self._name(completion.get("system_fingerprint")),
            cost=usage.cost,
        )

    def _fault(self, reply: _Reply, usage: _Usage) -> FailedAttempt | None:
        """Return the failure of a reply without an answer; None if it ended within its thinking."""
        message, finish = reply.message, reply.finish
        if finish == "error":
            return FailedAttempt(
                "the server ended the response with an error", transient=True, billed=True
            )
        if finish == "content_filter" or message.get("refusal"):
            return FailedAttempt("the server's content filter removed the response", billed=True)
        tool = called_tool(message)
        if tool is not None:
            name = self._errors.redacted(tool)[:_NAME_LENGTH]
            return FailedAttempt(
                f"the model called the tool {name!r} instead of answering", billed=True
            )
        # Paid once: some servers count the thinking and do not send it.
        if reply.divided.reasoning is not None or (usage.reasoning_tokens and finish == "length"):
            return None
        how = f"finish reason {finish}"
        if finish == "length":
            how += ": raise the generator's max_tokens"
        return FailedAttempt(f"the response is empty ({how})", billed=True)

    def _finish_reason(self, choice: Mapping[str, Any]) -> str | None:
        value = choice.get("finish_reason")
        if not isinstance(value, str) or not value.strip():
            return None
        name = value.strip().lower()
        known = name in ("stop", "length", "error", "content_filter")
        return name if known else _FINISH.get(name) or self._errors.redacted(value)[:40]

    def _name(self, value: object) -> str | None:
        return self._errors.redacted(value)[:_NAME_LENGTH] if isinstance(value, str) else None


class _Usage:
    """The tokens and the cost that a server reports, in whichever types of numbers."""

    def __init__(self, usage: object) -> None:
        self._usage: Mapping[str, Any] = usage if isinstance(usage, Mapping) else {}

    def count(self, field: str) -> int | None:
        """Return a count of tokens, None if it is missing or makes no sense."""
        number = _number(self._usage.get(field))
        return int(number) if number is not None and number < 2**40 else None

    @property
    def reasoning_tokens(self) -> int | None:
        details = self._usage.get("completion_tokens_details")
        nested = _Usage(details).count("reasoning_tokens") if details else None
        return self.count("reasoning_tokens") if nested is None else nested

    @property
    def cost(self) -> float | None:
        value = self._usage.get("cost")
        return _number(value.get("total_cost") if isinstance(value, Mapping) else value)


def _divide(parts: MessageParts) -> tuple[GeneratedText, str | None]:
    """Return the thinking and the answer of a response, and what was cut from its end."""
    part = divide_generated(parts.text or "")
    answer = cut_stop_tokens(part.answer)
    # A text that ends within its thinking ends with the stop token, too.
    thoughts = (
        CutText(part.reasoning or "") if part.answer else cut_stop_tokens(part.reasoning or "")
    )
    joined = "\n\n".join(filter(None, [parts.reasoning, thoughts.text])) or None
    divided = part._replace(reasoning=joined, answer=answer.text)
    return divided, answer.cut if answer.cut is not None else thoughts.cut


def _first_choice(completion: object) -> dict[str, Any]:
    choices = completion.get("choices") if isinstance(completion, dict) else None
    first = choices[0] if isinstance(choices, list) and choices else None
    return first if isinstance(first, dict) else {}


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _parsed(body: str) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _describe(body: str) -> str:
    if not body.strip():
        return "the server's answer is empty"
    if is_event_stream(body):
        return "the server answered with a stream of events that broke off"
    value = _parsed(body)
    if value is None and body.strip() != "null":
        kind = "HTML" if body.lstrip()[:1] == "<" else "text"
        return f"the server answered with {kind} instead of JSON"
    if isinstance(value, dict) and value.get("choices") in ([], None) and "choices" in value:
        return "the server's answer has no choices"
    return "the server's answer is not a chat completion"
