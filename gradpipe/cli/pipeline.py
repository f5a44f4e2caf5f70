"""The workspace's pipeline: bring it up to date, say how it stands, look at it."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import click

from gradpipe.cli.estimate import print_dry_run
from gradpipe.cli.options import account_option, current_workspace, study_option
from gradpipe.errors import GradpipeError

if TYPE_CHECKING:
    from gradpipe.studies.study import Study
    from storage.workspace import Workspace


@click.command()
@study_option
@account_option
def run(study: str | None, as_json: bool) -> None:
    """Bring every stage of a study up to date and say where the report is.

    Without --study the workspace's own study is used, at first the demo. A run that was stopped
    resumes where it left off; a run with nothing to do loads no model.
    """
    from gradpipe.studies.load import load_study

    workspace = current_workspace()
    chosen = load_study(study) if study else workspace.study()
    _report_on(workspace, bring_up_to_date(workspace, chosen), as_json)


@click.command()
@click.option(
    "--model", "models", multiple=True, metavar="NAME", help="Only this model (repeatable)."
)
@click.option(
    "--benchmark", "benchmarks", multiple=True, metavar="NAME", help="Only this benchmark."
)
@click.option(
    "--retry-unusable",
    "retry",
    is_flag=True,
    help="Recompute unusable rows, for example those that ran out of memory.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be computed, and compute nothing.")
@account_option
def backfill(
    models: tuple[str, ...],
    benchmarks: tuple[str, ...],
    retry: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Compute what is missing of some models and benchmarks, then the report.

    A partition that fails does not stop the others: the summary names it, and the exit code is 1.
    With --dry-run: rows and tokens of every partition, and the time and disk they would take as far
    as rows of that model were measured before.
    """
    workspace = current_workspace()
    study = workspace.study()
    for model in models:
        study.model(model)
    for benchmark in benchmarks:
        study.benchmark(benchmark)
    if retry and dry_run:
        raise GradpipeError("--retry-unusable changes the store, --dry-run does not: give one.")
    if dry_run:
        print_dry_run(workspace, study, models or None, benchmarks or None, as_json)
        return
    if retry:
        for model, benchmark in study.grid():
            if model in (models or [model]) and benchmark in (benchmarks or [benchmark]):
                workspace.discard_unusable(model, benchmark)
    account = bring_up_to_date(workspace, study, models or None, benchmarks or None)
    _report_on(workspace, account, as_json)


@click.command()
def status() -> None:
    """Say what of the workspace's study is there, out of date or missing."""
    from assets.planning.status import stage_states
    from gradpipe.cli.progress import print_table

    workspace = current_workspace()
    states = stage_states(workspace, workspace.study())
    print_table(("stage", "partition", "state", "rows"), states)


@click.command("report")
@click.option("--open", "open_page", is_flag=True, help="Show the page in the browser.")
def report_command(open_page: bool) -> None:
    """Say where the report is."""
    workspace = current_workspace()
    page = workspace.report_page
    if not page.is_file():
        raise GradpipeError(f"There is no report at {page} yet: make it with `gradpipe run`.")
    click.echo(str(page))
    if open_page:
        local = workspace.files.local_path(page)
        if local is None:
            raise GradpipeError(
                f"A browser cannot open {page}: copy {workspace.report_folder} to this machine and "
                "open the page there."
            )
        click.launch(local.as_uri())


@click.command()
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Any other than this machine's own address lets others in.",
)
@click.option("--port", default=3000, show_default=True, type=click.IntRange(1, 65535))
def ui(host: str, port: int) -> None:
    """Open the Dagster UI on this workspace; it knows no users and no passwords."""
    from assets.running.ui import is_loopback, serve

    if not is_loopback(host):
        click.echo(
            f"warning: whoever reaches {host}:{port} can read the workspace and start runs; "
            "without --host only this machine's users can (from afar: ssh -L)",
            err=True,
        )
    click.echo(f"Opening the Dagster UI at http://{host}:{port} (Ctrl-C ends it)", err=True)
    serve(current_workspace(), host, port)


def bring_up_to_date(
    workspace: Workspace,
    study: Study,
    models: tuple[str, ...] | None = None,
    benchmarks: tuple[str, ...] | None = None,
) -> dict[str, Any]:
    """Bring a rectangle of the study up to date, progress and summary on stderr.

    Returns the account of what was done; it has ``failed`` where something failed.
    """
    from assets.resources import Accelerator
    from assets.running.runner import Runner
    from gradpipe.cli.progress import ProgressView

    started = time.perf_counter()
    with ProgressView() as view:
        accelerator = Accelerator(
            lambda model, benchmark, progress: view.extraction(f"{model} × {benchmark}", progress)
        )
        runner = Runner(workspace, study, accelerator, view.stage, view.note)
        runner.bring_up_to_date(models, benchmarks)
    seconds = time.perf_counter() - started
    for line in runner.summary(seconds):
        view.console.print(line, markup=False)
    return runner.account(seconds)


def _report_on(workspace: Workspace, account: dict[str, Any], as_json: bool) -> None:
    """Say where the report is, or all that was done; exits with 1 where something failed."""
    if as_json:
        click.echo(json.dumps(account))
    elif workspace.report_page.is_file():
        click.echo(f"Report: {workspace.report_page}")
    if account.get("failed"):
        raise click.exceptions.Exit(1)
