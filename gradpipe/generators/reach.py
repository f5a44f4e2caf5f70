"""Whether a server responds: it is asked for its models, by the client of a run."""

from __future__ import annotations

from anyio.from_thread import start_blocking_portal

from gradpipe.generators.attempts import FailedAttempt
from gradpipe.generators.client import ChatClient
from gradpipe.generators.config import GeneratorConfig
from gradpipe.generators.secrets import redacted_logs


def list_models(config: GeneratorConfig, timeout: float) -> list[str] | FailedAttempt:
    """Return the models that a server lists, or why it does not within ``timeout`` seconds.

    Raises GradpipeError as ``find_access`` does.
    """
    # On a thread of its own: the caller's thread may have an event loop already.
    client = ChatClient(config)
    with redacted_logs(client.secrets), start_blocking_portal() as portal:
        try:
            return portal.call(client.models, timeout)
        finally:
            portal.call(client.close)
