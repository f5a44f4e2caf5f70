"""The kind of an error, recognized in the words of every known server."""

from __future__ import annotations

import re
from enum import Enum, auto

from gradpipe.generators.error_details import ErrorDetail


class ErrorKind(Enum):
    """What a server's error means for its call and for the others."""

    #: The account has no credit: every call fails.
    QUOTA = auto()
    #: The key is missing or refused, or may not use the model: every call fails.
    KEY = auto()
    FORBIDDEN = auto()
    #: There is no such model or path: every call fails.
    MODEL = auto()
    PATH = auto()
    #: A proxy asks for a user and password: every call fails.
    PROXY = auto()
    #: The prompt, or the prompt and max_tokens, exceed the model's context: this call fails.
    CONTEXT = auto()
    #: The server still loads its model.
    LOADING = auto()
    #: The server refuses a field of the request: the limit under this name, or the temperature.
    LIMIT_FIELD = auto()
    TEMPERATURE = auto()
    #: Too many requests, or a failure that passes.
    TRANSIENT = auto()
    #: The request is wrong: this call fails, again and again.
    REFUSED = auto()


#: vLLM, OpenAI; llama.cpp; TGI; Ollama; LM Studio; Anthropic, Gemini, Mistral and others.
_CONTEXT = re.compile(
    r"context[_ ](?:length|window|size)|(?:maximum|max|available|model'?s) context|n_ctx"
    r"|max_model_len|context[_ ]overflow|\bn_keep\b|tokens to keep|max_seq_len"
    r"|maximum (?:model|sequence|input) length|model'?s maximum (?:length|sequence)"
    r"|inputs? (?:tokens?|token count|length)[^.]{0,40}\b(?:exceed|must|greater|too long|longer)"
    r"|`?inputs`? (?:tokens \+|must have less)|prompt (?:is )?too (?:long|large)"
    r"|input (?:is )?too long|too many (?:input )?tokens|tokens? exceed|exceed\w* [^.]{0,40}context"
    r"|prompt contains \d+ tokens|exceeds the maximum number of tokens",
    re.IGNORECASE,
)
_LOADING = re.compile(
    r"\bloading (?:the )?model\b|\bmodel\b[^.]{0,80}\b(?:is|still|being|currently) [^.]{0,20}"
    r"\b(?:loading|warming up|starting|initializing)|warming up|model_loading|being loaded"
    r"|\bmodel\b[^.]{0,60}\bnot (?:yet )?(?:ready|loaded yet)|waiting for (?:the )?(?:model|llama)",
    re.IGNORECASE,
)
_NOT_LOADING = re.compile(r"\b(?:fail|error|cannot|could not|unable|crash|invalid)", re.IGNORECASE)
_QUOTA = re.compile(
    r"insufficient[_ ](?:quota|balance|credits?|funds)|exceeded your current quota|quota_exceeded"
    r"|\b42902\b|credit balance is too low|billing[_ ]hard[_ ]limit|requires? more credits",
    re.IGNORECASE,
)
_RATE = re.compile(r"rate[_ -]?limit|too many requests|overloaded|\b429\b", re.IGNORECASE)
_KEY = re.compile(
    r"(?:invalid|incorrect|missing|no) (?:api[_ ]?key|authentication|credentials)|unauthorized"
    r"|invalid_api_key|auth(?:entication)?_error",
    re.IGNORECASE,
)
_MODEL = re.compile(
    r"model\b[^.]{0,80}\b(?:not found|does not exist|not exist|is not available|unknown)"
    r"|server is pinned to|model_not_found|no such model|invalid model|unknown model"
    r"|not a valid model"
    r"|no models? (?:is |are )?(?:currently )?loaded",
    re.IGNORECASE,
)
_PATH = re.compile(r"unexpected endpoint|no route|unknown (?:url|endpoint|path)", re.IGNORECASE)
_REFUSES = (
    r"(?:unsupported|not support|unrecognized|unknown|only the default|not allowed|deprecated"
    r"|extra inputs|not permitted)"
)
_LIMIT = re.compile(
    rf"{_REFUSES}.{{0,80}}max_(?:completion_)?tokens|max_(?:completion_)?tokens.{{0,80}}{_REFUSES}"
    r"|max_tokens.{0,200}max_completion_tokens",
    re.IGNORECASE | re.DOTALL,
)
_TEMPERATURE = re.compile(
    rf"temperature.{{0,80}}{_REFUSES}|{_REFUSES}.{{0,80}}temperature", re.IGNORECASE
)

_BY_STATUS = {
    **{401: ErrorKind.KEY, 402: ErrorKind.QUOTA, 403: ErrorKind.FORBIDDEN, 404: ErrorKind.MODEL},
    **{405: ErrorKind.PATH, 407: ErrorKind.PROXY, 410: ErrorKind.MODEL},
    **dict.fromkeys((408, 409, 425, 429, 498, 499), ErrorKind.TRANSIENT),
    **dict.fromkeys((501, 505), ErrorKind.REFUSED),
}


def kind_of_error(status: int, detail: ErrorDetail) -> ErrorKind:
    """Return the kind of an error; ``status`` is 200 for one in a body of a good status.

    A status inside the body counts for more than that of the response.
    """
    words = " ".join([detail.message, *sorted(detail.codes)])
    inner = detail.status or status
    # Gemini says "quota" for requests per minute too, with the time to wait.
    passes = inner == 429 and detail.retry_after is not None
    if _QUOTA.search(words) and not (passes and "insufficient_quota" not in detail.codes):
        return ErrorKind.QUOTA
    # "Too many tokens per minute" is a rate, and no length.
    known = None if inner == 429 or _RATE.search(words) else _of_model(inner, detail, words)
    if known is not None:
        return known
    if inner in (400, 422):
        return _refused(detail, words)
    if inner in (200, 404) or "40301" in detail.codes:
        return _named(inner, words)
    return _BY_STATUS.get(inner, ErrorKind.TRANSIENT if inner >= 500 else ErrorKind.REFUSED)


def _of_model(status: int, detail: ErrorDetail, words: str) -> ErrorKind | None:
    if _CONTEXT.search(words) or "40303" in detail.codes:
        return ErrorKind.CONTEXT
    loading = status not in (401, 403) and _LOADING.search(words)
    return ErrorKind.LOADING if loading and not _NOT_LOADING.search(words) else None


def _refused(detail: ErrorDetail, words: str) -> ErrorKind:
    """The kind of an error in the request."""
    if _LIMIT.search(words):
        return ErrorKind.LIMIT_FIELD
    if detail.param == "temperature" or _TEMPERATURE.search(words):
        return ErrorKind.TEMPERATURE
    return ErrorKind.MODEL if _MODEL.search(words) else ErrorKind.REFUSED


def _named(status: int, words: str) -> ErrorKind:
    """The kind of an error whose status says nothing, or only that something is missing."""
    kinds = {
        _RATE: ErrorKind.TRANSIENT,
        _KEY: ErrorKind.KEY,
        _MODEL: ErrorKind.MODEL,
        _PATH: ErrorKind.PATH,
    }
    found = next((kind for pattern, kind in kinds.items() if pattern.search(words)), None)
    return found or (ErrorKind.TRANSIENT if status == 200 else ErrorKind.PATH)
