"""The address of a server in normal form."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from gradpipe.errors import StudyError

_OPENAI = "https://api.openai.com/v1"


def default_address() -> str:
    """Return the openai client's own default; raises StudyError if OPENAI_BASE_URL is invalid."""
    return plain_address(os.environ.get("OPENAI_BASE_URL") or _OPENAI)


def plain_address(url: str) -> str:
    """Return a server's base URL in normal form; raises StudyError for URLs with credentials.

    The error does not repeat the URL: it would end up in logs.
    """
    try:
        parts = urlsplit(url.strip())
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.username or parts.password or parts.query or parts.fragment:
        raise StudyError(
            "The generator's `base_url` is not a plain address: use http:// or https://, host and "
            "path, such as http://localhost:8000/v1, without user name, password or query."
        )
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/')}"
