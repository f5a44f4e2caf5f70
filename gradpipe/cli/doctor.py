"""What is wrong with this machine, its surroundings and the workspace, and what to do about it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gradpipe.cli.options import workspace_folder, workspace_if_there
from gradpipe.cli.pipeline import bring_up_to_date

if TYPE_CHECKING:
    from gradpipe.doctor.finding import Finding
    from gradpipe.studies.study import Study
    from storage.integrity import Fault
    from storage.workspace import Workspace

Look = Callable[[], "Iterable[Finding]"]
_COLOURS = {"ok": "green", "warning": "yellow", "fault": "red"}
_WORKSPACE = "workspace"


@click.command()
@click.option(
    "--repair",
    is_flag=True,
    help="Set damaged files of the workspace aside and recompute what they held.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="End stdout with one JSON object of all findings."
)
def doctor(repair: bool, as_json: bool) -> None:
    """Say what is wrong: device, memory, disk, hub, versions, environment, study, workspace.

    One line a finding, with its cure. Nothing is changed without --repair, and no weights are
    loaded. The exit code is 1 where something is wrong; warnings alone leave it 0.
    """
    from gradpipe.doctor.finding import examine
    from gradpipe.doctor.outside import secrets_of_environment

    secrets, findings = secrets_of_environment(), []
    for subject, look in _looks():
        found = examine(subject, look, secrets)
        findings += found
        if not as_json:
            _print(subject, found)
    done: dict[str, Any] = {}
    if repair:
        done, found = _repair()
        # What the damage is now, in place of what it was.
        findings = [each for each in findings if each.subject != _WORKSPACE] + found
        if not as_json:
            _print("after the repair", found)
    well = all(each.state != "fault" for each in findings)
    if as_json:
        listed = [each.as_dict() for each in findings]
        click.echo(json.dumps({"well": well, "findings": listed} | done))
    if not well or done.get("failed"):
        raise click.exceptions.Exit(1)


def _looks() -> Iterator[tuple[str, Look]]:
    """Each subject with the look at it."""
    from gradpipe.doctor import device, outside, room, study

    workspace, kept, fault = _workspace_and_study()

    def examine_study() -> Iterable[Finding]:
        if kept is not None:
            return study.examine_study(kept)
        if workspace is not None and fault is not None:
            raise fault
        return ()

    def examine_workspace() -> Iterable[Finding]:
        if workspace is None and fault is not None:
            raise fault
        return _examine_workspace(workspace)

    yield device.SUBJECT, device.examine_device
    yield room.MEMORY, room.examine_memory
    yield room.DISK, lambda: room.examine_disk(_folders(workspace))
    yield outside.VERSIONS, outside.examine_versions
    yield outside.ENVIRONMENT, lambda: outside.examine_environment(_generator_key(kept))
    yield outside.HUB, outside.examine_hub
    yield study.SUBJECT, examine_study
    yield _WORKSPACE, examine_workspace


def _workspace_and_study() -> tuple[Workspace | None, Study | None, Exception | None]:
    """The workspace where there is one, its study, and why either cannot be read."""
    from gradpipe.studies.load import load_study
    from storage.workspace import DEFAULT_STUDY

    workspace = None
    try:
        workspace = workspace_if_there()
        return workspace, workspace.study() if workspace else load_study(DEFAULT_STUDY), None
    # Whatever it is, it is told where its subject is looked at, behind the others.
    except Exception as error:
        return workspace, None, error


def _folders(workspace: Workspace | None) -> dict[str, Path]:
    """The folders that runs write to on this machine, by what each is for."""
    from huggingface_hub import constants

    from gradpipe.system.user_folders import cache_folder

    folder = workspace_folder()
    folders = {} if folder is None else {"workspace": folder}
    if workspace is not None and workspace.local_root is None:
        folders["Dagster's runs"] = workspace.dagster_home
    return folders | {"cache": cache_folder(), "models of the hub": Path(constants.HF_HUB_CACHE)}


def _generator_key(study: Study | None) -> str | None:
    if study is None or study.generator.kind != "openai":
        return None
    return study.generator.key


def _examine_workspace(workspace: Workspace | None) -> Iterator[Finding]:
    """Dagster's databases, and every file of the workspace, read whole."""
    from gradpipe.doctor.finding import Finding
    from storage.integrity import find_faults

    if workspace is None:
        yield Finding(_WORKSPACE, "ok", "there is none yet; the first run makes it")
        return
    yield from _examine_dagster(workspace.dagster_home)
    faults = find_faults(workspace)
    for fault in faults:
        yield _finding(fault)
    if not faults:
        yield Finding(_WORKSPACE, "ok", f"every file of {workspace.root} is as it was written")


