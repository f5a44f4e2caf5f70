"""The proxy of the environment through which a server is reached."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from importlib.util import find_spec
from ipaddress import ip_address, ip_network
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from gradpipe.errors import GradpipeError
from gradpipe.generators.known_hosts import is_this_machine

_SOCKS = ("socks5", "socks5h")
_SCHEMES = ("http", "https", *_SOCKS)


@dataclass(frozen=True)
class Proxy:
    """A proxy, and the variable that names it; ``url`` may hold a password and is never shown."""

    url: str = field(repr=False)
    variable: str

    def __str__(self) -> str:
        return f"the proxy {_without_user(self.url)} of {self.variable}"

    @property
    def secrets(self) -> list[str]:
        """The password, as it is and as the URL writes it; a very short one would hide words."""
        password = urlsplit(self.url).password or ""
        return [text for text in dict.fromkeys([password, unquote(password)]) if len(text) > 3]


def find_proxy(address: str) -> Proxy | None:
    """Return the proxy for a server's address, or None: this machine is never behind one.

    Reads HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, which may name hosts, domains and
    networks. Raises GradpipeError for a proxy that cannot be used.
    """
    parts = urlsplit(address)
    host = parts.hostname or ""
    if is_this_machine(host):
        return None
    proxies = getproxies()
    kind = parts.scheme if proxies.get(parts.scheme) else "all"
    url = proxies.get(kind, "").strip()
    if not url or _is_exempt(host, parts.netloc):
        return None
    url = url if "://" in url else f"http://{url}"
    proxy = Proxy(url, _variable(kind))
    _check(proxy)
    return proxy


def _is_exempt(host: str, netloc: str) -> bool:
    if proxy_bypass(netloc) or proxy_bypass(host):
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    exempt = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    return any(_contains(entry.strip(), address) for entry in exempt.split(","))


def _contains(entry: str, address: object) -> bool:
    try:
        return "/" in entry and address in ip_network(entry, strict=False)
    except ValueError:
        return False


def _variable(kind: str) -> str:
    """The variable that sets the proxy of a scheme; getproxies prefers lower case."""
    lower = f"{kind}_proxy"
    if os.environ.get(lower):
        return lower
    return lower.upper() if os.environ.get(lower.upper()) else "the system's settings"


def _check(proxy: Proxy) -> None:
    try:
        parts = urlsplit(proxy.url)
        usable = bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise GradpipeError(
            f"The proxy of {proxy.variable} is not an address: set it to a URL such as "
            "http://HOST:PORT, or unset it."
        )
    scheme = parts.scheme.lower()
    if scheme not in _SCHEMES:
        known = ", ".join(f"{name}://" for name in _SCHEMES)
        hint = "socks5h://" if scheme.startswith("socks") else "http://"
        raise GradpipeError(
            f"{_capital(proxy)} has the unknown scheme {scheme}://: use {hint} (known are "
            f"{known}), or add the server to NO_PROXY."
        )
    if scheme in _SOCKS and find_spec("socksio") is None:
        raise GradpipeError(
            f"{_capital(proxy)} needs the package socksio: run `pip install socksio`, or add the "
            "server to NO_PROXY."
        )


def _capital(proxy: Proxy) -> str:
    text = str(proxy)
    return text[0].upper() + text[1:]


def _without_user(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
