"""The report's files over HTTP, beside the Dagster UI: its assets link to the page."""

from __future__ import annotations

import mimetypes
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from storage.workspace import Workspace

if TYPE_CHECKING:
    from starlette.applications import Starlette

#: The folder of `definitions.py`, which has the package of this file.
_CODE = Path(__file__).resolve().parents[2]
#: The page holds texts of models and data sets: no script in them may send anything elsewhere.
_HEADERS = {
    "Content-Security-Policy": "connect-src 'self'; form-action 'none'; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}
#: Seconds between two looks at whether the process that started the server still runs.
_LOOK = 1.0


def start_report_server(workspace: Workspace, host: str, port: int) -> str:
    """Serve the report's files from a new process and return the address of its page.

    The process ends with the one that calls this, even if that becomes another program.
    """
    code = f"from {__name__} import serve_report; serve_report()"
    arguments = [str(workspace.root), host, str(port), str(os.getpid())]
    subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=_CODE,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    # Other machines cannot open an address that means every interface of this one.
    reachable = socket.gethostname() if host in {"0.0.0.0", "::"} else host
    return f"{http_address(reachable, port)}/index.html"


def http_address(host: str, port: int) -> str:
    """The start of the addresses of a server."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve_report() -> None:
    """Serve until the parent process ends: what ``start_report_server`` starts."""
    import uvicorn

    root, host, port, parent = sys.argv[1:]
    app = report_app(Workspace.current(root))
    settings = uvicorn.Config(app, host=host, port=int(port), log_level="error")
    server = uvicorn.Server(settings)

    def stop() -> None:
        server.should_exit = True

    Thread(target=_when_orphaned, args=(int(parent), stop), daemon=True).start()
    # Ctrl-C ends the UI and this process with it.
    with suppress(KeyboardInterrupt):
        server.run()


def _when_orphaned(parent: int, stop: Callable[[], None]) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK)
    stop()


def report_app(workspace: Workspace) -> Starlette:
    """The application that answers with the files of the workspace's report."""
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse, RedirectResponse, Response
    from starlette.routing import Route

    def answer(request: Request) -> Response:
        name = request.path_params["name"]
        if not name:
            return RedirectResponse("/index.html")
        content = report_file(workspace, name)
        if content is None:
            return PlainTextResponse(
                "There is no such file of the report: create it with `gradpipe run`.", 404
            )
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        return Response(content, media_type=kind, headers=_HEADERS)

    return Starlette(routes=[Route("/{name:path}", answer)])


def report_file(workspace: Workspace, name: str) -> bytes | None:
    """The content of a file by its path in the report's folder; None if it is not listed there.

    Only listed files are read, and links that lead out of the folder are not followed.
    """
    folder = workspace.report_folder
    above = len(folder.parts)
    listed = {"/".join(file.parts[above:]): file for file in workspace.files.files_below(folder)}
    file = listed.get(name)
    if file is None:
        return None
    local, root = workspace.files.local_path(file), workspace.files.local_path(folder)
    leads_out = (
        local is not None
        and root is not None
        and not local.resolve().is_relative_to(root.resolve())
    )
    return None if leads_out else workspace.files.read(file)
