"""The report's files in the webserver of `gradpipe ui`, beside Dagster's own pages."""

from __future__ import annotations

import mimetypes
from typing import TYPE_CHECKING

from storage.workspace import Workspace

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

#: The page holds texts of models and data sets. In a sandbox its scripts have an origin of their
#: own, so that none of them could start runs through Dagster's API.
_HEADERS = {
    "Content-Security-Policy": "sandbox allow-scripts allow-popups allow-downloads",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}


def report_route(workspace: Workspace, prefix: str) -> Route:
    """The route that answers with the files of the workspace's report below a prefix."""
    from starlette.responses import PlainTextResponse, Response
    from starlette.routing import Route

    def answer(request: Request) -> Response:
        name = request.path_params["name"]
        content = report_file(workspace, name)
        if content is None:
            return PlainTextResponse(
                "There is no such file of the report: create it with `gradpipe run`.", 404
            )
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        return Response(content, media_type=kind, headers=_HEADERS)

    return Route(f"{prefix}/{{name:path}}", answer)


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
    if (
        local is not None
        and root is not None
        and not local.resolve().is_relative_to(root.resolve())
    ):
        return None
    return workspace.files.read(file)
