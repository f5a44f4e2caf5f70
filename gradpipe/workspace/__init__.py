"""Reads a finished workspace: the class behind ``gradpipe.Workspace``.

::

    import gradpipe as gp

    ws = gp.Workspace("runs/first")
    ws.statistics(style="none")
    ws.chart("curves")

It is the door to the package ``storage`` above the library: the class is imported at its first use,
under a name that collides with no module of the project (``gradpipe.pipeline``).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from storage.workspace_view import WorkspaceView as Workspace

__all__ = ["Workspace"]


def __getattr__(name: str) -> Any:
    if name != "Workspace":
        raise AttributeError(f"module 'gradpipe.workspace' has no attribute {name!r}")
    return import_module("gradpipe.pipeline.storage.workspace_view").WorkspaceView


def __dir__() -> list[str]:
    return [*__all__]
