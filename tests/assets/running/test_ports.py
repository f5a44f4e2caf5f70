"""The port of a server: checked before the server starts."""

import socket
from collections.abc import Iterator

import pytest

from assets.running.ports import port_to_listen_on
from gradpipe.errors import GradpipeError

HOST = "127.0.0.1"


@pytest.fixture
def busy() -> Iterator[int]:
    """A port at which another program listens."""
    with socket.socket() as server:
        server.bind((HOST, 0))
        server.listen()
        yield server.getsockname()[1]


def test_a_busy_port_is_refused_with_its_number_and_a_cure(busy: int) -> None:
    with pytest.raises(GradpipeError, match=rf"port {busy} .*in use.*--port"):
        port_to_listen_on(HOST, busy)


def test_0_chooses_a_free_port(busy: int) -> None:
    port = port_to_listen_on(HOST, 0)
    assert port not in {0, busy}
    assert port_to_listen_on(HOST, port) == port


def test_an_address_of_another_machine_is_refused() -> None:
    # 192.0.2.0/24 is for documentation: no machine has it.
    with pytest.raises(GradpipeError, match=r"192\.0\.2\.1 is not an address of this machine"):
        port_to_listen_on("192.0.2.1", 3000)