def _examine_dagster(home: Path) -> Iterator[Finding]:
    """Dagster's own databases in a folder, as SQLite judges them; opened for reading only."""
    import sqlite3
    from contextlib import closing

    from gradpipe.doctor.finding import Finding

    databases = sorted(home.rglob("*.db"))
    for database in databases:
        # Where no process has it open, reading must not leave the files of one that has.
        open_now = database.with_name(f"{database.name}-wal").exists()
        address = f"{database.absolute().as_uri()}?mode=ro{'' if open_now else '&immutable=1'}"
        try:
            with closing(sqlite3.connect(address, uri=True, timeout=5)) as connection:
                said = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        except sqlite3.OperationalError:
            # In use, or not to be opened: whether the folder is well is another subject.
            continue
        except sqlite3.DatabaseError as error:
            said = str(error)
        if said != "ok":
            yield Finding(
                _WORKSPACE,
                "fault",
                f"Dagster's {database} is damaged ({said})",
                f"move {home} away; the next run makes it anew, without the history of runs",
            )
    if not databases:
        yield Finding(_WORKSPACE, "ok", "Dagster has no runs yet")


def _finding(fault: Fault) -> Finding:
    from gradpipe.doctor.finding import Finding

    return Finding(
        _WORKSPACE,
        "fault",
        str(fault),
        "`gradpipe doctor --repair` sets it aside and computes it again",
    )


def _repair() -> tuple[dict[str, Any], list[Finding]]:
    """Set damage aside and compute it again: what was done, and what is found afterwards.

    Rows that were set aside since they are of a newer gradpipe come back to one that knows them.
    """
    from gradpipe.doctor.finding import examine
    from gradpipe.doctor.outside import secrets_of_environment
    from storage.integrity import bring_back, find_faults, set_faults_aside

    workspace = workspace_if_there()
    if workspace is None:
        return {"repaired": []}, []
    for back in bring_back(workspace):
        click.echo(f"brought back, since nothing is wrong with it: {back}", err=True)
    faults = find_faults(workspace)
    moved = [str(place) for place in set_faults_aside(workspace, faults)]
    for place in moved:
        click.echo(f"set aside: {place}", err=True)
    done: dict[str, Any] = {"repaired": [str(fault) for fault in faults], "set_aside": moved}
    if faults:
        done |= _compute_again(workspace, faults)
    found = examine(_WORKSPACE, lambda: _examine_workspace(workspace), secrets_of_environment())
    return done, found


def _compute_again(workspace: Workspace, faults: list[Fault]) -> dict[str, Any]:
    """Bring up to date what the faults are of, as far as the study still has it."""
    study = workspace.study()
    models = _concerned([fault.model for fault in faults], [each.name for each in study.models])
    benchmarks = _concerned(
        [fault.benchmark for fault in faults], [each.name for each in study.benchmarks]
    )
    if models == () or benchmarks == ():
        click.echo("the study no longer has what was damaged: nothing is computed", err=True)
        return {}
    return bring_up_to_date(workspace, study, models, benchmarks)


def _concerned(named: list[str], known: list[str]) -> tuple[str, ...] | None:
    """Those of the study's names that faults name; None, all of them, where a fault names none."""
    return None if "" in named else tuple(name for name in known if name in named)


def _print(title: str, findings: Iterable[Finding]) -> None:
    from rich.console import Console
    from rich.markup import escape

    console = Console(soft_wrap=True, highlight=False)
    console.print(f"[bold]{escape(title)}[/bold]")
    for each in findings:
        console.print(f"  [{_COLOURS[each.state]}]{each.state:<8}[/] {escape(str(each))}")
