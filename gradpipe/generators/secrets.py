"""Read the server's key, and keep it out of messages, logs and tables."""

import logging
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from gradpipe.errors import GradpipeError, StudyError

REDACTED = "[key]"
#: The variable with the server's key, unless the study names another.
DEFAULT_KEY = "OPENAI_API_KEY"

# Keys as servers repeat them, masked or whole, and the value of an authorization header.
_LIKE_A_KEY = re.compile(
    r"\bsk-[\w*.\-]{4,}|\b(?:hf|gsk|ghp)_[A-Za-z0-9]{16,}|(?<=bearer )\S{4,}", re.IGNORECASE
)
_WHOLE_KEY = re.compile(r"\bsk-[\w\-]{16,}|\b(?:hf|gsk|ghp)_[A-Za-z0-9]{16,}")
_NAME = re.compile(r"[A-Z_][A-Z0-9_]*|[a-z_][a-z0-9_]*")
_KEY_PREFIX = re.compile(r"(sk|pk|gsk|hf|xai)_", re.IGNORECASE)
_LOGGERS = ("openai", "httpx", "httpx2", "httpcore", "httpcore2")


def check_key_name(name: str) -> None:
    """Raise StudyError for a text that is not the name of an environment variable.

    It may be a key by mistake, so the error does not repeat it. Names are short, in one case, and
    have few digits; keys are not.
    """
    digits = sum(character.isdigit() for character in name)
    if _NAME.fullmatch(name) and not _KEY_PREFIX.match(name) and len(name) <= 60 and digits <= 6:
        return
    raise StudyError(
        "The generator's `key` is not the name of an environment variable: put the key into a "
        "variable such as OPENAI_API_KEY, and set `key` to that name."
    )


def holds_key(text: str) -> bool:
    """Return whether a setting's text contains something that looks like a key."""
    return bool(_WHOLE_KEY.search(text))


def read_key(name: str, needed: bool) -> str | None:
    """Return the key in the environment variable ``name``, or None if it is empty and not needed.

    Raises GradpipeError if a needed key is missing or the key is invalid in a header.
    """
    key = os.environ.get(name, "").strip()
    if not key and not needed:
        return None
    if not key:
        raise GradpipeError(
            f"The environment variable {name} is not set, and the server needs a key: set it, or "
            "set the generator's `key` to the name of another variable."
        )
    if not key.isascii() or not key.isprintable() or " " in key:
        raise GradpipeError(
            f"The environment variable {name} has spaces or other characters that are invalid in a "
            "key: set it again."
        )
    return key


def redact(text: str, secrets: Sequence[str]) -> str:
    """Return the text without the secrets and anything else that looks like a key."""
    for secret in secrets:
        text = text.replace(secret, REDACTED)
    return _LIKE_A_KEY.sub(REDACTED, text)


@contextmanager
def redacted_logs(secrets: Sequence[str]) -> Iterator[None]:
    """Remove secrets from the records of the HTTP client's loggers inside the block."""
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
        # A traceback may quote the request, and its frames refer to it.
        record.exc_info = record.exc_text = None
        return True
