"""What several benchmark tests need: the real data, a local web server and a private cache."""

import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "../shared"


def _folder(name: str) -> Path:
    folder = SHARED / name
    if not folder.is_dir():
        pytest.skip(f"needs the real data in {folder}, beside the project")
    return folder


@pytest.fixture
def release_folder() -> Path:
    return _folder("layer-gradient")


@pytest.fixture
def flan_folder() -> Path:
    return _folder("flan-cot")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own, so that no test reads or fills the user's."""
    folder = tmp_path / "cache"
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name, **_: folder / name)
    return folder / "gradpipe" / "sources"


class _Site:
    """A web server on the loopback that counts what it was asked for."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self._servers: list[ThreadingHTTPServer] = []

    def serve(self, folder: Path) -> str:
        """The URL at which ``folder`` is served until the test ends."""
        requests = self.requests

        class Handler(SimpleHTTPRequestHandler):
            def log_message(self, format: str, *args: object) -> None:
                requests.append(f"{self.command} {self.path}")

        handler = partial(Handler, directory=str(folder))
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        self._servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}"

    def close(self) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Site]:
    pytest.importorskip("aiohttp", reason="fsspec reads http:// with aiohttp")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    site = _Site()
    yield site
    site.close()


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str | bytes], Path]:
    """Write a file of the given name and content into the test's folder."""

    def write_file(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write_file
