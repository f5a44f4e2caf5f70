"""What a shell offers as values of options and arguments: the names that the workspace knows.

A shell waits for this at every press of the tab key, so nothing slow is imported, and no network
is used. If something cannot be read, nothing is offered: the command itself will say what is wrong.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Any

import click
from click.shell_completion import CompletionItem

#: Where a command's context remembers --workspace.
WORKSPACE_KEY = "gradpipe.workspace"
#: The study of a workspace that holds none yet.
_FIRST_STUDY = "demo"
_FILE, _FOLDER = "file", "dir"

Completions = list[CompletionItem]


def complete_folders(_: click.Context, __: click.Parameter, word: str) -> Completions:
    """Folders."""
    return [CompletionItem(word, type=_FOLDER)]


def complete_studies(_: click.Context, __: click.Parameter, word: str) -> Completions:
    """Files, and the studies that ship."""
    return _names_or_files(_shipped(), word)


def complete_model_ids(_: click.Context, __: click.Parameter, word: str) -> Completions:
    """Files and folders, and the demo model."""
    return _names_or_files(["demo"], word)


def complete_models(context: click.Context, _: click.Parameter, word: str) -> Completions:
    """The models and series of the study."""
    return _starting(_names(context, "models"), word)


def complete_benchmarks(context: click.Context, _: click.Parameter, word: str) -> Completions:
    """The benchmarks of the study."""
    return _starting(_names(context, "benchmarks"), word)


def complete_sides(context: click.Context, _: click.Parameter, word: str) -> Completions:
    """The models and benchmarks of the study, files and folders."""
    names = [*_names(context, "models"), *_names(context, "benchmarks")]
    return _names_or_files(names, word)


def complete_statistics(_: click.Context, __: click.Parameter, word: str) -> Completions:
    """The statistics, one or a list with commas."""
    before, comma, _last = word.rpartition(",")
    return _starting([f"{before}{comma}{name}" for name in _statistics()], word)


def complete_styles(_: click.Context, __: click.Parameter, word: str) -> Completions:
    """The styles of responses."""
    from gradpipe.styles import STYLES

    return _starting(STYLES, word)


def _starting(names: Iterable[str], word: str) -> Completions:
    return [CompletionItem(name) for name in names if name.startswith(word)]


def _names_or_files(names: Iterable[str], word: str) -> Completions:
    """Names, and files: bash shows the files only if no name matches, and wants them first."""
    return [CompletionItem(word, type=_FILE), *_starting(names, word)]


def _statistics() -> list[str]:
    """The keys of REDUCTIONS, read from its source: its module takes half a second to import."""
    import ast

    source = (resources.files("gradpipe.statistics") / "reductions.py").read_text("utf-8")
    return [
        key.value
        for node in ast.parse(source).body
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "REDUCTIONS"
        if isinstance(node.value, ast.Dict)
        for key in node.value.keys
        if isinstance(key, ast.Constant) and isinstance(key.value, str)
    ]


def _names(context: click.Context, key: str) -> list[str]:
    """The names of a study's models or benchmarks, as they are in its file."""
    # An error would be printed between the words that the user is typing.
    with suppress(Exception):
        from gradpipe.untrusted.yaml import read_yaml

        content = read_yaml(_study_text(context))
        return list(filter(None, map(_name, content[key])))
    return []


def _name(entry: Any) -> str:
    """A model's or benchmark's name; that of a series is the last part of its folder."""
    if isinstance(entry, str):
        return entry
    if name := entry.get("name"):
        return str(name)
    identifier = str(entry["id"])
    if {"checkpoints", "revisions"} & entry.keys():
        return PurePosixPath(identifier.replace("\\", "/")).name
    return f"{identifier}@{entry['revision']}" if "revision" in entry else identifier


def _study_text(context: click.Context) -> str:
    """The study that --study names, or that of the workspace; not that of an object store."""
    if given := context.params.get("study"):
        return _shipped_text(given) if given in _shipped() else Path(given).expanduser().read_text()
    home = context.meta.get(WORKSPACE_KEY) or os.environ.get("GRADPIPE_HOME") or ".gradpipe"
    if home.startswith("file://"):
        from urllib.parse import urlsplit
        from urllib.request import url2pathname

        home = url2pathname(urlsplit(home).path)
    if "://" in home:
        return "{}"
    study = Path(home).expanduser() / "study.yaml"
    return study.read_text("utf-8") if study.is_file() else _shipped_text(_FIRST_STUDY)


def _shipped() -> list[str]:
    from gradpipe.studies.shipped import shipped_studies

    return shipped_studies()


def _shipped_text(study: str) -> str:
    from gradpipe.studies.shipped import shipped_study

    return shipped_study(study)
