"""The server's key: read when a client is made, and kept out of every text that leaves."""

import logging
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from gradpipe.errors import GradpipeError, StudyError

REDACTED = "[key]"

# What servers write back of a key, masked or whole, and what names the header that carries it.
_LIKE_A_KEY = re.compile(
    r"\bsk-[\w*.\-]{4,}|\b(?:hf|gsk|ghp)_[A-Za-z0-9]{16,}|(?<=bearer )\S{4,}", re.IGNORECASE
)
_WHOLE_KEY = re.compile(r"\bsk-[\w\-]{16,}|\b(?:hf|gsk|ghp)_[A-Za-z0-9]{16,}")
_NAME = re.compile(r"[A-Z_][A-Z0-9_]*|[a-z_][a-z0-9_]*")
_KEY_PREFIX = re.compile(r"(sk|pk|gsk|hf|xai)_", re.IGNORECASE)
_LOGGERS = ("openai", "httpx", "httpx2", "httpcore", "httpcore2")


def check_key_name(name: str) -> None:
    """Refuse what is no environment variable's name or looks like a key, without repeating it.

    Raises StudyError. Names are in one case and short, and have few digits; keys are not.
    """
    digits = sum(character.isdigit() for character in name)
    if _NAME.fullmatch(name) and not _KEY_PREFIX.match(name) and len(name) <= 60 and digits <= 6:
        return
    raise StudyError(
        "The generator's `key` is no name of an environment variable, or a key itself: put the key "
        "into a variable such as OPENAI_API_KEY, and write that name here."
    )


def holds_key(text: str) -> bool:
    """Whether a setting's text has something in it that looks like a whole key."""
    return bool(_WHOLE_KEY.search(text))


def read_key(name: str, needed: bool) -> str | None:
    """The key that the environment variable ``name`` holds; None where none is set nor needed.

    Raises GradpipeError where a needed one is missing, and for one that no header can carry.
    """
    key = os.environ.get(name, "").strip()
    if not key and not needed:
        return None
    if not key:
        raise GradpipeError(
            f"The environment variable {name} is not set, and the server asks for a key: set it, "
            "or name another variable as the generator's `key`."
        )
    if not key.isascii() or not key.isprintable() or " " in key:
        raise GradpipeError(
            f"The environment variable {name} holds blanks or signs that no key has: set it again."
        )
    return key


def redact(text: str, secrets: Sequence[str]) -> str:
    """The text without any of the secrets, nor anything else that looks like a key."""
    for secret in secrets:
        text = text.replace(secret, REDACTED)
    return _LIKE_A_KEY.sub(REDACTED, text)


@contextmanager
def redacted_logs(secrets: Sequence[str]) -> Iterator[None]:
    """While open, no record of the HTTP client's loggers holds a secret, at any level."""
    known = [*logging.root.manager.loggerDict]
    names = [*_LOGGERS, *(name for name in known if name.startswith(_LOGGERS))]
    loggers = [logging.getLogger(name) for name in dict.fromkeys(names)]
    redacting = _Redacting(secrets)
    for logger in loggers:
        logger.addFilter(redacting)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(redacting)


class _Redacting(logging.Filter):
    def __init__(self, secrets: Sequence[str]) -> None:
        super().__init__()
        self._secrets = secrets

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = redact(record.getMessage(), self._secrets)
        record.args = ()
        # A traceback's text may quote the request, and its objects hold it.
        record.exc_info = record.exc_text = None
        return True
