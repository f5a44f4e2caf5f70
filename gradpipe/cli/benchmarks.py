"""``gradpipe benchmarks``: the built-in benchmarks, and those of a study."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gradpipe.cli.extraction import data_options
from gradpipe.cli.models import sync_study_partitions
from gradpipe.cli.name_completion import complete_benchmarks
from gradpipe.cli.options import (
    columns_option,
    current_workspace,
    workspace_if_there,
    workspace_option,
)
from gradpipe.errors import GradpipeError

if TYPE_CHECKING:
    from gradpipe.studies.new_study.data_entry import DataEntry
    from gradpipe.studies.study_styles import StudyStyles


@click.group()
def benchmarks() -> None:
    """List the built-in benchmarks; add and remove benchmarks of a study."""


@benchmarks.command("list")
@workspace_option
def benchmarks_list() -> None:
    """List the built-in benchmarks, and then those of the workspace's study.

    A study may give a benchmark of the sources mini, release and quality_release by its name alone;
    of others it also gives the source. A license is given if the origin states one. Items are those
    of the origin, before sampling.
    """
    from gradpipe.benchmarks.catalog import built_in_benchmarks
    from gradpipe.cli.progress import print_table

    header = ("benchmark", "source", "family", "items", "styles", "license", "origin")
    print_table(
        header,
        [
            (
                one.name,
                one.source,
                one.family,
                "" if one.items is None else f"{one.items:,}",
                ", ".join(one.styles),
                one.license or "not stated",
                one.origin,
            )
            for one in built_in_benchmarks()
        ],
    )
    workspace = workspace_if_there()
    if workspace is not None:
        study = workspace.written_study()
        names = ", ".join(entry.name for entry in study.benchmarks)
        click.echo(f"\nThe workspace's study, {study.name}, has {names}.")


@benchmarks.command("add")
@click.argument("data", metavar="DATA")
@click.option("--name", default="", help="The benchmark's name in tables and charts.")
@click.option(
    "--study",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Add it to this study file, whose comments stay, instead of to the workspace's study.",
)
@columns_option
@data_options
@workspace_option
def benchmarks_add(
    data: str,
    name: str,
    study: Path | None,
    columns: dict[str, str] | None,
    config: str | None,
    split: str | None,
    revision: str | None,
) -> None:
    """Add a benchmark: table files, hub:ORG/NAME, or a built-in one.

    The columns of your own table are found by their names: --columns names others, with response
    styles as roles, as in --columns instruction=question,none=short,detailed=long.
    """
    from gradpipe.studies.new_study.data_entry import HubRows, find_data_entry

    file = None if study is None else _own_study(study)
    hub = HubRows(config, split, revision)
    folder = None if file is None else file.parent
    styles = _study_styles(study)
    entry = find_data_entry(data, folder, name=name, columns=columns, hub=hub, styles=styles)
    if file is not None:
        _add_to_file(file, str(study), entry)
        then = f"`gradpipe run --study {shlex.quote(str(study))}`"
    else:
        from storage.study_benchmarks import add_benchmark

        workspace = current_workspace()
        changed = add_benchmark(workspace, entry.setting)
        sync_study_partitions(workspace)
        then = "the daemon" if changed.automation is True else "`gradpipe run`"
    click.echo(f"Added {entry.name} ({entry.sentence()}); {then} computes its results.")


def _study_styles(file: Path | None) -> StudyStyles | None:
    """The styles of the study to change: that of a file, or the workspace's."""
    from gradpipe.studies.load import load_study

    if file is not None:
        return load_study(str(file)).styles
    workspace = workspace_if_there()
    return None if workspace is None else workspace.written_study().styles


@benchmarks.command("remove")
@click.argument("name", metavar="NAME", shell_complete=complete_benchmarks)
@workspace_option
def benchmarks_remove(name: str) -> None:
    """Remove a benchmark from the workspace's study.

    The report leaves it out from its next update on. Its rows stay in the store, so adding it again
    costs nothing.
    """
    from storage.study_benchmarks import remove_benchmark

    workspace = current_workspace()
    remove_benchmark(workspace, name)
    sync_study_partitions(workspace)
    click.echo(f"Removed {name}; its rows stay in the store.")


def _own_study(study: Path) -> Path:
    """The file of the user's study, behind any link, which stays a link; raises GradpipeError."""
    from gradpipe.studies.load import load_study

    load_study(str(study))
    file = study.expanduser().resolve()
    if not file.is_file():
        raise GradpipeError(
            f"{study} is a study that ships with gradpipe and cannot be changed: give a file of "
            "your own, which `gradpipe init` writes, or leave out --study."
        )
    return file


def _add_to_file(file: Path, name: str, entry: DataEntry) -> None:
    """Add a benchmark to a study's file, unless the file would no longer be a study.

    ``name`` is the user's name of the file.
    """
    from gradpipe.standalone.output_file import write_atomically
    from gradpipe.studies.load import parse_study
    from gradpipe.studies.new_study.insertion import with_benchmark

    # Bytes, because reading a text changes the ends of its lines.
    text = with_benchmark(file.read_bytes().decode("utf-8"), name, entry.setting)
    parse_study(text, name, file.parent)
    write_atomically(file, lambda aside: aside.write_bytes(text.encode("utf-8")))
