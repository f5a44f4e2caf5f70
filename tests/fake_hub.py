"""A web server that answers as the Hugging Face hub does for one repository of data files."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote


class _Hub(BaseHTTPRequestHandler):
    """As much of the hub as reading one repository asks for; its branch ``main`` is ``commit``."""

    folder: Path
    name: str
    commit: str
    requests: list[str]
    #: The size of every body that was sent.
    sent: list[int]

    def do_GET(self) -> None:
        self.requests.append(f"{self.command} {self.path}")
        path = unquote(self.path.split("?")[0])
        if path.startswith(f"/datasets/{self.name}/resolve/"):
            revision, _, file = path.partition("/resolve/")[2].partition("/")
            self._file(revision, self.folder / file)
        elif path.startswith(f"/api/datasets/{self.name}"):
            place = path.partition("/tree/")[2]
            revision = path.partition("/revision/")[2] or place.split("/")[0]
            found: Any = {"id": self.name, "sha": self.commit, "siblings": [], "tags": []}
            if place:
                below = self.folder / place.partition("/")[2]
                found = [self._described(file) for file in sorted(below.rglob("*"))]
                if not below.is_dir():
                    self._answer(b"", "EntryNotFound")
                    return
            self._answer(json.dumps(found).encode(), self._unknown(revision))
        else:
            self._answer(b"", "RepoNotFound")

    do_HEAD = do_GET

    def do_POST(self) -> None:
        self.requests.append(f"{self.command} {self.path}")
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["paths"]
        found = [self._described(self.folder / path) for path in asked if self._has(path)]
        self._answer(json.dumps(found).encode(), self._unknown(self.path.rpartition("/")[2]))

    def _has(self, path: str) -> bool:
        return (self.folder / path).exists()

    def _unknown(self, revision: str) -> str:
        return "" if revision in ("", "main", self.commit) else "RevisionNotFound"

    def _file(self, revision: str, file: Path) -> None:
        if error := self._unknown(revision) or ("" if file.is_file() else "EntryNotFound"):
            self._answer(b"", error)
            return
        data = file.read_bytes()
        if asked := self.headers.get("Range"):
            first, _, last = asked.removeprefix("bytes=").partition("-")
            part = data[int(first) : int(last) + 1 if last else None]
            last = str(int(first) + len(part) - 1)
            self._answer(part, "", f"bytes {first}-{last}/{len(data)}")
        else:
            self._answer(data)

    def _described(self, file: Path) -> dict[str, Any]:
        path = file.relative_to(self.folder).as_posix()
        if file.is_dir():
            return {"type": "directory", "path": path, "oid": "0" * 40}
        return {"type": "file", "path": path, "size": file.stat().st_size, "oid": "0" * 40}

    def _answer(self, data: bytes, error: str = "", content_range: str = "") -> None:
        self.send_response(404 if error else 206 if content_range else 200)
        if error:
            self.send_header("X-Error-Code", error)
        if content_range:
            self.send_header("Content-Range", content_range)
        self.send_header("X-Repo-Commit", self.commit)
        self.send_header("ETag", f'"{self.commit}"')
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.sent.append(len(data))
            self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        pass


class FakeHub:
    """A running hub: its ``endpoint``, what it was asked, and how many bytes it sent."""

    def __init__(self, folder: Path, name: str, commit: str) -> None:
        self.requests: list[str] = []
        self.sent: list[int] = []
        known: dict[str, Any] = {"folder": folder, "name": name, "commit": commit}
        known |= {"requests": self.requests, "sent": self.sent}
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Hub", (_Hub,), known))
        self.endpoint = f"http://127.0.0.1:{self.server.server_address[1]}"


@contextmanager
def fake_hub(folder: Path, name: str, commit: str) -> Iterator[FakeHub]:
    """Serve ``folder`` as the repository ``name`` of data files until the block ends."""
    hub = FakeHub(folder, name, commit)
    threading.Thread(target=hub.server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield hub
    finally:
        hub.server.shutdown()
        hub.server.server_close()
