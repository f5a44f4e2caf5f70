"""The HTTP client of the openai package: its proxy, its certificates and its new connections."""

from __future__ import annotations

import os
import ssl
from contextvars import ContextVar
from typing import Any

from openai import DefaultAsyncHttpxClient

from gradpipe.generators.proxies import Proxy

#: Whether the request of the current task opened a connection; None outside of requests.
_OPENED: ContextVar[list[bool] | None] = ContextVar("opened", default=None)


def make_http_client(proxy: Proxy | None) -> DefaultAsyncHttpxClient:
    """Return a client that uses this proxy, or none, whatever the environment says."""
    return DefaultAsyncHttpxClient(
        proxy=None if proxy is None else proxy.url,
        # The client would read its proxies from the environment, and fail for an unknown scheme
        # even if none applies to the server.
        trust_env=False,
        verify=_certificates(),
        event_hooks={"request": [_watch]},
    )


def watch_connections() -> list[bool]:
    """Return a list for the current task's next requests, which is not empty once one of them had
    to open a connection.
    """
    opened: list[bool] = []
    _OPENED.set(opened)
    return opened


async def _watch(request: Any) -> None:
    opened = _OPENED.get()

    async def trace(event: str, _: object) -> None:
        if opened is not None and event.endswith("connect_tcp.started"):
            opened.append(True)

    request.extensions = {**request.extensions, "trace": trace}


def _certificates() -> ssl.SSLContext | bool:
    """The certificates of SSL_CERT_FILE or SSL_CERT_DIR, or True for the client's own."""
    file, folder = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    if not file and not folder:
        return True
    return ssl.create_default_context(cafile=file or None, capath=folder or None)
