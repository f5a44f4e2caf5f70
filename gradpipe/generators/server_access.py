"""How a study's server is reached: its address, the key that is sent to it, and the proxy."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from gradpipe.generators.config import GeneratorConfig
from gradpipe.generators.known_hosts import is_this_machine, needs_key
from gradpipe.generators.proxies import Proxy, find_proxy
from gradpipe.generators.secrets import DEFAULT_KEY, read_key


@dataclass(frozen=True)
class ServerAccess:
    """The access to a server; ``key`` is None if none is sent.

    ``key_name`` is the variable that holds the key. ``withheld``: it is set, but the study does not
    name it, so that it is not sent to this host.
    """

    address: str
    host: str
    key: str | None = field(repr=False)
    key_name: str
    withheld: bool
    proxy: Proxy | None

    @property
    def secrets(self) -> list[str]:
        """Texts that must not appear in messages and logs: the key and the proxy's password."""
        own = [] if self.key is None else [self.key]
        return own + ([] if self.proxy is None else self.proxy.secrets)

    def repeats_key(self, *texts: str | None) -> bool:
        """Return whether a text of the server holds the key."""
        return self.key is not None and any(self.key in text for text in texts if text)

    def cure_for_key(self, key_of: str) -> str:
        """Return what to do where a server refuses the key, or asks for one.

        ``key_of`` completes "to a key …", such as "of this server".
        """
        if self.withheld:
            return (
                f"set the generator's `key` to the name of the variable with a key {key_of}; "
                f"{self.key_name} is sent to unknown hosts only if the study names it"
            )
        return f"set the environment variable {self.key_name} to a key {key_of}"


def find_access(config: GeneratorConfig) -> ServerAccess:
    """Return how the server of a generator ``openai`` is reached.

    A key that the study names is sent to its server. OPENAI_API_KEY, if the study names no key, is
    sent to this machine, to services that need a key, and to the server of OPENAI_BASE_URL. Raises
    GradpipeError if such a service's key is not set, for an invalid key and for a proxy that cannot
    be used.
    """
    host = urlsplit(config.address).hostname or ""
    name = config.key or DEFAULT_KEY
    sent = (
        config.key is not None
        or config.base_url is None
        or is_this_machine(host)
        or needs_key(host)
    )
    key = read_key(name, needed=needs_key(host)) if sent else None
    withheld = not sent and bool(os.environ.get(name, "").strip())
    return ServerAccess(
        address=config.address,
        host=host,
        key=key,
        key_name=name,
        withheld=withheld,
        proxy=find_proxy(config.address),
    )
