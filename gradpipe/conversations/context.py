"""What precedes a response where it is more than one instruction, as one text beside the pair.

Tables of items and examples have a column for it: a JSON object, or null for a plain pair. Its keys
are ``messages`` (everything before the response), ``prompt_messages``, ``tools``,
``chat_template_kwargs`` and ``role`` (of the response, unless it is the assistant's) for a
conversation; ``joined`` or ``text`` for texts that the response continues; and ``unusable``, a
reason, for a row of the data that cannot be used. ``exact`` is a whole example with its kind, as it
is sent to another process.
"""

from __future__ import annotations

import json
from typing import Any

from gradpipe.conversations.examples import (
    Conversation,
    Example,
    Pair,
    PlainText,
    TextSpan,
    TokenIds,
    Unusable,
    texts_of,
)
from gradpipe.conversations.messages import response_text


def context_of(example: Example) -> str | None:
    """The context of an example's response; None for a plain pair."""
    context = _context(example)
    return json.dumps(context, ensure_ascii=False) if context else None


def pair_of(example: Example) -> tuple[str, str]:
    """The last instruction and the response, as texts; an empty text if there is no such.

    Thinking that a message holds beside its content is joined to it as a think block.
    """
    if _fault(example):
        return "", ""
    instruction, response = texts_of(example)
    if isinstance(example, Conversation):
        response = response_text(example.messages[-1])
    return instruction or "", response or ""


def example_of(instruction: str | None, response: str | None, context: str | None) -> Example:
    """The example of an instruction, a response and what ``context_of`` says of it."""
    if context is None:
        return Pair(instruction, response)
    parts: dict[str, Any] = json.loads(context)
    if "exact" in parts:
        return _exact(**parts["exact"])
    if "unusable" in parts:
        return Unusable(parts["unusable"])
    if response is None or "messages" not in parts:
        before, after = instruction or "", response or ""
        if parts.get("text"):
            return PlainText(before + after, len(before))
        return Pair(instruction, response, joined=bool(parts.get("joined")))
    last = {"role": parts.get("role", "assistant"), "content": response}
    tools = parts.get("tools")
    return Conversation(
        messages=(*parts["messages"], last),
        prompt_messages=parts.get("prompt_messages"),
        tools=None if tools is None else tuple(tools),
        template_settings=parts.get("chat_template_kwargs", {}),
    )


def exact_context(example: Example) -> str:
    """A context from which ``example_of`` makes any example, without its texts."""
    exact = {"kind": type(example).__name__, "fields": vars(example)}
    return json.dumps({"exact": exact}, default=vars, ensure_ascii=True)


def _exact(kind: str, fields: dict[str, Any]) -> Example:
    if "spans" in fields:
        fields["spans"] = tuple(TextSpan(**span) for span in fields["spans"])
    for name in ("messages", "tools", "ids", "loss"):
        if fields.get(name) is not None:
            fields[name] = tuple(fields[name])
    kinds = (Pair, Conversation, PlainText, TokenIds, Unusable)
    return next(one for one in kinds if one.__name__ == kind)(**fields)


def is_unusable(context: str) -> bool:
    """Whether a context is that of a row that cannot be used."""
    return "unusable" in json.loads(context)


def _context(example: Example) -> dict[str, Any]:
    if fault := _fault(example):
        return {"unusable": fault}
    match example:
        case Conversation():
            return _conversation_context(example)
        case PlainText():
            return {"text": True}
        case Pair(joined=True):
            return {"joined": True}
    return {}


def _conversation_context(example: Conversation) -> dict[str, Any]:
    *before, last = example.messages
    context: dict[str, Any] = {}
    if example.prompt_messages not in (None, len(before)):
        context["prompt_messages"] = example.prompt_messages
    if example.tools is not None:
        context["tools"] = list(example.tools)
    if example.template_settings:
        context["chat_template_kwargs"] = dict(example.template_settings)
    if last.get("role") != "assistant":
        context["role"] = last.get("role")
    is_pair = len(before) == 1 and before[0] == {
        "role": "user",
        "content": before[0].get("content"),
    }
    return {} if is_pair and not context else {"messages": [dict(one) for one in before], **context}


def _fault(example: Example) -> str | None:
    """Why no row of a study can be made of an example, or None."""
    match example:
        case Unusable():
            return example.reason
        case TokenIds():
            return "the row holds token ids, which have no text"
        case Pair() if example.instruction is None or example.response is None:
            return f"the {'instruction' if example.instruction is None else 'response'} is missing"
        case Conversation() if example.messages[-1].get("tool_calls"):
            return "the response calls a tool, and a study's responses are texts"
    return None
