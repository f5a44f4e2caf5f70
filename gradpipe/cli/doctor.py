"""``gradpipe doctor``: check this machine, its environment and the workspace."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gradpipe.cli.options import workspace_folder, workspace_if_there, workspace_option
from gradpipe.cli.pipeline import bring_up_to_date

if TYPE_CHECKING:
    from gradpipe.doctor.finding import Finding
    from gradpipe.studies.study import Study
    from storage.integrity import Fault
    from storage.workspace import Workspace

CheckFunction = Callable[[], "Iterable[Finding]"]
_COLORS = {"ok": "green", "warning": "yellow", "fault": "red"}
_WORKSPACE = "workspace"


@click.command()
@click.option(
    "--repair",
    is_flag=True,
    help="Move damaged files of the workspace aside and recompute their contents.",
)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print all findings as one JSON object on the last line of stdout.",
)
@workspace_option
def doctor(repair: bool, as_json: bool) -> None:
    """Check this machine and the workspace for problems.

    Checks the device, memory, disks, package versions, environment variables, the hub, the study,
    its generator's server and every file of the workspace. Each finding is one line, with its fix
    if there is a problem. Without --repair, nothing is changed and no weights are loaded. The exit
    code is 1 if there is a fault; warnings alone leave it at 0.
    """
    from gradpipe.doctor.finding import examine
    from gradpipe.doctor.outside import secrets_of_environment

    secrets, findings = secrets_of_environment(), []
    for subject, check in _checks():
        of_subject = examine(subject, check, secrets)
        findings += of_subject
        if not as_json:
            _print(subject, of_subject)
    repairs: dict[str, Any] = {}
    if repair:
        repairs, remaining = _repair()
        # The workspace's state before the repair is outdated.
        findings = [finding for finding in findings if finding.subject != _WORKSPACE] + remaining
        if not as_json:
            _print("after the repair", remaining)
    well = all(finding.state != "fault" for finding in findings)
    if as_json:
        listed = [finding.as_dict() for finding in findings]
        click.echo(json.dumps({"well": well, "findings": listed} | repairs))
    if not well or repairs.get("failed"):
        raise click.exceptions.Exit(1)


def _checks() -> Iterator[tuple[str, CheckFunction]]:
    """Each subject with its check."""
    from gradpipe.doctor import device, generator, outside, room, study
    from gradpipe.doctor.finding import Finding

    workspace, current_study, fault = _workspace_and_study()

    def examine_study() -> Iterable[Finding]:
        if current_study is not None:
            notes = workspace.series_notes(current_study) if workspace is not None else []
            unused = [Finding(study.STUDY, "warning", note.rstrip(".")) for note in notes]
            return [*study.examine_study(current_study), *unused]
        if workspace is not None and fault is not None:
            raise fault
        return ()

    def examine_workspace() -> Iterable[Finding]:
        if workspace is None and fault is not None:
            raise fault
        return _examine_workspace(workspace)

    yield device.DEVICE, device.examine_device
    yield room.MEMORY, room.examine_memory
    yield room.DISK, lambda: room.examine_disk(_folders(workspace))
    yield outside.VERSIONS, outside.examine_versions
    yield outside.ENVIRONMENT, outside.examine_environment
    yield outside.HUB, outside.examine_hub
    yield study.STUDY, examine_study
    if current_study is not None and current_study.generator.kind == "openai":
        settings = current_study.generator
        yield generator.GENERATOR, lambda: generator.examine_generator(settings)
    judge = None if current_study is None else current_study.judge
    if judge is not None:
        yield generator.JUDGE, lambda: generator.examine_judge(judge)
    yield _WORKSPACE, examine_workspace


def _workspace_and_study() -> tuple[Workspace | None, Study | None, Exception | None]:
    """The workspace if it exists, its study, and the error if either cannot be read."""
    from gradpipe.studies.load import load_study
    from storage.workspace import DEFAULT_STUDY

    workspace = None
    try:
        workspace = workspace_if_there()
        return workspace, workspace.study() if workspace else load_study(DEFAULT_STUDY), None
    # Any error becomes a finding of its own subject, and hides no other.
    except Exception as error:
        return workspace, None, error


def _folders(workspace: Workspace | None) -> dict[str, Path]:
    """The folders on this machine that runs write to, by purpose."""
    from huggingface_hub import constants

    from gradpipe.system.user_folders import cache_folder

    folder = workspace_folder()
    folders = {} if folder is None else {"workspace": folder}
    if workspace is not None and workspace.local_root is None:
        folders["Dagster's runs"] = workspace.dagster_home
    return folders | {"cache": cache_folder(), "models of the hub": Path(constants.HF_HUB_CACHE)}


def _examine_workspace(workspace: Workspace | None) -> Iterator[Finding]:
    """Check Dagster's databases and every file of the workspace, reading files completely."""
    from gradpipe.doctor.finding import Finding
    from storage.integrity import find_faults

    if workspace is None:
        yield Finding(_WORKSPACE, "ok", "there is no workspace yet; the first run creates it")
        return
    yield from _examine_dagster(workspace.dagster_home)
    faults = find_faults(workspace)
    for fault in faults:
        yield _finding(fault)
    if not faults:
        yield Finding(_WORKSPACE, "ok", f"all files of {workspace.root} are intact")


