"""The address at which a server of this machine listens, checked before the server starts."""

import errno
import ipaddress
import os
import socket

from gradpipe.errors import GradpipeError


def is_loopback(host: str) -> bool:
    """Whether an address can only be reached from this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def port_to_listen_on(host: str, port: int) -> int:
    """Return ``port`` if it is free at this address, or any free port for 0.

    Raises GradpipeError if the port is in use or reserved, or if the address is not this machine's.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family) as probe:
            if os.name == "posix":
                # A server that stopped a moment ago does not keep its port.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            chosen: int = probe.getsockname()[1]
            return chosen
    except OSError as error:
        raise _unusable(host, port, error) from error


def port_from(host: str, first: int) -> int:
    """Return the port ``first`` if it is free at this address, or else any free one."""
    try:
        return port_to_listen_on(host, first)
    except (GradpipeError, OverflowError):
        return port_to_listen_on(host, 0)


def _unusable(host: str, port: int, error: OSError) -> GradpipeError:
    if error.errno == errno.EADDRINUSE:
        return GradpipeError(
            f"The port {port} of {host} is in use by another program, perhaps by another `gradpipe "
            "ui`: give another port with --port, or --port 0 to choose a free one."
        )
    if error.errno == errno.EACCES:
        return GradpipeError(
            f"The port {port} is reserved for the system: give one above 1023 with --port."
        )
    return GradpipeError(
        f"{host} is not an address of this machine ({error.strerror or error}): leave out --host, "
        "or give one of its own addresses."
    )
