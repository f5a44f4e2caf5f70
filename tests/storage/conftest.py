"""Where a workspace can live: a folder, fsspec's memory, and a real S3 server on this machine."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import Request, urlopen
from uuid import uuid4

import pytest

from storage.locations import filesystem_of, open_location

if TYPE_CHECKING:
    from storage.filesystem import Location


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The URL of an S3 server with an empty bucket ``bucket``."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 300
        while True:
            try:
                urlopen(Request(f"{url}/bucket", method="PUT"), timeout=300).close()
                break
            except OSError:
                assert server.poll() is None, "the S3 server did not start"
                assert time.monotonic() < deadline, "the S3 server does not answer"
                time.sleep(0.05)
        yield url
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


@pytest.fixture
def s3(s3_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a folder in the bucket that nobody used, and an environment to reach it."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in {
        "AWS_ENDPOINT_URL": s3_server,
        "AWS_ACCESS_KEY_ID": "any",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(tmp_path / "no-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "no-credentials"),
    }.items():
        monkeypatch.setenv(name, value)
    return f"s3://bucket/{uuid4().hex}"


@pytest.fixture
def unconnected(s3: str) -> Iterator[str]:
    """As ``s3``, with no connection from before: the environment is read again."""
    from s3fs import S3FileSystem

    S3FileSystem.clear_instance_cache()
    yield s3
    S3FileSystem.clear_instance_cache()


@pytest.fixture(params=["local", "memory", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> "Location":
    """An empty folder of each kind."""
    if request.param == "s3":
        return open_location(request.getfixturevalue("s3"))
    return open_location(f"memory://{uuid4().hex}" if request.param == "memory" else str(tmp_path))


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "is truncated": lambda content: content[: len(content) // 2],
    "has changed since it was written": lambda content: flipped(content, 7),
    "is empty": lambda _content: b"",
}


def flipped(content: bytes, seed: int) -> bytes:
    """The bytes with one bit changed, in neither of the four at each end."""
    place = random.Random(seed).randrange(4, len(content) - 8)
    return content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :]


def spoil(place: "Location", damage: Callable[[bytes], bytes]) -> None:
    content = filesystem_of(place).read(place)
    assert content is not None
    filesystem_of(place).write(place, damage(content))