def _examine_dagster(home: Path) -> Iterator[Finding]:
    """Check Dagster's databases in a folder with SQLite's own check, without writing to them."""
    import sqlite3
    from contextlib import closing

    from gradpipe.doctor.finding import Finding

    databases = sorted(home.rglob("*.db"))
    for database in databases:
        # If no process has the database open, reading must not create files beside it.
        open_now = database.with_name(f"{database.name}-wal").exists()
        address = f"{database.absolute().as_uri()}?mode=ro{'' if open_now else '&immutable=1'}"
        try:
            with closing(sqlite3.connect(address, uri=True, timeout=5)) as connection:
                result = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        except sqlite3.OperationalError:
            # Locked or without permission; the check of the disks covers the folder.
            continue
        except sqlite3.DatabaseError as error:
            result = str(error)
        if result != "ok":
            yield Finding(
                _WORKSPACE,
                "fault",
                f"Dagster's {database} is damaged ({result})",
                f"move {home} away; the next run creates it again, without the history of runs",
            )
    if not databases:
        yield Finding(_WORKSPACE, "ok", "Dagster has no runs yet")


def _finding(fault: Fault) -> Finding:
    from gradpipe.doctor.finding import Finding

    return Finding(
        _WORKSPACE,
        "fault",
        str(fault),
        "`gradpipe doctor --repair` moves it aside and recomputes its contents",
    )


def _repair() -> tuple[dict[str, Any], list[Finding]]:
    """Move damaged files aside and recompute their contents; the repairs and the new findings.

    Files that an older gradpipe moved aside, because it could not read them, are restored.
    """
    from gradpipe.doctor.finding import examine
    from gradpipe.doctor.outside import secrets_of_environment
    from storage.integrity import bring_back, find_faults, set_faults_aside

    workspace = workspace_if_there()
    if workspace is None:
        return {"repaired": []}, []
    for restored in bring_back(workspace):
        click.echo(f"restored, because it is intact: {restored}", err=True)
    faults = find_faults(workspace)
    moved = [str(place) for place in set_faults_aside(workspace, faults)]
    for place in moved:
        click.echo(f"moved aside: {place}", err=True)
    repairs: dict[str, Any] = {"repaired": [str(fault) for fault in faults], "set_aside": moved}
    if faults:
        repairs |= _recompute(workspace, faults)
    check = partial(_examine_workspace, workspace)
    return repairs, examine(_WORKSPACE, check, secrets_of_environment())


def _recompute(workspace: Workspace, faults: list[Fault]) -> dict[str, Any]:
    """Bring the damaged models and benchmarks up to date, if the study still has them."""
    study = workspace.study()
    models = _affected([fault.model for fault in faults], [model.name for model in study.models])
    benchmarks = _affected(
        [fault.benchmark for fault in faults], [benchmark.name for benchmark in study.benchmarks]
    )
    if models == () or benchmarks == ():
        click.echo("the study no longer uses the damaged files: nothing to recompute", err=True)
        return {}
    return bring_up_to_date(workspace, study, models, benchmarks)


def _affected(named: list[str], known: list[str]) -> tuple[str, ...] | None:
    """The study's names that faults name; None (all) if a fault is of every name."""
    return None if "" in named else tuple(name for name in known if name in named)


def _print(title: str, findings: Iterable[Finding]) -> None:
    from rich.console import Console
    from rich.markup import escape

    console = Console(soft_wrap=True, highlight=False)
    console.print(f"[bold]{escape(title)}[/bold]")
    for finding in findings:
        console.print(f"  [{_COLORS[finding.state]}]{finding.state:<8}[/] {escape(str(finding))}")
